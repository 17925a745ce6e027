//! The partitions of the trail on PostgreSQL: an event is never refused because one is missing, and
//! retention drops them without losing an event that is needed.

use std::time::Duration;

use auditstream_engine::database::{DatabaseUrl, Limits, PostgresUrl};
use auditstream_engine::relocation::{Relocation, relocate};
use auditstream_engine::trail::{BodyFormat, EventRef, find, ingest};
use auditstream_engine::{Engine, Retention, metrics};
use auditstream_model::Status;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};

use crate::child::{Inside, Process, patience};
use crate::on;
use crate::support::{House, On, dense, events};
use auditstream_testkit::postgres::database as new_postgres;
use auditstream_testkit::s3::{BUCKET, Store};

on!(
    postgres,
    Postgres,
    an_event_whose_partition_is_missing_is_stored_and_moved_there_later,
    a_clock_that_jumps_years_ahead_and_back_loses_no_event,
    retention_drops_the_partitions_of_a_month_and_nothing_else,
    a_month_that_retention_has_reached_in_part_is_left_whole,
    an_event_that_a_destination_needs_outlives_its_month,
    an_interrupted_detaching_is_completed,
    a_detached_partition_is_dropped_unless_its_events_are_needed,
    two_servers_keep_the_partitions_at_once,
    every_key_of_the_trail_begins_with_the_account,
    a_server_that_is_killed_while_it_drops_a_month_continues,
    a_move_to_another_server_keeps_the_partitions,
);

const TABLES: [&str; 3] = ["audit_segment", "audit_event", "event_id"];
/// A month that a retention of two years has left behind: 26 months before the current one.
const OLD: i64 = 26;

async fn quick(mut house: House) -> House {
    house.config.retention = quick_retention();
    house = house.reopen().await;
    house.stop_streaming().await;
    house
}

fn quick_retention() -> Retention {
    Retention {
        every: Duration::from_millis(20),
        settle: Duration::ZERO,
        confirm_above: 100,
        ..Retention::default()
    }
}

fn many(name: &str, count: usize) -> Vec<Value> {
    let mut event = events().remove(0);
    let one = |number| {
        event["auditEventId"] = format!("{name}-{number}").into();
        event.clone()
    };
    (0..count).map(one).collect()
}

