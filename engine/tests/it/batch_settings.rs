//! The size of a destination's batches, their level of compression, and the interval of its runs:
//! rules 5, 6, 9 and 11.

use std::time::{Duration, SystemTime};

use auditstream_engine::streaming::encode;
use auditstream_engine::trail::{BodyFormat, ingest};
use auditstream_engine::{Precondition, connectors, destinations};
use auditstream_model::limits::EVENT_BYTES;
use auditstream_model::{AggregateItem, Backoff, Compression, Sequence, Status};
use serde_json::{Value, json};

use crate::support::{House, connector, dense, destination, events};
use crate::{on, on_both};
use auditstream_testkit::s3::{BUCKET, Fault, Store};

on_both![
    a_batch_ends_at_the_size_of_its_destination,
    a_smaller_size_applies_to_the_next_batch_and_not_to_a_frozen_one,
    a_level_is_frozen_with_its_batch,
    each_destination_runs_at_its_own_interval,
    a_hundred_thousand_events_are_one_batch,
];

on![
    sqlite_file,
    Sqlite,
    the_largest_batch_is_delivered_after_its_destination_failed,
];

/// Returns an event whose stored form has about `bytes` bytes.
fn sized(id: String, bytes: usize) -> Value {
    json!({
        "auditEventId": id,
        "auditEventAuthor": {"principal": {"type": "USER", "identifier": "ada"}},
        "auditModule": "CD",
        "auditResource": {"type": "PIPELINE", "identifier": "p"},
        "auditResourceScope": {"accountIdentifier": "default"},
        "auditAction": "UPDATE",
        "auditEventTime": "1688989356000",
        "auditEventMetadata": {"filling": "x".repeat(bytes.saturating_sub(400))},
    })
}

/// Connects a store without retries and adds a destination with these options.
async fn prepared(house: &House, spec: Value) -> Store {
    let store = Store::start().await;
    let mut impatient = connector(&store.endpoint);
    impatient.spec.backoff = Backoff::FixedDelay {
        fixed_backoff: 1,
        retry_count: 0,
    };
    connectors::create(&house.engine, &house.admin, impatient)
        .await
        .unwrap();
    house.destination(BUCKET, spec).await;
    store
}

/// Replaces options of the destination, which also requests a run.
async fn edit(house: &House, spec: Value) {
    let mut input = destination(BUCKET, spec);
    input.status = Some(Status::Active);
    destinations::replace(&house.engine, &house.admin, "siem", input, &Precondition::None)
        .await
        .unwrap();
}

async fn has_failed(house: &House) {
    house.settled(|item| item.streaming_details.failure.is_some()).await;
}

async fn a_batch_ends_at_the_size_of_its_destination(mut house: House) {
    house.stop_streaming().await;
    let store = prepared(&house, json!({"batch_events": 100, "batch_bytes": 1 << 20})).await;
    let small: Vec<_> = (0..330).map(|number| sized(format!("small {number}"), 500)).collect();
    let large: Vec<_> = (0..3).map(|number| sized(format!("large {number}"), 600_000)).collect();
    house.send(&small).await;
    house.send(&large).await;
    house.toggle(Status::Active).await;
    let house = house.reopen().await;
    house.all_caught_up().await;
    let mut batches = house.batches().await;
    batches.reverse();
    let sizes: Vec<_> = batches.iter().map(|batch| batch.events).collect();
    assert_eq!(sizes[..3], [100, 100, 100], "{sizes:?}");
    // The rest of the small events with the first large one, and each other one alone.
    assert_eq!(sizes.len(), 6, "{sizes:?}");
    assert!(batches.iter().all(|batch| batch.bytes <= 1 << 20), "{batches:?}");
    assert_eq!(store.objects(BUCKET).len(), batches.len());
    assert!(dense(&store.sequences(BUCKET)));
}

