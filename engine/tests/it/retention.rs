//! Rule 13: retention never removes undelivered events, and removes the oldest of the others first.

use std::time::Duration;

use auditstream_engine::Precondition;
use auditstream_engine::trail::{BodyFormat, ingest, newer, search};
use auditstream_engine::{Actor, Retention, access, destinations, metrics, retention};
use auditstream_model::{AccountName, Code, EventFilter, HeldBack, RemovalConfirmation, RetentionInput, Status};
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
    the_time_of_receipt_does_not_decrease_when_a_clock_is_set_back,
    an_event_from_a_clock_that_was_behind_is_not_removed_before_older_ones,
    the_size_of_what_is_retained_is_read_from_two_rows,
    accounts_are_swept_in_turn,
    a_large_removal_that_time_does_not_explain_waits_for_an_admin,
    the_retention_of_an_account_is_changed_and_audited,
    an_account_whose_sweep_fails_does_not_stop_the_others,
    a_retention_that_is_lengthened_during_a_sweep_is_heeded,
    a_declared_gap_counts_as_no_events,
    a_page_continues_below_events_that_were_removed_while_it_was_read,
];
on!(postgres_servers, Postgres, two_servers_remove_events_without_a_gap,);
on!(sqlite_file, Sqlite, a_file_gives_its_free_pages_back,);

/// Events received on the first day of 1970 have expired; steps are small and follow each other at
/// once.
async fn short(house: House) -> House {
    // These tests make most of a trail old at once.
    short_and_confirmed_above(100, house).await
}