async fn number(house: &House, sql: &str) -> i64 {
    let mut connection = house.connection().await;
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

async fn execute(house: &House, sql: String) {
    let mut connection = house.connection().await;
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
}

async fn until(house: &House, what: &str, sql: &str, wanted: i64) {
    let mut seen = -1;
    for _ in 0..1200 {
        seen = number(house, sql).await;
        if seen == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{what}: {seen}, not {wanted}");
}

/// The rows in partition 0 of all three tables.
const IN_ZERO: &str = "SELECT (SELECT count(*) FROM audit_segment_0) + (SELECT count(*) FROM audit_event_0)
                       + (SELECT count(*) FROM event_id_0)";

async fn current(house: &House) -> i64 {
    number(
        house,
        "SELECT CAST(extract(year FROM now() AT TIME ZONE 'UTC') * 12 + extract(month FROM now() AT TIME ZONE 'UTC')
                     - 1 - 1970 * 12 AS BIGINT)",
    )
    .await
}

fn partitions_of(month: i64) -> String {
    format!(
        "SELECT count(*) FROM pg_class WHERE relkind = 'r' \
         AND CAST(relname AS TEXT) IN ('audit_segment_{month}', 'audit_event_{month}', 'event_id_{month}')"
    )
}

async fn create_month(house: &House, month: i64) {
    for table in TABLES {
        execute(
            house,
            format!(
                "CREATE TABLE {table}_{month} (LIKE {table} INCLUDING ALL); \
                 ALTER TABLE {table} ATTACH PARTITION {table}_{month} FOR VALUES IN ({month})"
            ),
        )
        .await;
    }
}

/// Lets all events be from the middle of a month that is long past. Returns the month.
async fn age(house: &House, ago: i64) -> i64 {
    let month = current(house).await - ago;
    create_month(house, month).await;
    let (year, number) = (1970 + month / 12, month % 12 + 1);
    execute(
        house,
        format!(
            "UPDATE audit_segment SET month = {month}, received = 1000 * t, last_received = 1000 * t
             FROM (SELECT CAST(extract(epoch FROM timestamptz '{year}-{number}-14 00:00Z') AS BIGINT) AS t) AS it;
             UPDATE audit_event SET month = {month};
             UPDATE event_id SET month = {month};
             UPDATE trail_range SET month = {month};
             UPDATE account SET month = {month}, month_changes = month_changes + 1, last_received = 1"
        ),
    )
    .await;
    month
}

async fn refuse_deletions(house: &House) {
    house
        .sql(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'kept'; END $$; \
             CREATE TRIGGER keep BEFORE DELETE ON audit_event FOR EACH ROW EXECUTE FUNCTION keep()",
        )
        .await;
}

async fn an_event_whose_partition_is_missing_is_stored_and_moved_there_later(house: House) {
    let mut house = quick(house).await;
    let month = current(&house).await;
    assert_eq!(number(&house, IN_ZERO).await, 0);
    // As another server's retention could have done since this one looked.
    for table in TABLES {
        execute(&house, format!("ALTER TABLE {table} DETACH PARTITION {table}_{month}")).await;
    }
    let sent = many("early", 700);
    for some in sent.chunks(100) {
        assert_eq!(house.send(some).await.accepted, 100);
    }
    assert_eq!(house.send(&sent).await.duplicates, 700);
    assert!(number(&house, IN_ZERO).await >= 2 * 700 + 7);
    house.start_streaming();
    until(&house, "partition 0 is empty", IN_ZERO, 0).await;
    until(&house, "the month has its partitions again", &partitions_of(month), 3).await;
    assert_eq!(house.send(&sent).await.duplicates, 700);
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
    let labels = "SELECT count(*) FROM trail_range WHERE month = 0";
    assert_eq!(number(&house, labels).await, 0);
}

async fn a_clock_that_jumps_years_ahead_and_back_loses_no_event(house: House) {
    const FIVE_YEARS: i64 = 5 * 365 * 86_400_000;
    let mut house = quick(house).await;
    house.config.clock.shift(FIVE_YEARS);
    assert_eq!(house.send(&many("ahead", 30)).await.accepted, 30);
    house.config.clock.shift(0);
    assert_eq!(house.send(&many("after", 30)).await.accepted, 30);
    assert_eq!(
        number(&house, "SELECT count(*) FROM event_id_0").await,
        30,
        "the month of the first has no partition"
    );
    assert_eq!(house.send(&many("ahead", 30)).await.duplicates, 30);
    house.start_streaming();
    until(&house, "partition 0 is empty", IN_ZERO, 0).await;
    assert_eq!(house.send(&many("ahead", 30)).await.duplicates, 30);
    let found = find(&house.engine, &house.admin, &EventRef::Id("ahead-7".to_owned())).await;
    assert!(found.unwrap().json.contains("ahead-7"));
    let far = number(
        &house,
        "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND CAST(relname AS TEXT) LIKE 'audit_segment\\_%'",
    )
    .await;
    assert_eq!(far, 4, "this month, the next two and partition 0");
}

async fn retention_drops_the_partitions_of_a_month_and_nothing_else(house: House) {
    let mut house = quick(house).await;
    house.send(&many("old", 300)).await;
    let old = age(&house, OLD).await;
    let gone = number(&house, "SELECT last_sequence FROM account").await;
    assert_eq!(house.send(&many("young", 50)).await.accepted, 50);
    refuse_deletions(&house).await;
    house.start_streaming();
    until(&house, "the old month is gone", &partitions_of(old), 0).await;
    until(
        &house,
        "the trail begins after it",
        "SELECT first_sequence FROM account",
        gone + 1,
    )
    .await;
    assert_eq!(number(&house, "SELECT min(sequence) FROM audit_event").await, gone + 1);
    assert_eq!(house.send(&many("young", 50)).await.duplicates, 50);
    assert_eq!(house.send(&many("old", 1)).await.accepted, 1, "gone, and so new");
}

/// Of the month that the retention of two years has reached, some events have expired: they are not
/// deleted one by one.
async fn a_month_that_retention_has_reached_in_part_is_left_whole(house: House) {
    let mut house = quick(house).await;
    house.send(&many("old", 100)).await;
    let month = age(&house, 24).await;
    let now = number(&house, "SELECT CAST(extract(epoch FROM now()) * 1000 AS BIGINT)").await;
    let reached = now - 730 * 86_400_000 - 1;
    execute(
        &house,
        format!("UPDATE audit_segment SET received = {reached}, last_received = {reached}"),
    )
    .await;
    house.send(&many("young", 1)).await;
    refuse_deletions(&house).await;
    house.start_streaming();
    until(
        &house,
        "they have expired",
        "SELECT CAST(CASE WHEN expired_sequence >= 100 THEN 1 ELSE 0 END AS BIGINT) FROM account",
        1,
    )
    .await;
    let kept = number(&house, "SELECT count(*) FROM audit_event").await;
    assert!(kept > 100);
    assert_eq!(number(&house, &partitions_of(month)).await, 3);
    let rendered = metrics::render(&house.engine).await;
    assert!(
        rendered.contains("auditstream_retention_failures_total 0"),
        "{rendered}"
    );
}

async fn an_event_that_a_destination_needs_outlives_its_month(house: House) {
    let mut house = quick(house).await;
    let store = Store::start().await;
    house.start_streaming();
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.send(&many("streamed", 100)).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    house.toggle(Status::Inactive).await;
    house.stop_streaming().await;
    let cursor = number(&house, "SELECT cursor FROM streaming_destination").await;
    house.send(&many("needed", 1_200)).await;
    let old = age(&house, OLD).await;
    house.send(&many("young", 10)).await;
    house.start_streaming();
    until(&house, "the old month is gone", &partitions_of(old), 0).await;
    let first = number(&house, "SELECT min(sequence) FROM audit_event").await;
    assert!(first <= cursor + 1, "{first} {cursor}");
    assert_eq!(house.send(&many("needed", 1_200)).await.duplicates, 1_200);
    house.toggle(Status::Active).await;
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)), "nothing was skipped");
    until(
        &house,
        "they are removed once they are delivered",
        "SELECT count(*) FROM audit_segment_0",
        0,
    )
    .await;
}

