//! The search index and the ids of events under faults: processes that are killed, bytes that
//! change, a disk that is full. No event is lost, no search returns a wrong result, and the tasks
//! continue by themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use auditstream_engine::trail::{self, BodyFormat, ingest};
use auditstream_engine::{IdSettings, Merging};
use serde_json::Value;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

use crate::child::{Inside, Process, database, patience, say};
use crate::index::{Numbers, compare, events, execute, indexed};
use crate::support::{House, On};
use crate::{on, on_both};

on_both![
    altered_bytes_of_the_index_are_noticed_and_it_is_built_again,
    processes_killed_while_they_index_merge_and_seal_ids_continue,
];
on!(
    sqlite_file,
    Sqlite,
    a_full_disk_stops_indexing_and_merging_without_a_loss,
);

/// Reads a number.
async fn number(house: &House, sql: &str) -> i64 {
    let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
    query.fetch_one(&mut house.connection().await).await.unwrap()
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    for _ in 0..2_400 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never came true: {what}");
}

/// Changes one byte of each value of a column, at a place that differs from row to row.
async fn alter(house: &House, table: &str, column: &str, key: &str) {
    let mut connection = house.connection().await;
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT row_number() OVER (ORDER BY slice, {key}), {column} FROM {table} WHERE length({column}) > 0 \
         ORDER BY slice, {key}"
    )))
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(!rows.is_empty(), "{table}");
    for (row, mut content) in rows {
        let at = usize::try_from(row * 7_919).unwrap() % content.len();
        let before = content.clone();
        content[at] ^= 0x15;
        let update = format!("UPDATE {table} SET {column} = $1 WHERE {column} = $2");
        let update = sqlx::query(AssertSqlSafe(update)).bind(content).bind(before);
        update.execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

async fn altered_bytes_of_the_index_are_noticed_and_it_is_built_again(house: House) {
    let mut numbers = Numbers(31);
    let all = events(1_200, "default", &mut numbers);
    house.send(&all).await;
    for (table, column, key) in [
        ("search_block", "content", "first_key"),
        ("search_order", "content", "first_rank"),
        ("search_slice", "marks", "state"),
    ] {
        indexed(&house, &house.admin).await;
        // A search uses the slices that were in use when it began.
        let newest = number(&house, "SELECT max(slice) FROM search_slice").await;
        alter(&house, table, column, key).await;
        let altered = format!("SELECT count(*) FROM search_slice WHERE state = 1 AND slice <= {newest}");
        for round in 0.. {
            compare(&house, &house.admin, &all, &mut numbers, 6).await;
            if number(&house, &altered).await == 0 {
                break;
            }
            assert!(round < 20, "{table}: slices that were altered are still in use");
        }
    }
    indexed(&house, &house.admin).await;
    compare(&house, &house.admin, &all, &mut numbers, 10).await;
}

async fn a_full_disk_stops_indexing_and_merging_without_a_loss(mut house: House) {
    house.stop_streaming().await;
    house
        .sql("CREATE TABLE filler AS SELECT zeroblob(4000000) AS content")
        .await;
    let mut numbers = Numbers(37);
    let all = events(1_600, "default", &mut numbers);
    for request in all.chunks(40) {
        house.send(request).await;
    }
    let before = house.stored_events().await;
    house.stop().await;
    house.sql("VACUUM").await;
    let pages = number(&house, "SELECT page_count FROM pragma_page_count").await;
    house.config.limits.sqlite_pages = Some(u32::try_from(pages).unwrap());
    let house = house.reopen().await;
    until("the task has begun", async || {
        number(&house, "SELECT count(*) FROM search_index").await == 1
    })
    .await;
    compare(&house, &house.admin, &all, &mut numbers, 8).await;
    let mut others = events(2_000, "default", &mut numbers);
    for (number, event) in others.iter_mut().enumerate() {
        event["auditEventId"] = format!("other {number}").into();
    }
    let body = serde_json::to_vec(&others).unwrap();
    let refused = ingest(&house.engine, &house.ingester, BodyFormat::Json, body.into()).await;
    let refused = refused.unwrap_err().problem();
    assert!(refused.detail.contains("full"), "{refused:?}");
    assert_eq!(number(&house, "SELECT count(*) FROM search_slice").await, 0);
    // Merging replaces rows: it may find the space.
    let mut house = house;
    house.config.merging = Merging {
        every: Duration::from_millis(10),
        settle: Duration::ZERO,
        ..Merging::default()
    };
    let house = house.reopen().await;
    compare(&house, &house.admin, &all, &mut numbers, 8).await;
    house.sql("DROP TABLE filler").await;
    let unmerged = "SELECT last_sequence - coalesce((SELECT max(merged) FROM segment_merge), 0) FROM account";
    until("everything is merged", async || number(&house, unmerged).await == 0).await;
    indexed(&house, &house.admin).await;
    compare(&house, &house.admin, &all, &mut numbers, 8).await;
    let after = house.stored_events().await;
    let text = |event: &crate::support::StoredEvent| (event.sequence, event.payload.clone());
    assert!(before.iter().map(text).eq(after.iter().take(before.len()).map(text)));
    assert_eq!(house.send(&all).await.accepted, 0, "their ids are known");
}

/// The number of the events of a process, and of one of its requests.
const ROUND: usize = 396;
const REQUEST: usize = 132;
/// The environment variable with the number of the process.
const ROUND_VARIABLE: &str = "AUDITSTREAM_TEST_ROUND";

/// The points at which one process after another is killed.
const POINTS: &[&str] = &[
    "claim_index.committing",
    "index_events.committing",
    "store_id_filter.committing",
    "begin_merge.committing",
    "store_merged.committing",
    "merge_slices.committing",
];
/// Those that come after retention has removed events.
const LATER_POINTS: &[&str] = &["retire_slices.committing", "delete_slice.committing"];

/// A generation has 64 sequences.
fn ids() -> IdSettings {
    IdSettings {
        generation_bits: 6,
        every: Duration::from_millis(20),
        ..IdSettings::default()
    }
}

fn of_rounds(rounds: usize) -> Vec<Value> {
    events(ROUND * rounds, "default", &mut Numbers(41))
}

async fn processes_killed_while_they_index_merge_and_seal_ids_continue(mut house: House) {
    house.stop().await;
    let mut round = 0;
    for point in POINTS {
        house = killed(house, round, Some(point)).await;
        round += 1;
    }
    house = killed(house, round, None).await;
    round += 1;
    // A few generations of ids, and no slice of the index.
    remove(&house, 200).await;
    house = killed(house, round, Some("remove_ids.committing")).await;
    round += 1;
    remove(&house, i64::try_from(ROUND * 3).unwrap()).await;
    for point in LATER_POINTS {
        execute(&house, "UPDATE search_slice SET retired = 0 WHERE state = 2").await;
        house = killed(house, round, Some(point)).await;
        round += 1;
    }
    house = killed(house, round, None).await;
    round += 1;
    house.config.ids = ids();
    let house = house.reopen().await;
    let stored = house.stored_events().await;
    let stored: BTreeSet<String> = stored
        .iter()
        .map(|event| event.json()["auditEventId"].as_str().unwrap().to_owned())
        .collect();
    let all = of_rounds(round);
    let is_stored = |event: &&Value| stored.contains(event["auditEventId"].as_str().unwrap());
    let left: Vec<Value> = all.iter().filter(is_stored).cloned().collect();
    assert!(
        left.len() > ROUND * 2 && left.len() < all.len() - ROUND,
        "{}",
        left.len()
    );
    compare(&house, &house.admin, &left, &mut Numbers(43), 20).await;
    let again = house.send(&left).await;
    assert_eq!((again.accepted, again.duplicates as usize), (0, left.len()));
}

/// Removes the events up to a sequence, as retention does.
async fn remove(house: &House, up_to: i64) {
    let last = format!("SELECT min(last_sequence) FROM audit_segment WHERE last_sequence >= {up_to}");
    let last = number(house, &last).await;
    let mut connection = house.connection().await;
    for statement in [
        format!("DELETE FROM audit_segment WHERE last_sequence <= {last}"),
        format!("DELETE FROM audit_event WHERE sequence <= {last}"),
        format!("UPDATE account SET first_sequence = {last} + 1"),
    ] {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// Starts a process and kills it at a point, or waits for its end.
async fn killed(house: House, round: usize, point: Option<&'static str>) -> House {
    let house = tokio::task::spawn_blocking(move || {
        let mut orders = vec![(ROUND_VARIABLE, round.to_string())];
        if let Some(point) = point {
            orders.push(("AUDITSTREAM_FAILPOINT", point.to_owned()));
        }
        let mut process = Process::start("index_faults::the_process", &house, &orders);
        let expected = point.map_or("finished".to_owned(), |point| format!("failpoint {point}"));
        assert!(
            process.says(&expected, patience(house.on)),
            "{expected} was not reached"
        );
        if point.is_some() {
            process.kill();
        } else {
            assert!(process.ends_well(patience(house.on)));
        }
        house
    })
    .await
    .unwrap();
    // On PostgreSQL another server waits until the claim has expired.
    if house.on == On::Postgres {
        execute(&house, "UPDATE search_index SET renewed = 0").await;
    }
    house
}

/// Waits until every event is indexed, however few there are.
async fn wait_for_index(inside: &Inside, connection: &mut AnyConnection) {
    for _ in 0..600 {
        let index = trail::search_index(&inside.engine, &inside.admin).await.unwrap();
        if index.waiting_events == 0 {
            return;
        }
        let request = "UPDATE search_index SET requests = requests + 1";
        connection.execute(request).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the events are not indexed");
}

/// Sends the events of the round before again, then those of this round, and waits each time until
/// they are indexed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the test above starts and kills"]
async fn the_process() {
    let Some(inside) = Inside::open_with(|config| config.ids = ids()).await else {
        return;
    };
    let background = inside.engine.start();
    let round: usize = std::env::var(ROUND_VARIABLE).unwrap().parse().unwrap();
    let all = of_rounds(round + 1);
    inside.send(&all[ROUND * round.saturating_sub(1)..ROUND * round]).await;
    let mut connection = AnyConnection::connect(&database()).await.unwrap();
    for request in all[ROUND * round..].chunks(REQUEST) {
        inside.send(request).await;
        wait_for_index(&inside, &mut connection).await;
    }
    connection.close().await.unwrap();
    if std::env::var_os("AUDITSTREAM_FAILPOINT").is_some() {
        // It is killed at the point, however late it gets there.
        return std::future::pending().await;
    }
    say("finished");
    background.stop().await;
    inside.engine.close().await;
}
