//! The rows that PostgreSQL reads for ingest and streaming: only those that are needed, from the
//! first request of a new database on, when it has no statistics.

use std::time::Duration;

use auditstream_model::Status;
use serde_json::{Value, json};

use crate::on;
use crate::support::{House, dense, events};
use auditstream_testkit::s3::{BUCKET, Store};

const EVENTS: usize = 10_000;
const REQUESTS: usize = 4;

on![
    postgres,
    Postgres,
    ingest_and_streaming_read_only_the_entries_that_they_need,
];

fn request(number: usize) -> Vec<Value> {
    let event = events().remove(0);
    let numbered = |index: usize| {
        let mut event = event.clone();
        event["auditEventId"] = format!("{number} {index}").into();
        event
    };
    (0..EVENTS).map(numbered).collect()
}

/// Returns the number of index entries read, once `written` entries are counted as well.
async fn read_entries(house: &House, index: &str, written: i64) -> i64 {
    let mut connection = house.connection().await;
    for _ in 0..600 {
        let inserted: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(n_tup_ins), 0)::bigint FROM pg_stat_user_tables WHERE relname = 'audit_event'",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        if inserted >= written {
            let read =
                "SELECT coalesce(sum(idx_tup_read), 0)::bigint FROM pg_stat_user_indexes WHERE indexrelname = $1";
            return sqlx::query_scalar(read)
                .bind(index.to_owned())
                .fetch_one(&mut connection)
                .await
                .unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("PostgreSQL does not count what was written");
}

async fn ingest_and_streaming_read_only_the_entries_that_they_need(house: House) {
    for number in 0..REQUESTS {
        assert_eq!(house.send(&request(number)).await.accepted, 10_000);
    }
    let total = i64::try_from(REQUESTS * EVENTS).unwrap();
    let by_time = read_entries(&house, "audit_event_time", total).await;
    assert!(
        by_time < total,
        "ids are looked up by their own index: {by_time} entries read"
    );
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    let sequences = store.sequences(BUCKET);
    assert!(dense(&sequences) && sequences.len() > REQUESTS * EVENTS);
    // Once to freeze a batch and once to build it, and a little of the next each time.
    let by_sequence = read_entries(&house, "audit_event_sequence", total).await;
    assert!(by_sequence < total * 3, "{by_sequence} entries read for {total} events");
}