async fn an_interrupted_detaching_is_completed(house: House) {
    let mut house = quick(house).await;
    let old = current(&house).await - OLD;
    create_month(&house, old).await;
    let mut reader = house.connection().await;
    reader
        .execute("BEGIN; SELECT count(*) FROM audit_segment")
        .await
        .unwrap();
    let mut connection = house.connection().await;
    connection.execute("SET statement_timeout = 200").await.unwrap();
    let detach = format!("ALTER TABLE audit_segment DETACH PARTITION audit_segment_{old} CONCURRENTLY");
    sqlx::raw_sql(AssertSqlSafe(detach))
        .execute(&mut connection)
        .await
        .unwrap_err();
    let pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending";
    assert_eq!(number(&house, pending).await, 1);
    assert_eq!(house.send(&many("meanwhile", 5)).await.accepted, 5);
    reader.execute("ROLLBACK").await.unwrap();
    house.start_streaming();
    until(&house, "the old month is gone", &partitions_of(old), 0).await;
    assert_eq!(number(&house, pending).await, 0);
}

async fn a_detached_partition_is_dropped_unless_its_events_are_needed(house: House) {
    let mut house = quick(house).await;
    let month = current(&house).await;
    let sent = many("kept", 40);
    house.send(&sent).await;
    create_month(&house, month - OLD).await;
    for (table, month) in [
        ("event_id", month - OLD),
        ("audit_event", month - OLD),
        ("audit_segment", month),
    ] {
        execute(&house, format!("ALTER TABLE {table} DETACH PARTITION {table}_{month}")).await;
    }
    house.start_streaming();
    until(&house, "the old month is gone", &partitions_of(month - OLD), 0).await;
    let attached =
        format!("SELECT count(*) FROM pg_inherits WHERE inhrelid = CAST('audit_segment_{month}' AS regclass)");
    until(&house, "the needed one is attached", &attached, 1).await;
    assert_eq!(house.send(&sent).await.duplicates, 40);
    let found = find(&house.engine, &house.admin, &EventRef::Id("kept-7".to_owned())).await;
    assert!(found.unwrap().json.contains("kept-7"));
}