async fn a_smaller_size_applies_to_the_next_batch_and_not_to_a_frozen_one(house: House) {
    let store = prepared(&house, json!({})).await;
    store.next(&[Fault::Deny]);
    house.send(&events()[..50]).await;
    house.toggle(Status::Active).await;
    has_failed(&house).await;
    let frozen = house.batches().await.remove(0);
    house.send(&events()[50..75]).await;
    edit(&house, json!({"batch_events": 10})).await;
    house.streamed().await;
    let mut batches = house.batches().await;
    batches.reverse();
    assert!(frozen.events > 50);
    assert_eq!((batches[0].events, &batches[0].key), (frozen.events, &frozen.key));
    assert!(batches[1..].iter().all(|batch| batch.events <= 10), "{batches:?}");
    assert!(batches[1..].iter().any(|batch| batch.events == 10), "{batches:?}");
    assert!(dense(&store.sequences(BUCKET)));
}

async fn a_level_is_frozen_with_its_batch(house: House) {
    let store = prepared(&house, json!({"compression_level": 1})).await;
    // The object is stored, and its response is lost.
    store.next(&[Fault::LoseAnswer]);
    house.send(&events()).await;
    house.toggle(Status::Active).await;
    has_failed(&house).await;
    let first = house.batches().await.remove(0);
    let sent = std::fs::read(store.path(BUCKET, &first.key)).unwrap();
    std::fs::remove_file(store.path(BUCKET, &first.key)).unwrap();
    store.forget_metadata();
    edit(&house, json!({"compression_level": 9})).await;
    house.streamed().await;
    let objects = store.objects(BUCKET);
    assert_eq!(objects[&first.key], sent, "a retry sends the same bytes");
    let mut batches = house.batches().await;
    batches.reverse();
    for (batch, level) in [(&batches[0], 1), (&batches[1], 9)] {
        let object = &objects[&batch.key];
        let content = encode::decompress(object, Compression::Gzip).unwrap();
        assert_eq!(
            object,
            &encode::compress(&content, Compression::Gzip, Some(level)).unwrap(),
            "level {level}"
        );
    }
    let content = encode::decompress(&sent, Compression::Gzip).unwrap();
    assert_ne!(sent, encode::compress(&content, Compression::Gzip, Some(9)).unwrap());
    let levels = [(1, Some(1)), (2, Some(9))];
    let mut connection = house.connection().await;
    let stored: Vec<(i64, Option<i64>)> =
        sqlx::query_as("SELECT number, level FROM streaming_batch WHERE number <= 2 ORDER BY number")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(stored, levels);
}

/// Returns an interval, in seconds, no tick of which is near.
fn interval_without_a_tick_now() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let far = |interval: &u64| (1_000..interval - 1_000).contains(&(now % interval));
    (40_000..80_000).find(far).unwrap()
}

