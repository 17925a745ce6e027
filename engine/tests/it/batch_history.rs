//! Rule 17: neither a batch nor a page costs more after many batches, and batches go with their
//! events.

use std::time::Duration;

use auditstream_engine::{Precondition, destinations};
use auditstream_model::{Batch, ListQuery, Status};
use serde_json::json;
use sqlx::Connection as _;

use crate::on_both;
use crate::support::{House, On, dense, events};
use auditstream_testkit::s3::{BUCKET, Store};

on_both![
    pages_are_complete_after_discarded_batches,
    batches_are_removed_with_their_events_and_their_details_earlier,
    details_stay_while_the_clock_is_in_doubt,
    a_deleted_destination_loses_its_batches_in_steps,
    the_queries_of_batches_read_no_history,
];

async fn ready(house: &House) -> Store {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    store
}

fn event(number: usize) -> serde_json::Value {
    let mut event = events().remove(0);
    event["auditEventId"] = format!("history {number}").into();
    event
}

/// Sends `count` events, each of which becomes a batch.
async fn batches(house: &House, count: usize) {
    house.toggle(Status::Active).await;
    for number in 0..count {
        house.streamed().await;
        house.send(&[event(number)]).await;
    }
    house.streamed().await;
}

async fn number(house: &House, query: &'static str) -> i64 {
    let mut connection = house.connection().await;
    sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
}

