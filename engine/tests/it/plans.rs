//! The rows that PostgreSQL reads for ingest and streaming: only those that are needed, from the
//! first request of a new database on, when it has no statistics. And the indexes by which either
//! database reads for searches.

use std::time::Duration;

use auditstream_engine::database::Dialect;
use auditstream_engine::retention::explained_removal;
use auditstream_engine::trail::{explained, explained_ids, explained_index};
use auditstream_model::Status;
use serde_json::{Value, json};
use sqlx::{Executor as _, Row as _};

use crate::support::{House, On, dense, events};
use crate::{on, on_both};
use auditstream_testkit::s3::{BUCKET, Store};

const EVENTS: usize = 10_000;
const REQUESTS: usize = 4;

on![
    postgres_server,
    Postgres,
    ingest_and_streaming_read_only_the_entries_that_they_need,
];

on_both![
    searches_enter_the_trail_by_an_index_bounded_at_both_ends,
    event_ids_are_found_by_the_index_of_their_generation,
    the_search_index_is_read_by_its_keys,
];

/// Explains the statements of searches, without statistics and with them.
async fn searches_enter_the_trail_by_an_index_bounded_at_both_ends(house: House) {
    house.send(&request(0)).await;
    plans_are_bounded(&house).await;
    house.sql("ANALYZE").await;
    plans_are_bounded(&house).await;
}

async fn the_search_index_is_read_by_its_keys(house: House) {
    let (dialect, explain) = match house.on {
        On::Sqlite => (Dialect::Sqlite, "EXPLAIN QUERY PLAN"),
        On::Postgres => (Dialect::Postgres, "EXPLAIN"),
    };
    let mut connection = house.connection().await;
    for (name, statement, types) in explained_index(dialect) {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(format!("{explain} {statement}")));
        for kind in types.chars() {
            query = match kind {
                'i' => query.bind(1_i64),
                'b' => query.bind(vec![1_u8]),
                _ => query.bind("[1,2]"),
            };
        }
        let rows = query.fetch_all(&mut connection).await.unwrap();
        let column = if house.on == On::Sqlite { 3 } else { 0 };
        let plan = rows
            .iter()
            .map(|row| row.get(column))
            .collect::<Vec<String>>()
            .join("\n");
        // On SQLite the array that is given is scanned.
        let scans = plan.contains("Seq Scan") || plan.contains("SCAN search_") || plan.contains("SCAN audit_");
        assert!(!scans && plan.contains("account_id"), "{name}:\n{plan}");
    }
}

async fn plans_are_bounded(house: &House) {
    let (dialect, explain) = match house.on {
        On::Sqlite => (Dialect::Sqlite, "EXPLAIN QUERY PLAN"),
        On::Postgres => (Dialect::Postgres, "EXPLAIN"),
    };
    let mut connection = house.connection().await;
    let month = month(house).await;
    if house.on == On::Postgres {
        // The few segments of this test fit on one page.
        connection.execute("SET enable_seqscan = off").await.unwrap();
    }
    let removed = ("removed events", explained_removal(dialect), dialect_types(house.on));
    let [of_events, of_segments] = ["audit_event", "audit_segment"].map(|table| format!("{table}_{month}_pkey"));
    for (name, statement, types) in explained(dialect).into_iter().chain([removed]) {
        // Values of a page in the middle of the trail: 1 is the account.
        let integers = [1, 1_600_000_000_000, 1_800_000_000_000, 5_000, 200_i64];
        let mut integers = integers.into_iter().chain([100]);
        let mut query = sqlx::query(sqlx::AssertSqlSafe(format!("{explain} {statement}")));
        for kind in types.chars() {
            query = match kind {
                'i' => query.bind(integers.next().unwrap()),
                'm' => query.bind(month),
                _ if name == removed.0 => query.bind("1,2"),
                _ => query.bind("[1,2]"),
            };
        }
        let rows = query.fetch_all(&mut connection).await.unwrap();
        let column = if house.on == On::Sqlite { 3 } else { 0 };
        let lines: Vec<String> = rows.iter().map(|row| row.get(column)).collect();
        let plan = lines.join("\n");
        let (index, bounds) = match (name, house.on) {
            ("floor" | "candidates", On::Sqlite) => {
                ("audit_event USING PRIMARY KEY", "(account_id=? AND time>? AND time<?)")
            }
            ("floor" | "candidates", On::Postgres) => ("audit_event_0_pkey", ""),
            ("heads" | "rows" | "heads to merge" | "rows to merge", On::Sqlite) => (
                "audit_segment_1",
                "(account_id=? AND last_sequence>? AND last_sequence<?)",
            ),
            ("removed events", On::Sqlite) => (
                "audit_event USING PRIMARY KEY",
                "(account_id=? AND time=? AND sequence=?)",
            ),
            ("removed events", On::Postgres) => (of_events.as_str(), ""),
            (_, On::Sqlite) => ("audit_segment_1", "(account_id=? AND last_sequence=?)"),
            (_, On::Postgres) => (of_segments.as_str(), ""),
        };
        assert!(plan.contains(index), "{name}:\n{plan}");
        match house.on {
            On::Sqlite => {
                // With statistics of one account, SQLite enters the range another way.
                let is_bounded =
                    name == "candidates" && plan.contains("(time,sequence)>(?,?) AND (time,sequence)<(?,?)");
                assert!(plan.contains(bounds) || is_bounded, "{name}:\n{plan}");
                let sorts_a_few = !matches!(name, "floor" | "candidates") || is_bounded;
                assert!(sorts_a_few || !plan.contains("TEMP B-TREE"), "{name}:\n{plan}");
            }
            On::Postgres => {
                assert!(!plan.contains("Seq Scan"), "{name}:\n{plan}");
                let is_listed = matches!(name, "floor" | "candidates");
                assert!(is_listed || visits_only(&plan, month), "{name}:\n{plan}");
            }
        }
    }
}