/// The scheduling of a destination: its epoch, which every run increases, and its last tick.
async fn runs(house: &House, identifier: &str) -> (i64, i64) {
    let mut connection = house.connection().await;
    sqlx::query_as("SELECT epoch, last_tick FROM streaming_destination WHERE identifier = $1")
        .bind(identifier)
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

/// Waits until no run is in progress or requested.
async fn at_rest(house: &House) {
    let mut connection = house.connection().await;
    loop {
        let busy: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM streaming_destination \
             WHERE lease_replica IS NOT NULL OR runs_requested > runs_served",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        if busy == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn item(house: &House, identifier: &str) -> AggregateItem {
    destinations::overview(&house.engine, &house.admin, identifier)
        .await
        .unwrap()
}

async fn each_destination_runs_at_its_own_interval(mut house: House) {
    const TICK_IS_DUE: &str =
        "UPDATE streaming_destination SET last_tick = last_tick - 20000 WHERE identifier = 'siem'";
    let interval = interval_without_a_tick_now();
    house.config.stream_interval = Duration::from_secs(interval);
    let house = house.reopen().await;
    let store = prepared(&house, json!({"interval_seconds": 10, "prefix": "siem/"})).await;
    house.another_destination("slow", "aws").await;
    house.toggle(Status::Active).await;
    for identifier in ["siem", "slow"] {
        destinations::stream_now(&house.engine, &house.admin, identifier)
            .await
            .unwrap();
    }
    house.all_caught_up().await;
    at_rest(&house).await;
    let slow = runs(&house, "slow").await;
    for round in 0..2 {
        house.send(&events()[round * 10..round * 10 + 10]).await;
        house.sql(TICK_IS_DUE).await;
        house.settled(|item| item.streaming_details.behind == Some(0)).await;
        assert_eq!(runs(&house, "slow").await, slow, "it waits for its own tick");
    }
    assert_eq!(item(&house, "slow").await.streaming_details.behind, Some(20));
    assert!(dense(&store.sequences(&format!("{BUCKET}/siem"))));

    // Without events a tick is served without a run.
    at_rest(&house).await;
    let siem = runs(&house, "siem").await;
    house.sql(TICK_IS_DUE).await;
    while runs(&house, "siem").await.1 < siem.1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(runs(&house, "siem").await.0, siem.0);
    assert_eq!(siem.1 % 10_000, 0);

    let before = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let next = item(&house, "siem").await.streaming_details.next_run.unwrap();
    assert!(next % 10_000 == 0 && next > before && next <= before + 20_000, "{next}");
    let interval = i64::try_from(interval).unwrap() * 1_000;
    let next = item(&house, "slow").await.streaming_details.next_run.unwrap();
    assert!(
        next % interval == 0 && next > before && next <= before + interval,
        "{next}"
    );
    house.toggle(Status::Inactive).await;
    assert_eq!(item(&house, "siem").await.streaming_details.next_run, None);
}

async fn a_hundred_thousand_events_are_one_batch(mut house: House) {
    const EVENTS: usize = 100_000;
    house.stop_streaming().await;
    let store = prepared(
        &house,
        json!({"batch_events": EVENTS, "batch_bytes": 64 << 20, "compression_level": 1}),
    )
    .await;
    for request in 0..10 {
        let lines: String = (0..EVENTS / 10)
            .map(|number| format!("{}\n", sized(format!("{request} {number}"), 0)))
            .collect();
        ingest(&house.engine, &house.ingester, BodyFormat::Ndjson, lines.into())
            .await
            .unwrap();
    }
    house.toggle(Status::Active).await;
    let house = house.reopen().await;
    house.all_caught_up().await;
    let first = house.batches().await.pop().unwrap();
    assert_eq!(first.events, i64::try_from(EVENTS).unwrap());
    let content = encode::decompress(&store.objects(BUCKET)[&first.key], Compression::Gzip).unwrap();
    assert_eq!(i64::try_from(content.len()).unwrap(), first.bytes);
    let lines = content.split_inclusive(|byte| *byte == b'\n');
    for (sequence, line) in (1..).zip(lines) {
        let ending = format!(",\"sequence\":{sequence},\"batchId\":\"1-{EVENTS}\"}}}}\n");
        assert!(
            line.ends_with(&ending.as_bytes()[1..]),
            "{}",
            String::from_utf8_lossy(line)
        );
    }
}

/// Its memory is all that failing destinations can have.
async fn the_largest_batch_is_delivered_after_its_destination_failed(house: House) {
    let store = prepared(&house, json!({"batch_bytes": 64 << 20, "compression": "none"})).await;
    for request in 0..7 {
        let events: Vec<_> = (0..10)
            .map(|number| sized(format!("{request} {number}"), EVENT_BYTES))
            .collect();
        house.send(&events).await;
    }
    store.next(&[Fault::Deny]);
    house.toggle(Status::Active).await;
    has_failed(&house).await;
    house.streamed().await;
    let largest = house
        .batches()
        .await
        .into_iter()
        .map(|batch| batch.bytes)
        .max()
        .unwrap();
    assert!(((62 << 20)..=64 << 20).contains(&largest), "{largest}");
    let mut sequences: Vec<Sequence> = store.sequences(BUCKET);
    sequences.sort_unstable();
    assert!(dense(&sequences));
}
