//! Rules 2, 8 and 9: several servers on one PostgreSQL database.

use std::time::{Duration, Instant};

use auditstream_engine::trail::{BodyFormat, ingest};
use auditstream_engine::{Config, Engine};
use auditstream_model::Status;
use serde_json::json;

use crate::on;
use crate::replica::Replica;
use crate::support::{House, events};
use auditstream_testkit::s3::{BUCKET, Fault, Store};

on![
    postgres,
    Postgres,
    a_reader_that_follows_the_sequence_misses_no_late_commit,
    two_servers_share_the_destinations_and_every_event_lands_once_in_order,
    a_tick_runs_once_for_any_number_of_servers,
    a_server_that_dies_during_a_put_is_replaced_within_seconds,
    a_frozen_server_that_wakes_up_changes_nothing,
    a_server_that_stops_hands_its_work_over_at_once,
    a_server_that_loses_its_connections_continues,
    a_pause_on_one_server_applies_to_all,
];

/// Another engine on the same database, as ingest of another server.
async fn others(house: &House, count: usize) -> Vec<Engine> {
    let mut engines = Vec::new();
    for _ in 0..count {
        engines.push(Engine::open(house.config.clone()).await.unwrap());
    }
    engines
}

fn numbered(number: usize) -> serde_json::Value {
    let mut event = events().remove(0);
    event["auditEventId"] = format!("numbered {number}").into();
    event
}

