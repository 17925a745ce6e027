//! Rules 5, 8, 11 and 12: batches that are built while another one is on its way, and objects that
//! several destinations share.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use auditstream_engine::{Precondition, destinations};
use auditstream_model::{BatchStatus, Status};
use serde_json::json;

use crate::on_both;
use crate::support::{House, dense, destination, events};
use auditstream_testkit::s3::{BUCKET, Fault, Store};

on_both![
    a_pause_prevents_the_put_of_a_batch_that_is_ready,
    a_batch_is_frozen_with_its_attempt_once_the_one_before_it_is_confirmed,
    a_batch_that_was_built_ahead_is_sent_by_the_settings_of_its_time,
    a_cursor_that_is_not_before_the_batch_is_left_alone,
    destinations_with_equal_settings_have_equal_objects,
];

/// Events of one batch.
const EVENTS: i64 = 4;

async fn ready(house: &House) -> Store {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({"batch_events": EVENTS})).await;
    house.send(&events()).await;
    store
}

/// Waits until `count` PUTs have arrived.
async fn puts(store: &Store, count: usize) {
    while store.puts.load(Ordering::SeqCst) < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn a_pause_prevents_the_put_of_a_batch_that_is_ready(house: House) {
    let store = ready(&house).await;
    store.next(&[Fault::Pass, Fault::Hold]);
    house.toggle(Status::Active).await;
    puts(&store, 2).await;
    house.toggle(Status::Inactive).await;
    store.release.add_permits(1);
    house
        .settled(|item| item.streaming_details.cursor == Some(2 * EVENTS))
        .await;
    let batches = house.batches().await;
    assert_eq!(batches.len(), 2, "the next batch is not frozen: {batches:?}");
    assert!(batches.iter().all(|batch| batch.status == BatchStatus::Success));
    assert_eq!(store.puts.load(Ordering::SeqCst), 2);
    house.toggle(Status::Active).await;
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
}

async fn a_batch_is_frozen_with_its_attempt_once_the_one_before_it_is_confirmed(house: House) {
    let store = ready(&house).await;
    store.next(&[Fault::Pass, Fault::Pass, Fault::Hold]);
    house.toggle(Status::Active).await;
    puts(&store, 3).await;
    let batches = house.batches().await;
    let states: Vec<_> = batches.iter().map(|batch| (batch.status, batch.attempts)).collect();
    let [open, done] = [(BatchStatus::InProgress, 1), (BatchStatus::Success, 1)];
    assert_eq!(states, [open, done, done], "newest first");
    let item = destinations::overview(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    assert_eq!(item.streaming_details.cursor, Some(2 * EVENTS));
    store.release.add_permits(1);
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
    let ends: Vec<i64> = house.batches().await.iter().map(|batch| batch.last_sequence).collect();
    assert!(ends.iter().skip(1).all(|end| end % EVENTS == 0), "{ends:?}");
}

async fn a_batch_that_was_built_ahead_is_sent_by_the_settings_of_its_time(house: House) {
    let store = ready(&house).await;
    store.next(&[Fault::Pass, Fault::Hold]);
    house.toggle(Status::Active).await;
    puts(&store, 2).await;
    let mut edited = destination(BUCKET, json!({"batch_events": EVENTS, "compression": "none"}));
    edited.status = Some(Status::Active);
    destinations::replace(&house.engine, &house.admin, "siem", edited, &Precondition::None)
        .await
        .unwrap();
    store.release.add_permits(1);
    house.streamed().await;
    for key in store.objects(BUCKET).keys() {
        let number: i64 = key.rsplit('/').next().unwrap()[..12].parse().unwrap();
        assert_eq!(key.ends_with(".gz"), number <= 2, "{key}");
    }
    assert!(dense(&store.sequences(BUCKET)));
}

async fn a_cursor_that_is_not_before_the_batch_is_left_alone(house: House) {
    let store = ready(&house).await;
    store.next(&[Fault::Pass, Fault::Hold]);
    house.toggle(Status::Active).await;
    puts(&store, 2).await;
    house.sql("UPDATE streaming_destination SET cursor = 3").await;
    store.release.add_permits(1);
    let mut connection = house.connection().await;
    let cursor: i64 = loop {
        let ended: Option<i64> =
            sqlx::query_scalar("SELECT cursor FROM streaming_destination WHERE lease_replica IS NULL")
                .fetch_optional(&mut connection)
                .await
                .unwrap();
        match ended {
            Some(cursor) => break cursor,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert_eq!(cursor, 3);
    assert_eq!(house.batches().await.len(), 2, "no further batch is frozen");
}

async fn destinations_with_equal_settings_have_equal_objects(house: House) {
    let store = ready(&house).await;
    let mut other = destination(BUCKET, json!({"batch_events": EVENTS, "prefix": "other/"}));
    other.identifier = "other".into();
    other.status = Some(Status::Active);
    destinations::create(&house.engine, &house.admin, other).await.unwrap();
    house.toggle(Status::Active).await;
    house.streamed().await;
    destinations::stream_now(&house.engine, &house.admin, "other")
        .await
        .unwrap();
    house.all_caught_up().await;
    let (mut first, mut second) = (BTreeMap::new(), BTreeMap::new());
    for (key, object) in store.objects(BUCKET) {
        let range = key.rsplit('/').next().unwrap().split('_').nth(1).unwrap().to_owned();
        let objects = if key.starts_with("other/") {
            &mut second
        } else {
            &mut first
        };
        objects.insert(range, object);
    }
    let whole: Vec<_> = first.keys().filter(|range| second.contains_key(*range)).collect();
    assert!(whole.len() > 5, "{:?} and {:?}", first.keys(), second.keys());
    for range in whole {
        assert_eq!(first[range], second[range], "{range}");
    }
}
