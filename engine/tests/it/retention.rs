//! Rule 13: retention never removes undelivered events, and removes the oldest of the others first.

use std::time::Duration;

use auditstream_engine::Precondition;
use auditstream_engine::trail::{BodyFormat, ingest};
use auditstream_engine::{Actor, Retention, access, destinations, metrics, retention};
use auditstream_model::{AccountName, HeldBack, Status};
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::support::{House, On, destination, events, ingester};
use crate::{on, on_both};
use auditstream_testkit::s3::{BUCKET, Store};

on_both![
    undelivered_events_are_retained_until_they_are_delivered,
    a_paused_destination_retains_events_and_a_new_one_does_not,
    the_oldest_events_are_removed_first_during_ingest,
    a_replay_begins_at_the_oldest_retained_event,
    the_time_of_receipt_never_decreases,
    an_account_whose_sweep_fails_does_not_stop_the_others,
];
on!(postgres_servers, Postgres, two_servers_remove_events_without_a_gap,);

/// Events received on the first day of 1970 have expired; steps are small and follow each other at
/// once.
async fn short(mut house: House) -> House {
    house.config.retention = Retention {
        keep: Duration::from_secs(86_400),
        step: 7,
        pause: Duration::from_millis(1),
        every: Duration::from_millis(20),
    };
    house.reopen().await
}

async fn kept(house: &House) -> (Option<i64>, i64) {
    let mut connection = house.connection().await;
    let found = sqlx::query_as("SELECT min(sequence), count(*) FROM audit_event")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    found
}

async fn last(house: &House) -> i64 {
    let mut connection = house.connection().await;
    let last = sqlx::query_scalar("SELECT last_sequence FROM account")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    last
}