async fn a_reader_that_follows_the_sequence_misses_no_late_commit(house: House) {
    const WRITERS: usize = 6;
    const EVENTS: usize = 40;
    // Each commit is delayed between the insertion of its events and their visibility.
    house
        .sql(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM pg_sleep(random() * 0.02); RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON audit_event DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION dawdle()",
        )
        .await;
    let mut writers = tokio::task::JoinSet::new();
    for (writer, engine) in others(&house, WRITERS).await.into_iter().enumerate() {
        let actor = house.ingester.clone();
        writers.spawn(async move {
            for number in 0..EVENTS {
                let body = numbered(writer * EVENTS + number).to_string();
                ingest(&engine, &actor, BodyFormat::Json, body.into()).await.unwrap();
            }
        });
    }
    let mut connection = house.connection().await;
    let mut followed: Vec<i64> = Vec::new();
    let mut done = false;
    loop {
        let new: Vec<i64> =
            sqlx::query_scalar("SELECT sequence FROM audit_event WHERE sequence > $1 ORDER BY sequence")
                .bind(followed.last().copied().unwrap_or(0))
                .fetch_all(&mut connection)
                .await
                .unwrap();
        if done && new.is_empty() {
            break;
        }
        followed.extend(new);
        done = writers.try_join_next().is_none() && writers.is_empty();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(followed.len() >= WRITERS * EVENTS);
    assert_eq!(followed, (1..=followed.len() as i64).collect::<Vec<_>>());
}

/// Six active destinations.
async fn six(house: &House, store: &Store) -> [&'static str; 6] {
    let names = ["a", "b", "c", "d", "e", "f"];
    house.connect(store).await;
    for name in names {
        house.another_destination(name, "aws").await;
    }
    names
}

fn every(interval: Duration, house: &House) -> Config {
    Config {
        stream_interval: interval,
        ..house.config.clone()
    }
}

async fn number(house: &House, query: &'static str) -> i64 {
    let mut connection = house.connection().await;
    sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
}

async fn two_servers_share_the_destinations_and_every_event_lands_once_in_order(house: House) {
    let mut house = house;
    house.stop_streaming().await;
    let store = Store::start().await;
    store.next(&[Fault::Hold; 6]);
    house.send(&events()).await;
    let config = every(Duration::from_secs(1), &house);
    let _servers = (Replica::start(config.clone()).await, Replica::start(config).await);
    let names = six(&house, &store).await;
    store.reached(6).await;
    let sharing = number(
        &house,
        "SELECT count(DISTINCT lease_replica) FROM streaming_destination WHERE lease_replica IS NOT NULL",
    );
    assert_eq!(sharing.await, 2, "both servers stream");
    store.release.add_permits(6);
    for portion in 0..10 {
        let new: Vec<_> = (0..20).map(|one| numbered(portion * 20 + one)).collect();
        house.send(&new).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    house.all_caught_up().await;
    let last = number(&house, "SELECT last_sequence FROM account").await;
    for name in names {
        let landed = store.sequences(&format!("{BUCKET}/{name}"));
        assert_eq!(landed, (1..=last).collect::<Vec<_>>(), "{name}");
    }
}

async fn a_tick_runs_once_for_any_number_of_servers(house: House) {
    let mut house = house;
    house.stop_streaming().await;
    let store = Store::start().await;
    six(&house, &store).await;
    // Three have their own interval.
    house
        .sql("UPDATE streaming_destination SET interval_seconds = 1 WHERE identifier IN ('a', 'b', 'c')")
        .await;
    let config = every(Duration::from_secs(2), &house);
    let _servers = (Replica::start(config.clone()).await, Replica::start(config).await);
    house.all_caught_up().await;
    let (ticks, runs) = (
        "SELECT CAST(sum(last_tick / (coalesce(interval_seconds, 2) * 1000)) AS BIGINT) FROM streaming_destination",
        "SELECT CAST(sum(epoch) AS BIGINT) FROM streaming_destination",
    );
    // Until the requested runs have ended.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = (number(&house, ticks).await, number(&house, runs).await);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let after = (number(&house, ticks).await, number(&house, runs).await);
    let ticks = after.0 - before.0;
    let runs = after.1 - before.1;
    assert!(ticks >= 20, "{ticks}");
    // The two are not read at the same moment.
    assert!(runs <= ticks + 6, "{runs} runs in {ticks} ticks of six destinations");
}

async fn a_server_that_dies_during_a_put_is_replaced_within_seconds(house: House) {
    let mut house = house;
    house.stop_streaming().await;
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.send(&events()).await;
    // The object is stored, and its sender never learns of it.
    store.next(&[Fault::HoldAnswer]);
    let first = Replica::start(house.config.clone()).await;
    store.reached(1).await;
    let _second = Replica::start(house.config.clone()).await;
    while store.objects(BUCKET).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(number(&house, "SELECT cursor FROM streaming_destination").await, 0);
    let died = Instant::now();
    first.kill();
    house.all_caught_up().await;
    assert!(died.elapsed() < Duration::from_secs(10), "{:?}", died.elapsed());
    let last = number(&house, "SELECT last_sequence FROM account").await;
    assert_eq!(store.sequences(BUCKET), (1..=last).collect::<Vec<_>>());
    assert_eq!(number(&house, "SELECT attempts FROM streaming_batch").await, 2);
}

/// Returns the state of streaming as text.
async fn kept(house: &House) -> Vec<String> {
    let mut connection = house.connection().await;
    let query = "SELECT CAST(row_to_json(d) AS TEXT) FROM streaming_destination d \
                 UNION ALL SELECT CAST(row_to_json(b) AS TEXT) FROM streaming_batch b \
                 UNION ALL SELECT CAST(row_to_json(a) AS TEXT) FROM account a";
    sqlx::query_scalar(query).fetch_all(&mut connection).await.unwrap()
}

async fn a_frozen_server_that_wakes_up_changes_nothing(house: House) {
    let mut house = house;
    house.stop_streaming().await;
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    for fault in [Fault::HoldRefusal, Fault::HoldAnswer] {
        house.toggle(Status::Active).await;
        house.send(&[numbered(store.objects(BUCKET).len())]).await;
        store.next(&[fault]);
        let begun = store.puts.load(std::sync::atomic::Ordering::SeqCst);
        let first = Replica::start(house.config.clone()).await;
        store.reached(begun + 1).await;
        let thaw = first.freeze();
        let second = Replica::start(house.config.clone()).await;
        house.all_caught_up().await;
        // It finds nothing to send and releases its lease.
        while number(
            &house,
            "SELECT count(*) FROM streaming_destination WHERE lease_replica IS NOT NULL",
        )
        .await
            > 0
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let before = kept(&house).await;
        store.release.add_permits(1);
        tokio::time::sleep(Duration::from_millis(200)).await;
        thaw.send(()).unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(kept(&house).await, before, "{fault:?}");
        drop((first, second));
        house.toggle(Status::Inactive).await;
    }
    let landed = store.sequences(BUCKET);
    assert_eq!(landed, (1..=landed.len() as i64).collect::<Vec<_>>());
}

async fn a_server_that_stops_hands_its_work_over_at_once(house: House) {
    let mut house = house;
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    house.stop_streaming().await;
    assert_eq!(number(&house, "SELECT count(*) FROM replica").await, 0);
    let _other = Replica::start(house.config.clone()).await;
    house.send(&events()).await;
    let asked = Instant::now();
    auditstream_engine::destinations::stream_now(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    house.all_caught_up().await;
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

async fn a_server_that_loses_its_connections_continues(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    for round in 0..5 {
        house.send(&[numbered(round)]).await;
        store.next(&[Fault::Hold]);
        let begun = store.puts.load(std::sync::atomic::Ordering::SeqCst);
        // At an arbitrary moment, and again during the PUT.
        auditstream_engine::destinations::stream_now(&house.engine, &house.admin, "siem")
            .await
            .unwrap();
        store.reached(begun + 1).await;
        house
            .sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await;
        store.release.add_permits(1);
        house.all_caught_up().await;
    }
    house.streamed().await;
    let last = number(&house, "SELECT last_sequence FROM account").await;
    assert_eq!(store.sequences(BUCKET), (1..=last).collect::<Vec<_>>());
}

async fn a_pause_on_one_server_applies_to_all(house: House) {
    let mut house = house;
    house.stop_streaming().await;
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.send(&events()).await;
    store.next(&[Fault::Hold]);
    let config = every(Duration::from_secs(1), &house);
    let _servers = (Replica::start(config.clone()).await, Replica::start(config).await);
    store.reached(1).await;
    tokio::time::timeout(Duration::from_secs(5), house.toggle(Status::Inactive))
        .await
        .expect("the pause waited for the store");
    store.release.add_permits(1);
    house.send(&[numbered(0)]).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(
        store.puts.load(std::sync::atomic::Ordering::SeqCst),
        1,
        "nothing begins after the pause"
    );
    house.toggle(Status::Active).await;
    house.all_caught_up().await;
    let last = number(&house, "SELECT last_sequence FROM account").await;
    assert_eq!(store.sequences(BUCKET), (1..=last).collect::<Vec<_>>());
}