async fn becomes(house: &House, query: &'static str, wanted: i64) {
    for _ in 0..600 {
        if number(house, query).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(number(house, query).await, wanted, "{query}");
}

/// Adds delivered batches of one event each after the existing ones, as if they had been streamed
/// a second ago.
async fn seed(house: &House, count: i64) {
    let mut connection = house.connection().await;
    let numbers = match house.on {
        On::Sqlite => "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)",
        On::Postgres => "WITH n(i) AS (SELECT generate_series(1, $1))",
    };
    let insert = format!(
        "{numbers} INSERT INTO streaming_batch (destination_id, number, account_id, status, first_sequence, \
         last_sequence, events, bytes, format, compression, sha256, key, created, finished, position) \
         SELECT d.id, d.last_batch + i, d.account_id, 'SUCCESS', 1, 1, 1, 1, '\"ndjson\"', '\"gzip\"', b.sha256, 'key', \
         b.created, b.finished, d.batches_frozen + i \
         FROM n, streaming_destination d JOIN streaming_batch b ON b.destination_id = d.id AND b.position = 1"
    );
    sqlx::query(sqlx::AssertSqlSafe(insert))
        .bind(count)
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query("UPDATE streaming_destination SET last_batch = last_batch + $1, batches_frozen = batches_frozen + $1")
        .bind(count)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

async fn page(house: &House, page: u32, limit: u32) -> (Vec<Batch>, u32) {
    let query = ListQuery {
        page,
        limit,
        ..ListQuery::default()
    };
    let found = destinations::batches(&house.engine, &house.admin, "siem", &query)
        .await
        .unwrap();
    (found.items, found.total)
}

/// Moving the cursor discards an open batch, whose number is not used again.
async fn pages_are_complete_after_discarded_batches(house: House) {
    let store = ready(&house).await;
    batches(&house, 2).await;
    for round in 0..2 {
        store.next(&[auditstream_testkit::s3::Fault::Deny]);
        house.send(&[event(10 + round)]).await;
        destinations::stream_now(&house.engine, &house.admin, "siem")
            .await
            .unwrap();
        house.settled(|item| item.streaming_details.failure.is_some()).await;
        house.toggle(Status::Inactive).await;
        let last = number(&house, "SELECT last_sequence FROM account").await;
        destinations::move_cursor(&house.engine, &house.admin, "siem", last, &Precondition::None)
            .await
            .unwrap();
        house.toggle(Status::Active).await;
        house.streamed().await;
    }
    let expected = house.batches().await;
    let total = number(&house, "SELECT count(*) FROM streaming_batch").await;
    assert_eq!(i64::try_from(expected.len()).unwrap(), total);
    assert!(expected[0].number > total, "numbers have gaps");
    let mut paged = Vec::new();
    for index in 0..=u32::try_from(total / 2).unwrap() {
        let (items, counted) = page(&house, index, 2).await;
        assert_eq!(i64::from(counted), total);
        paged.extend(items);
    }
    assert_eq!(paged, expected);
    assert_eq!(page(&house, u32::MAX, 100).await.0, []);
}

async fn batches_are_removed_with_their_events_and_their_details_earlier(mut house: House) {
    house.config.retention.every = Duration::from_millis(20);
    house.config.retention.settle = Duration::ZERO;
    house.config.retention.confirm_above = 100;
    house.config.retention.pause = Duration::from_millis(1);
    let house = house.reopen().await;
    let store = ready(&house).await;
    batches(&house, 5).await;
    let all = number(&house, "SELECT count(*) FROM streaming_batch").await;
    house
        .sql("UPDATE streaming_batch SET finished = finished - 2678400000, request_id = 'r' WHERE position <= 3")
        .await;
    becomes(&house, "SELECT batches_reduced FROM streaming_destination", 3).await;
    becomes(
        &house,
        "SELECT count(*) FROM streaming_batch WHERE length(sha256) = 0 AND request_id IS NULL",
        3,
    )
    .await;
    let oldest = page(&house, u32::try_from(all - 1).unwrap(), 1).await.0.remove(0);
    assert_eq!((oldest.number, oldest.first_sequence), (1, 1));
    assert!(oldest.key.starts_with("account=default/"), "{oldest:?}");
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1 WHERE last_sequence <= (SELECT last_sequence FROM streaming_batch WHERE position = 4)")
        .await;
    becomes(&house, "SELECT batches_removed FROM streaming_destination", 4).await;
    assert_eq!(number(&house, "SELECT min(position) FROM streaming_batch").await, 5);
    let (items, total) = page(&house, 0, 100).await;
    assert_eq!(
        (i64::try_from(items.len()).unwrap(), i64::from(total)),
        (all - 4, all - 4)
    );
    batches(&house, 1).await;
    assert!(dense(&store.sequences(BUCKET)), "streaming continues");
}

/// Rule 13.
async fn details_stay_while_the_clock_is_in_doubt(mut house: House) {
    house.config.retention.every = Duration::from_millis(20);
    house.config.retention.settle = Duration::ZERO;
    let house = house.reopen().await;
    let _store = ready(&house).await;
    batches(&house, 5).await;
    becomes(&house, "SELECT count(*) FROM clock WHERE trusted > 0", 1).await;
    house.config.clock.shift(3 * 365 * 86_400_000);
    // A sweep removes it at its end.
    let sweep = async || {
        house.sql("INSERT INTO deleted_destination (id) VALUES (999)").await;
        becomes(&house, "SELECT count(*) FROM deleted_destination", 0).await;
    };
    sweep().await;
    house
        .sql("UPDATE streaming_batch SET finished = finished - 2678400000 WHERE position <= 3")
        .await;
    sweep().await;
    let reduced = "SELECT batches_reduced FROM streaming_destination";
    assert_eq!(number(&house, reduced).await, 0);
    house.config.clock.shift(0);
    becomes(&house, reduced, 3).await;
}

/// With the sweep stopped, deleting touches none of the batches.
async fn a_deleted_destination_loses_its_batches_in_steps(mut house: House) {
    let _store = ready(&house).await;
    batches(&house, 1).await;
    house.toggle(Status::Inactive).await;
    house.stop_streaming().await;
    seed(&house, 2_500).await;
    let seeded = number(&house, "SELECT count(*) FROM streaming_batch").await;
    destinations::delete(&house.engine, &house.admin, "siem", &Precondition::None)
        .await
        .unwrap();
    assert_eq!(number(&house, "SELECT count(*) FROM streaming_batch").await, seeded);
    assert_eq!(number(&house, "SELECT count(*) FROM deleted_destination").await, 1);
    house.destination(BUCKET, json!({})).await;
    assert_eq!(page(&house, 0, 10).await.1, 0, "the identifier begins anew");
    house.config.retention.pause = Duration::from_millis(1);
    let house = house.reopen().await;
    becomes(&house, "SELECT count(*) FROM deleted_destination", 0).await;
    assert_eq!(number(&house, "SELECT count(*) FROM streaming_batch").await, 0);
}

/// The plans of a destination's queries, with a thousand and with a hundred thousand batches, name
/// an index and no scan. On PostgreSQL they also count the rows that they read.
async fn the_queries_of_batches_read_no_history(mut house: House) {
    let _store = ready(&house).await;
    batches(&house, 1).await;
    house.stop_streaming().await;
    for count in [1_000, 99_000] {
        seed(&house, count).await;
        for query in [
            "SELECT created FROM streaming_batch WHERE destination_id = 1 ORDER BY position DESC LIMIT 1",
            "SELECT number FROM streaming_batch WHERE destination_id = 1 AND position <= 500 AND position > 400 \
             ORDER BY position DESC",
            "SELECT number FROM streaming_batch WHERE destination_id = 1 AND status <> 'SUCCESS'",
            "SELECT d.id FROM streaming_destination d WHERE (SELECT b.last_sequence FROM streaming_batch b \
             WHERE b.destination_id = d.id AND b.position = d.batches_removed + 1 AND b.status = 'SUCCESS') < 9",
        ] {
            let read = rows_read(&house, query).await;
            assert!(read <= 110, "{count}: {read} rows read by {query}");
        }
    }
}

/// Returns the number of rows that a query reads: an upper bound on SQLite, by its plan.
async fn rows_read(house: &House, query: &str) -> i64 {
    let mut connection = house.connection().await;
    match house.on {
        On::Sqlite => {
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")))
                    .fetch_all(&mut connection)
                    .await
                    .unwrap();
            let whole = |step: &str| {
                step.contains("TEMP B-TREE") || step.starts_with("SCAN b") || step.starts_with("SCAN streaming_batch")
            };
            if plan.iter().any(|step| whole(&step.3)) {
                i64::MAX
            } else {
                0
            }
        }
        On::Postgres => {
            sqlx::query("ANALYZE streaming_batch")
                .execute(&mut connection)
                .await
                .unwrap();
            let plan: Vec<String> =
                sqlx::query_scalar(sqlx::AssertSqlSafe(format!("EXPLAIN (ANALYZE, TIMING OFF) {query}")))
                    .fetch_all(&mut connection)
                    .await
                    .unwrap();
            assert!(
                !plan.iter().any(|line| line.contains("Seq Scan on streaming_batch")),
                "{plan:#?}"
            );
            let rows = |line: &String| {
                let actual = line.split("actual rows=").nth(1)?;
                actual.split([' ', '.']).next()?.parse::<i64>().ok()
            };
            plan.iter().filter_map(rows).max().unwrap()
        }
    }
}