/// Waits until `events` events remain and returns the sequence of the first.
async fn comes_down_to(house: &House, events: i64) -> Option<i64> {
    let mut seen = (None, 0);
    for _ in 0..400 {
        seen = kept(house).await;
        if seen.1 == events {
            return seen.0;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{seen:?} are kept, not {events}");
}

/// Long enough for several sweeps.
async fn sweeps() {
    tokio::time::sleep(Duration::from_millis(400)).await;
}

fn many(name: &str, count: usize) -> Vec<Value> {
    let mut event = events().remove(0);
    let one = |number| {
        event["auditEventId"] = format!("{name}-{number}").into();
        event.clone()
    };
    (0..count).map(one).collect()
}

async fn undelivered_events_are_retained_until_they_are_delivered(house: House) {
    let house = short(house).await;
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination("no-such-bucket", json!({})).await;
    house.toggle(Status::Active).await;
    house.settled(|item| item.streaming_details.failure.is_some()).await;
    house.send(&many("old", 50)).await;
    house.sql("UPDATE audit_event SET received = 1").await;
    let all = last(&house).await;
    sweeps().await;
    assert_eq!(kept(&house).await, (Some(1), all), "nothing was received by the bucket");
    let retained = retention::retained(&house.engine, &house.admin).await.unwrap();
    let [siem] = retained.as_slice() else {
        panic!("{retained:?}")
    };
    assert_eq!((siem.identifier.as_str(), siem.held_back.events), ("siem", all));
    let mut connection = house.connection().await;
    let bytes: i64 = sqlx::query_scalar("SELECT CAST(sum(octet_length(payload)) AS BIGINT) FROM audit_event")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(siem.held_back, HeldBack { events: all, bytes });
    let shown = house.settled(|_| true).await.streaming_details.held_back;
    assert_eq!(shown, Some(siem.held_back), "the console's table shows it");

    let mut corrected = destination(BUCKET, json!({}));
    corrected.status = Some(Status::Active);
    destinations::replace(&house.engine, &house.admin, "siem", corrected, &Precondition::None)
        .await
        .unwrap();
    house.streamed().await;
    let received: Vec<i64> = store.sequences(BUCKET);
    assert!(
        (1..=all).all(|sequence| received.contains(&sequence)),
        "none went unseen"
    );
    assert_eq!(comes_down_to(&house, last(&house).await - all).await, Some(all + 1));
    assert_eq!(retention::retained(&house.engine, &house.admin).await.unwrap(), []);
    assert_eq!(house.settled(|_| true).await.streaming_details.held_back, None);
}

async fn a_paused_destination_retains_events_and_a_new_one_does_not(house: House) {
    let house = short(house).await;
    let store = Store::start().await;
    house.connect(&store).await;
    let mut never = destination(BUCKET, json!({"prefix": "never/"}));
    never.identifier = "never".into();
    destinations::create(&house.engine, &house.admin, never).await.unwrap();
    house.send(&many("first", 20)).await;
    house.sql("UPDATE audit_event SET received = 1").await;
    let before = last(&house).await;
    comes_down_to(&house, 0).await;

    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    house.toggle(Status::Inactive).await;
    let cursor = house.settled(|_| true).await.streaming_details.cursor.unwrap();
    assert!(cursor > before, "it began at the oldest event that was kept: {cursor}");
    house.send(&many("second", 20)).await;
    house.sql("UPDATE audit_event SET received = 1").await;
    let all = last(&house).await;
    assert_eq!(comes_down_to(&house, all - cursor).await, Some(cursor + 1));
    sweeps().await;
    assert_eq!(
        kept(&house).await,
        (Some(cursor + 1), all - cursor),
        "it was active once"
    );
    destinations::delete(&house.engine, &house.admin, "siem", &Precondition::None)
        .await
        .unwrap();
    assert_eq!(
        comes_down_to(&house, 1).await,
        Some(all + 1),
        "the deletion's own event"
    );
}

async fn the_oldest_events_are_removed_first_during_ingest(house: House) {
    let house = short(house).await;
    house.send(&many("old", 600)).await;
    let old = last(&house).await;
    house.send(&many("young", 100)).await;
    let mut connection = house.connection().await;
    sqlx::query("UPDATE audit_event SET received = 1 WHERE sequence <= $1")
        .bind(old)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let mut during = 0;
    for number in 0.. {
        assert_eq!(house.send(&many(&format!("meanwhile-{number}"), 1)).await.accepted, 1);
        let (oldest, count) = kept(&house).await;
        assert_eq!(count, last(&house).await - oldest.unwrap() + 1, "no hole at any time");
        if oldest == Some(old + 1) {
            break;
        }
        during += i64::from(oldest > Some(1));
    }
    assert!(during > 0, "events were taken in between two steps");
    sweeps().await;
    assert_eq!(kept(&house).await.0, Some(old + 1), "what is young stays");
    assert_eq!(
        house.send(&many("young", 100)).await.duplicates,
        100,
        "kept, and so known"
    );
    assert_eq!(house.send(&many("old", 1)).await.accepted, 1, "gone, and so new");
}

async fn a_replay_begins_at_the_oldest_retained_event(house: House) {
    let house = short(house).await;
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.send(&many("old", 20)).await;
    house.sql("UPDATE audit_event SET received = 1").await;
    let gone = last(&house).await;
    comes_down_to(&house, 0).await;
    house.send(&many("young", 20)).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    house.toggle(Status::Inactive).await;
    let move_to = async |sequence| {
        destinations::move_cursor(&house.engine, &house.admin, "siem", sequence, &Precondition::None)
            .await
            .map_err(|error| error.problem())
    };
    let refused = move_to(gone - 1).await.unwrap_err();
    let range = format!("between {gone} and {}", last(&house).await);
    assert!(
        refused.of("sequence").is_some_and(|why| why.contains(&range)),
        "{refused:?}"
    );
    move_to(gone).await.unwrap();
    house.toggle(Status::Active).await;
    house.streamed().await;
    let sequences = store.sequences(BUCKET);
    assert_eq!(sequences.iter().min(), Some(&(gone + 1)));
    assert_eq!(sequences.iter().filter(|sequence| **sequence == gone + 1).count(), 2);
}

async fn the_time_of_receipt_never_decreases(house: House) {
    house.sql("UPDATE account SET last_received = 4000000000000").await;
    house.send(&many("later", 2)).await;
    let mut connection = house.connection().await;
    let received: Vec<i64> = sqlx::query_scalar("SELECT received FROM audit_event ORDER BY sequence")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    assert_eq!(received[received.len() - 2..], [4_000_000_000_000; 2]);
    assert!(received.is_sorted());
}

/// The events of the first account cannot be removed: those of the second are, and the failure is
/// logged.
async fn an_account_whose_sweep_fails_does_not_stop_the_others(house: House) {
    let house = short(house).await;
    let name: AccountName = "other".to_owned().try_into().unwrap();
    access::create_account(&house.engine, &name).await.unwrap();
    let others_admin = Actor::command_line(&house.engine, &name).await.unwrap();
    let others = ingester(&house.engine, &others_admin).await;
    let mut of_other = many("other", 20);
    for event in &mut of_other {
        event["auditResourceScope"]["accountIdentifier"] = "other".into();
    }
    let body = serde_json::to_vec(&of_other).unwrap();
    ingest(&house.engine, &others, BodyFormat::Json, body.into())
        .await
        .unwrap();
    house.send(&many("old", 20)).await;
    house
        .sql(match house.on {
            On::Sqlite => {
                "CREATE TRIGGER keep BEFORE DELETE ON audit_event WHEN OLD.account_id = (SELECT min(id) FROM account) \
                 BEGIN SELECT RAISE(ABORT, 'not these'); END"
            }
            On::Postgres => {
                "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF OLD.account_id = (SELECT min(id) FROM account) THEN RAISE EXCEPTION 'not these'; END IF; \
                 RETURN OLD; END $$; \
                 CREATE TRIGGER keep BEFORE DELETE ON audit_event FOR EACH ROW EXECUTE FUNCTION keep()"
            }
        })
        .await;
    let mut connection = house.connection().await;
    let of_default: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit_event WHERE account_id = (SELECT min(id) FROM account)")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    connection.close().await.unwrap();
    house.sql("UPDATE audit_event SET received = 1").await;
    comes_down_to(&house, of_default).await;
    // The other account may be swept first.
    for _ in 0..400 {
        let rendered = metrics::render(&house.engine).await;
        let failures = rendered
            .lines()
            .find_map(|line| line.strip_prefix("auditstream_retention_failures_total "));
        if failures.is_some_and(|failures| failures != "0") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the failed sweep is not reported");
}

async fn two_servers_remove_events_without_a_gap(house: House) {
    let house = short(house).await;
    let other = auditstream_engine::Engine::open(house.config.clone()).await.unwrap();
    let background = other.start();
    house.send(&many("old", 400)).await;
    house.sql("UPDATE audit_event SET received = 1").await;
    let old = last(&house).await;
    house.send(&many("young", 10)).await;
    assert_eq!(comes_down_to(&house, 10).await, Some(old + 1));
    background.stop().await;
    other.close().await;
}