/// The types of the parameters of the statement that removes events.
fn dialect_types(on: On) -> &'static str {
    match on {
        On::Sqlite => "iit",
        On::Postgres => "iitm",
    }
}

/// Returns the month of the newest events; 0 on SQLite.
async fn month(house: &House) -> i64 {
    if house.on == On::Sqlite {
        return 0;
    }
    let mut connection = house.connection().await;
    sqlx::query_scalar("SELECT CAST(month AS BIGINT) FROM account")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

/// Whether a plan visits no partition but that of a month and partition 0.
fn visits_only(plan: &str, month: i64) -> bool {
    let others = [month + 1, month + 2];
    month > 0 && !others.iter().any(|other| plan.contains(&format!("_{other}")))
}

/// Explains the statements over the ids, without statistics and with them.
async fn event_ids_are_found_by_the_index_of_their_generation(house: House) {
    house.send(&request(0)).await;
    id_plans_are_bounded(&house).await;
    house.sql("ANALYZE").await;
    id_plans_are_bounded(&house).await;
}

async fn id_plans_are_bounded(house: &House) {
    let (dialect, explain, column) = match house.on {
        On::Sqlite => (Dialect::Sqlite, "EXPLAIN QUERY PLAN", 3),
        On::Postgres => (Dialect::Postgres, "EXPLAIN", 0),
    };
    let mut connection = house.connection().await;
    let month = month(house).await;
    if house.on == On::Postgres {
        // Partition 0 is empty.
        connection.execute("SET enable_seqscan = off").await.unwrap();
    }
    for (name, statement, types) in explained_ids(dialect) {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(format!("{explain} {statement}")));
        // Account 1, generation 5.
        let mut integers = [1, 5, 6_i64].into_iter();
        for kind in types.chars() {
            query = match kind {
                'i' => query.bind(integers.next().unwrap()),
                'm' => query.bind(month),
                _ => query.bind(b"0123456789abcdef00000005".as_slice()),
            };
        }
        let rows = query.fetch_all(&mut connection).await.unwrap();
        let lines: Vec<String> = rows.iter().map(|row| row.get(column)).collect();
        let plan = lines.join("\n");
        match house.on {
            On::Sqlite => {
                assert!(
                    plan.contains("USING PRIMARY KEY (account_id=? AND generation"),
                    "{name}:\n{plan}"
                );
                let scans = ["SCAN event_id", "SCAN e\n", "SCAN e "]
                    .iter()
                    .any(|scan| plan.contains(scan));
                assert!(!scans && !plan.contains("TEMP B-TREE"), "{name}:\n{plan}");
            }
            On::Postgres => {
                assert!(plan.contains(&format!("event_id_{month}_pkey")), "{name}:\n{plan}");
                let is_hot = matches!(name, "look_up" | "delete");
                assert!(!is_hot || visits_only(&plan, month), "{name}:\n{plan}");
                // Partitions are merged by their keys, and not sorted.
                let sorts = plan.contains("Sort  (");
                assert!(!plan.contains("Seq Scan") && !sorts, "{name}:\n{plan}");
            }
        }
    }
}

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
            "SELECT coalesce(sum(n_tup_ins), 0)::bigint FROM pg_stat_user_tables WHERE relname LIKE 'audit\\_event\\_%'",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        if inserted >= written {
            let read =
                "SELECT coalesce(sum(idx_tup_read), 0)::bigint FROM pg_stat_user_indexes WHERE indexrelname LIKE $1";
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
    for index in ["audit\\_event\\_%\\_pkey", "event\\_id\\_%\\_pkey"] {
        let read = read_entries(&house, index, total).await;
        assert!(read < total, "new ids are not there: {read} entries of {index} read");
    }
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    let sequences = store.sequences(BUCKET);
    assert!(dense(&sequences) && sequences.len() > REQUESTS * EVENTS);
    // Once to freeze a batch and once to build it, and a little of the next each time.
    let by_sequence = read_entries(&house, "audit\\_segment\\_%\\_pkey", total).await;
    assert!(
        by_sequence < total / 20,
        "{by_sequence} entries read for {total} events"
    );
}