async fn two_servers_keep_the_partitions_at_once(house: House) {
    let mut house = quick(house).await;
    house.send(&many("old", 60)).await;
    let old = age(&house, OLD).await;
    house.send(&many("young", 60)).await;
    let month = current(&house).await;
    for table in TABLES {
        execute(&house, format!("DROP TABLE {table}_{}", month + 2)).await;
    }
    let other = Engine::open(house.config.clone()).await.unwrap();
    house.start_streaming();
    let background = other.start();
    until(&house, "the old month is gone", &partitions_of(old), 0).await;
    until(&house, "the month after the next", &partitions_of(month + 2), 3).await;
    let body = serde_json::to_vec(&many("other", 10)).unwrap();
    let sent = ingest(&other, &house.ingester, BodyFormat::Json, body.into())
        .await
        .unwrap();
    assert_eq!(sent.accepted, 10);
    assert_eq!(house.send(&many("other", 10)).await.duplicates, 10);
    background.stop().await;
    other.close().await;
}

/// Citus distributes tables by a column that every unique key contains.
async fn every_key_of_the_trail_begins_with_the_account(house: House) {
    let mut connection = house.connection().await;
    let keys: Vec<(String, String)> = sqlx::query_as(
        "SELECT CAST(c.relname AS TEXT), CAST(a.attname AS TEXT)
         FROM pg_index i
         JOIN pg_class c ON c.oid = i.indrelid
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
         WHERE c.relname IN ('audit_segment', 'audit_event', 'event_id', 'event_id_filter', 'trail_range',
                             'sequence_gap', 'segment_merge', 'search_index', 'search_slice', 'search_order',
                             'search_block', 'trail_reader')",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(keys.len(), 12, "{keys:?}");
    for (table, column) in keys {
        assert_eq!(column, "account_id", "{table}");
    }
}

async fn a_server_that_is_killed_while_it_drops_a_month_continues(house: House) {
    let house = quick(house).await;
    house.send(&many("old", 60)).await;
    let old = age(&house, OLD).await;
    house.send(&many("young", 60)).await;
    house.engine.close().await;
    let (house, seen) = tokio::task::spawn_blocking(move || {
        let mut seen = Vec::new();
        for point in [
            "release_month.committing",
            "release_month.committed",
            "partitions.detached",
        ] {
            let stop = ("AUDITSTREAM_FAILPOINT", point.to_owned());
            let mut process = Process::start("partitions::the_process", &house, &[stop]);
            seen.push(process.says(&format!("failpoint {point}"), patience(On::Postgres)));
            process.kill();
        }
        (house, seen)
    })
    .await
    .unwrap();
    assert_eq!(seen, [true, true, true]);
    let mut house = house;
    house.engine = Engine::open(house.config.clone()).await.unwrap();
    house.start_streaming();
    until(&house, "the old month is gone", &partitions_of(old), 0).await;
    assert_eq!(house.send(&many("young", 60)).await.duplicates, 60);
}

async fn a_move_to_another_server_keeps_the_partitions(house: House) {
    let mut house = quick(house).await;
    house.send(&many("old", 60)).await;
    let old = age(&house, 20).await;
    house.send(&many("young", 60)).await;
    house.stop().await;
    let url = new_postgres();
    let relocation = Relocation {
        source: house.config.database.clone(),
        target: DatabaseUrl::Postgres(PostgresUrl::parse(&url).unwrap()),
        data_dir: house.config.data_dir.clone(),
        limits: Limits::default(),
    };
    let relocated = async || relocate(&relocation, &mut |_| {}).await;
    auditstream_testkit::wait::until_ok("the server counts as stopped", relocated).await;
    house.move_to(&url);
    house.engine = Engine::open(house.config.clone()).await.unwrap();
    assert_eq!(number(&house, IN_ZERO).await, 0);
    let in_old = format!("SELECT count(*) FROM event_id_{old}");
    assert!(number(&house, &in_old).await >= 60);
    assert_eq!(house.send(&many("old", 60)).await.duplicates, 60);
    assert_eq!(house.send(&many("young", 60)).await.duplicates, 60);
    let found = find(&house.engine, &house.admin, &EventRef::Id("old-7".to_owned())).await;
    assert!(found.unwrap().json.contains("old-7"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that a test above starts and kills"]
async fn the_process() {
    let Some(inside) = Inside::open_with(|config| config.retention = quick_retention()).await else {
        return;
    };
    let background = inside.engine.start();
    std::future::pending::<()>().await;
    background.stop().await;
}