async fn short_and_confirmed_above(percent: u8, mut house: House) -> House {
    house.config.retention = Retention {
        keep: Duration::from_secs(86_400),
        step: 7,
        pause: Duration::from_millis(1),
        every: Duration::from_millis(20),
        settle: Duration::ZERO,
        confirm_above: percent,
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
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1")
        .await;
    let all = last(&house).await;
    sweeps().await;
    assert_eq!(kept(&house).await, (Some(1), all), "nothing was received by the bucket");
    let retained = retention::retained(&house.engine, &house.admin).await.unwrap();
    let [siem] = retained.as_slice() else {
        panic!("{retained:?}")
    };
    assert_eq!((siem.identifier.as_str(), siem.held_back.events), ("siem", all));
    let mut connection = house.connection().await;
    let bytes: i64 = sqlx::query_scalar("SELECT CAST(sum(bytes) AS BIGINT) FROM audit_segment")
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
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1")
        .await;
    let before = last(&house).await;
    comes_down_to(&house, 0).await;

    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    house.toggle(Status::Inactive).await;
    let cursor = house.settled(|_| true).await.streaming_details.cursor.unwrap();
    assert!(cursor > before, "it began at the oldest event that was kept: {cursor}");
    house.send(&many("second", 20)).await;
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1")
        .await;
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
    // Segments are removed as a whole.
    for some in many("old", 600).chunks(10) {
        house.send(some).await;
    }
    let old = last(&house).await;
    house.send(&many("young", 100)).await;
    let mut connection = house.connection().await;
    sqlx::query("UPDATE audit_segment SET received = 1, last_received = 1 WHERE last_sequence <= $1")
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
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1")
        .await;
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

async fn number(house: &House, sql: &'static str) -> i64 {
    let mut connection = house.connection().await;
    let number = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    number
}

async fn the_time_of_receipt_does_not_decrease_when_a_clock_is_set_back(mut house: House) {
    // The watch of the clock would correct the one that is set back.
    house.stop_streaming().await;
    house.send(&many("now", 1)).await;
    // The time had come: another server knows it.
    house
        .sql("UPDATE clock SET trusted = (SELECT max(last_received) FROM account)")
        .await;
    let before = number(&house, "SELECT max(last_received) FROM audit_segment").await;
    house.config.clock.shift(-3_600_000);
    house.send(&many("later", 2)).await;
    house.send(&many("even later", 2)).await;
    let mut connection = house.connection().await;
    let received: Vec<i64> = sqlx::query_scalar("SELECT received FROM audit_segment ORDER BY last_sequence")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    assert!(received.is_sorted());
    assert_eq!(received[received.len() - 2..], [before; 2]);
}

/// Such events lie between younger ones, so that looking only at their own times would remove the
/// younger ones before them as well.
async fn an_event_from_a_clock_that_was_behind_is_not_removed_before_older_ones(house: House) {
    let house = short(house).await;
    house.send(&many("first", 20)).await;
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1")
        .await;
    let old = last(&house).await;
    house.send(&many("young", 20)).await;
    let young = last(&house).await;
    house.send(&many("behind", 20)).await;
    let mut connection = house.connection().await;
    sqlx::query("UPDATE audit_segment SET received = 1, last_received = 1 WHERE first_sequence > $1")
        .bind(young)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let all = last(&house).await;
    assert_eq!(comes_down_to(&house, all - old).await, Some(old + 1));
    sweeps().await;
    assert_eq!(kept(&house).await, (Some(old + 1), all - old));
}

async fn the_size_of_what_is_retained_is_read_from_two_rows(house: House) {
    house.send(&many("some", 250)).await;
    house.send(&many("more", 3)).await;
    let wrong = number(
        &house,
        "SELECT count(*) FROM (SELECT bytes_before, sum(bytes) OVER (ORDER BY last_sequence) - bytes AS sum \
         FROM audit_segment) AS it WHERE bytes_before <> sum",
    )
    .await;
    assert_eq!(wrong, 0);
    let total = "SELECT trail_bytes - (SELECT CAST(sum(bytes) AS BIGINT) FROM audit_segment) FROM account";
    assert_eq!(number(&house, total).await, 0);
    // A sum that was wrong would show that it was read.
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination("no-such-bucket", json!({})).await;
    house.toggle(Status::Active).await;
    // Its failure is an event.
    house.settled(|item| item.streaming_details.failure.is_some()).await;
    let all = last(&house).await;
    house
        .sql("UPDATE account SET expired_sequence = last_sequence, trail_bytes = 1000000")
        .await;
    let [siem] = retention::retained(&house.engine, &house.admin)
        .await
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(
        siem.held_back,
        HeldBack {
            events: all,
            bytes: 1_000_000
        }
    );
    let rendered = metrics::render(&house.engine).await;
    for line in [
        "lag_bytes{account=\"default\",destination=\"siem\"} 1000000",
        "held_back_bytes{account=\"default\",destination=\"siem\"} 1000000",
    ] {
        assert!(rendered.contains(line), "{line} in {rendered}");
    }
}

/// Sends events to an account with this name, which is created.
async fn send_to_account(house: &House, name: &str, count: usize) {
    let account: AccountName = name.to_owned().try_into().unwrap();
    access::create_account(&house.engine, &account).await.unwrap();
    let admin = Actor::command_line(&house.engine, &account).await.unwrap();
    let sender = ingester(&house.engine, &admin).await;
    let mut events = many(name, count);
    for event in &mut events {
        event["auditResourceScope"]["accountIdentifier"] = name.into();
    }
    let body = serde_json::to_vec(&events).unwrap();
    ingest(&house.engine, &sender, BodyFormat::Json, body.into())
        .await
        .unwrap();
}

/// While the first account is far from done, the second has progressed as far.
async fn accounts_are_swept_in_turn(mut house: House) {
    house.stop_streaming().await;
    house.send(&many("large", 2_000)).await;
    send_to_account(&house, "small", 40).await;
    // Each removal is recorded.
    house
        .sql("CREATE TABLE removal (account_id BIGINT NOT NULL, sequence BIGINT NOT NULL)")
        .await;
    match house.on {
        On::Sqlite => {
            house
                .sql(
                    "CREATE TRIGGER record AFTER DELETE ON audit_event \
                     BEGIN INSERT INTO removal VALUES (OLD.account_id, OLD.sequence); END",
                )
                .await;
        }
        On::Postgres => {
            house
                .sql(
                    "CREATE FUNCTION record() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     INSERT INTO removal VALUES (OLD.account_id, OLD.sequence); RETURN OLD; END $$",
                )
                .await;
            house
                .sql("CREATE TRIGGER record AFTER DELETE ON audit_event FOR EACH ROW EXECUTE FUNCTION record()")
                .await;
        }
    }
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1")
        .await;
    let house = short(house).await;
    comes_down_to(&house, 0).await;
    let mut connection = house.connection().await;
    let order: Vec<i64> = sqlx::query_scalar(match house.on {
        On::Sqlite => "SELECT account_id FROM removal ORDER BY rowid",
        On::Postgres => "SELECT account_id FROM removal ORDER BY ctid",
    })
    .fetch_all(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let small = order.iter().max().unwrap();
    let last_of_small = order.iter().rposition(|account| account == small).unwrap();
    let before = order[..last_of_small]
        .iter()
        .filter(|account| *account != small)
        .count();
    assert!(
        before < 1_000,
        "the small account waited for {before} events of the large one"
    );
}

async fn a_large_removal_that_time_does_not_explain_waits_for_an_admin(mut house: House) {
    house.stop_streaming().await;
    house.send(&many("old", 60)).await;
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1")
        .await;
    let old = last(&house).await;
    house.send(&many("young", 20)).await;
    let house = short_and_confirmed_above(50, house).await;
    let all = kept(&house).await;
    let mut waiting = None;
    for _ in 0..400 {
        waiting = retention::get(&house.engine, &house.admin).await.unwrap().unconfirmed;
        if waiting.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let waiting = waiting.expect("the removal waits");
    assert_eq!((waiting.events, waiting.last_sequence), (old, old));
    assert_eq!(kept(&house).await, all, "nothing was removed");
    let too_far = RemovalConfirmation { last_sequence: old + 1 };
    let refused = retention::confirm_removal(&house.engine, &house.admin, too_far).await;
    assert_eq!(refused.unwrap_err().problem().code, Code::Conflict);
    let confirmation = RemovalConfirmation { last_sequence: old };
    retention::confirm_removal(&house.engine, &house.admin, confirmation)
        .await
        .unwrap();
    let confirmed = last(&house).await;
    assert_eq!(comes_down_to(&house, confirmed - old).await, Some(old + 1));
    let view = retention::get(&house.engine, &house.admin).await.unwrap();
    assert_eq!(view.unconfirmed, None);
}

async fn the_retention_of_an_account_is_changed_and_audited(mut house: House) {
    // The watch of the clock would doubt the one that is set below.
    house.stop_streaming().await;
    let put = async |days, condition: &Precondition| {
        retention::put(&house.engine, &house.admin, RetentionInput { days }, condition)
            .await
            .map_err(|error| error.problem())
    };
    let first = retention::get(&house.engine, &house.admin).await.unwrap();
    assert_eq!((first.days, first.own_days, first.default_days), (730, None, 730));
    let shorter = put(Some(30), &Precondition::None).await.unwrap();
    assert_eq!(
        (shorter.days, shorter.own_days),
        (730, Some(30)),
        "not before a day has passed"
    );
    assert!(shorter.shortened_from.is_some());
    let stale = Precondition::OneOf(vec!["00".into()]);
    assert_eq!(put(Some(30), &stale).await.unwrap_err().code, Code::PreconditionFailed);
    assert!(
        put(Some(0), &Precondition::None)
            .await
            .unwrap_err()
            .of("days")
            .is_some()
    );
    house.config.clock.shift(25 * 3_600_000);
    let later = retention::get(&house.engine, &house.admin).await.unwrap();
    assert_eq!((later.days, later.shortened_from), (30, None));
    house.config.clock.shift(0);
    let withdrawn = put(None, &Precondition::None).await.unwrap();
    assert_eq!(
        (withdrawn.days, withdrawn.own_days, withdrawn.shortened_from),
        (730, None, None)
    );
    let recorded = house.stored_events().await.into_iter().map(|event| event.payload);
    let recorded: Vec<String> = recorded
        .filter(|payload| payload.contains(r#""type":"RETENTION""#))
        .collect();
    assert_eq!(recorded.len(), 2);
    assert!(recorded[0].contains("\"days\":30"), "{}", recorded[0]);
}

/// The events of the first account cannot be removed: those of the second are, and the failure is
/// logged.
async fn an_account_whose_sweep_fails_does_not_stop_the_others(house: House) {
    let house = short(house).await;
    send_to_account(&house, "other", 20).await;
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
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1")
        .await;
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

/// The file of a database gets smaller when most of its events are gone.
async fn a_file_gives_its_free_pages_back(house: House) {
    let house = short(house).await;
    for number in 0..16 {
        let mut large = many(&format!("large-{number}"), 1).remove(0);
        let noise: Vec<u128> = (0..24_000).map(|_| rand::random()).collect();
        let noise: String = noise.iter().map(|number| format!("{number:032x}")).collect();
        large["auditEventMetadata"]["noise"] = noise.into();
        house.send(&[large]).await;
    }
    let pages = "SELECT page_count FROM pragma_page_count";
    let before = number(&house, pages).await;
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1")
        .await;
    comes_down_to(&house, 0).await;
    for _ in 0..400 {
        if number(&house, pages).await < before / 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{} of {before} pages are left", number(&house, pages).await);
}

async fn two_servers_remove_events_without_a_gap(house: House) {
    let house = short(house).await;
    let other = auditstream_engine::Engine::open(house.config.clone()).await.unwrap();
    let background = other.start();
    house.send(&many("old", 400)).await;
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1")
        .await;
    let old = last(&house).await;
    house.send(&many("young", 10)).await;
    assert_eq!(comes_down_to(&house, 10).await, Some(old + 1));
    background.stop().await;
    other.close().await;
}

/// The removal of the first events lengthens it.
async fn a_retention_that_is_lengthened_during_a_sweep_is_heeded(mut house: House) {
    house.stop_streaming().await;
    for number in 0..10 {
        house.send(&many(&format!("old {number}"), 3)).await;
    }
    // Segments that are not merged.
    house
        .sql("UPDATE audit_segment SET received = last_sequence * 172800000, last_received = last_sequence * 172800000")
        .await;
    house
        .sql(match house.on {
            On::Sqlite => {
                "CREATE TRIGGER lengthen AFTER DELETE ON audit_segment BEGIN \
                 INSERT OR REPLACE INTO retention_setting VALUES (OLD.account_id, 36500, NULL, 0, 1); END"
            }
            On::Postgres => {
                "CREATE FUNCTION lengthen() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN INSERT INTO retention_setting VALUES (OLD.account_id, 36500, NULL, 0, 1) \
                 ON CONFLICT DO NOTHING; RETURN NULL; END $$; \
                 CREATE TRIGGER lengthen AFTER DELETE ON audit_segment FOR EACH ROW EXECUTE FUNCTION lengthen()"
            }
        })
        .await;
    let all = last(&house).await;
    let house = short(house).await;
    while kept(&house).await.1 == all {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sweeps().await;
    let left = kept(&house).await.1;
    assert!((all - 7..all).contains(&left), "{left} of {all} are left");
}

/// Declares a gap of a million sequences.
async fn declare_gap(house: &House) {
    house
        .sql(
            "INSERT INTO sequence_gap (account_id, first_sequence, last_sequence, declared, reason) \
             SELECT id, last_sequence + 1, last_sequence + 1000000, 0, 'a test' FROM account",
        )
        .await;
    house
        .sql("UPDATE account SET last_sequence = last_sequence + 1000000")
        .await;
}

async fn a_declared_gap_counts_as_no_events(house: House) {
    let house = short_and_confirmed_above(50, house).await;
    house.send(&many("before", 20)).await;
    let before_gap = last(&house).await;
    declare_gap(&house).await;
    let filter = EventFilter::default();
    let counted = newer(&house.engine, &house.admin, &filter, before_gap).await.unwrap();
    assert_eq!((counted.count, counted.until), (0, before_gap + 1_000_000));
    house.send(&many("after", 20)).await;
    let counted = newer(&house.engine, &house.admin, &filter, before_gap).await.unwrap();
    let counted = newer(&house.engine, &house.admin, &filter, counted.until)
        .await
        .unwrap();
    assert_eq!(counted.count, 20);
    let all = kept(&house).await.1;
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1")
        .await;
    let waiting = loop {
        let shown = retention::get(&house.engine, &house.admin).await.unwrap();
        if let Some(waiting) = shown.unconfirmed {
            break waiting;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(waiting.events, all);
    let input = RemovalConfirmation {
        last_sequence: waiting.last_sequence,
    };
    retention::confirm_removal(&house.engine, &house.admin, input)
        .await
        .unwrap();
    // The event of the confirmation.
    comes_down_to(&house, 1).await;
}

/// The rows of the listing were read before the removal, and the events after it.
async fn a_page_continues_below_events_that_were_removed_while_it_was_read(mut house: House) {
    house.stop_streaming().await;
    let mut newest = many("newest", 20);
    for event in &mut newest {
        event["auditEventTime"] = "1788989356000".into();
    }
    let removed = house.send(&newest).await;
    house.send(&many("older", 20)).await;
    let mut connection = house.connection().await;
    let first = removed.last_sequence.unwrap() + 1;
    for statement in [
        "DELETE FROM audit_segment WHERE last_sequence < $1",
        "UPDATE account SET first_sequence = $1",
    ] {
        sqlx::query(statement)
            .bind(first)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let filter = EventFilter {
        end: Some(i64::MAX),
        limit: Some(10),
        ..EventFilter::default()
    };
    let page = search(&house.engine, &house.admin, &filter).await.unwrap();
    assert_eq!(page.events.len(), 10, "{page:?}");
    assert!(page.events.iter().all(|event| event.sequence >= first));
    assert!(page.next.is_some(), "there are more");
}
