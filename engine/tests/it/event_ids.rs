//! Rule 3, wherever an id is: in which generation, with a filter or without one. Here a generation
//! has eight sequences.

use std::time::Duration;

use auditstream_engine::trail::{BodyFormat, ingest};
use auditstream_engine::{Engine, IdSettings, metrics};
use auditstream_model::{Code, IngestOutcome};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::support::{House, events};
use crate::{on, on_both};

const BITS: u32 = 3;

on_both![
    duplicates_and_conflicts_are_recognised_in_every_generation,
    of_concurrent_requests_with_one_id_one_is_stored,
    new_ids_next_to_known_ones_are_stored_once,
    an_id_whose_event_was_removed_is_new_again,
    the_ids_of_removed_generations_are_removed_with_their_filters,
    a_filter_that_is_damaged_or_missing_is_built_again,
    filters_beyond_their_memory_are_done_without,
    ids_are_recognised_after_a_gap_of_many_generations,
];
on!(
    postgres_servers,
    Postgres,
    servers_recognise_duplicates_of_each_other,
    the_filters_of_another_database_are_not_used,
);

fn settings() -> IdSettings {
    IdSettings {
        generation_bits: BITS,
        every: Duration::from_millis(20),
        ..IdSettings::default()
    }
}

async fn with(settings: IdSettings, mut house: House) -> House {
    house.config.ids = settings;
    house.reopen().await
}

/// Fewer tasks, so that no filter is loaded.
async fn without_filters(settings: IdSettings, house: House) -> House {
    let mut house = with(settings, house).await;
    house.stop_streaming().await;
    house
}

fn many(name: &str, count: usize) -> Vec<Value> {
    let mut event = events().remove(0);
    let one = |number| {
        event["auditEventId"] = format!("{name}-{number}").into();
        event.clone()
    };
    (0..count).map(one).collect()
}

fn changed(events: &[Value]) -> Vec<Value> {
    let mut changed = events.to_vec();
    for event in &mut changed {
        event["auditAction"] = format!("{} AGAIN", event["auditAction"]).into();
    }
    changed
}

/// Sends all of them again, at once and one by one, and with other content.
async fn recognises(house: &House, sent: &[Value]) {
    let again = house.send(sent).await;
    assert_eq!((again.accepted, again.duplicates as usize), (0, sent.len()));
    for event in sent {
        assert_eq!(house.send(std::slice::from_ref(event)).await.duplicates, 1, "{event}");
    }
    let body = serde_json::to_vec(&changed(sent)).unwrap();
    let refused = ingest(&house.engine, &house.ingester, BodyFormat::Json, body.into()).await;
    let problem = refused.unwrap_err().problem();
    assert_eq!(problem.code, Code::InvalidEvents);
    assert_eq!(problem.invalid_events, u32::try_from(sent.len()).ok());
}

async fn number(house: &House, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(&mut house.connection().await)
        .await
        .unwrap()
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    for _ in 0..400 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never came true: {what}");
}

async fn gauge(engine: &Engine, name: &str) -> u64 {
    let text = metrics::render(engine).await;
    let value = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
    text.lines().find_map(value).unwrap()
}

/// Waits until every complete generation has a filter in memory.
async fn loaded(house: &House) {
    let last = number(house, "SELECT last_sequence FROM account").await;
    let first = number(house, "SELECT first_sequence FROM account").await;
    let complete = ((last + 1) >> BITS) - (first >> BITS);
    until("all filters are stored", async || {
        number(house, "SELECT count(*) FROM event_id_filter").await >= complete
    })
    .await;
    until("all filters are in memory", async || is_loaded(&house.engine).await).await;
}

async fn is_loaded(engine: &Engine) -> bool {
    gauge(engine, "auditstream_id_filter_bytes").await > 0 && gauge(engine, "auditstream_id_filters_missing").await == 0
}

async fn duplicates_and_conflicts_are_recognised_in_every_generation(house: House) {
    let house = without_filters(settings(), house).await;
    let sent = many("a", 50);
    // One request spans several generations, and some end within others.
    for part in [&sent[..30], &sent[30..33], &sent[33..]] {
        assert_eq!(house.send(part).await.accepted as usize, part.len());
    }
    recognises(&house, &sent).await;
    let background = house.engine.start();
    loaded(&house).await;
    recognises(&house, &sent).await;
    let next = many("b", 20);
    assert_eq!(house.send(&next).await.accepted, 20, "new ids are new");
    recognises(&house, &[sent, next].concat()).await;
    background.stop().await;
}

async fn of_concurrent_requests_with_one_id_one_is_stored(house: House) {
    let house = with(settings(), house).await;
    for event in many("same", 10) {
        let requests = (0..8).map(|_| house.send(std::slice::from_ref(&event)));
        let outcomes: Vec<IngestOutcome> = futures::future::join_all(requests).await;
        let accepted: u32 = outcomes.iter().map(|outcome| outcome.accepted).sum();
        let duplicates: u32 = outcomes.iter().map(|outcome| outcome.duplicates).sum();
        assert_eq!((accepted, duplicates), (1, 7));
    }
}

/// In one generation: nothing is left of an attempt to store all ids of a commit.
async fn new_ids_next_to_known_ones_are_stored_once(house: House) {
    let sent = many("a", 3);
    house.send(&sent).await;
    let mixed = [many("b", 2), sent[..1].to_vec(), many("c", 1)].concat();
    let outcome = house.send(&mixed).await;
    assert_eq!((outcome.accepted, outcome.duplicates), (3, 1));
    let twice = [many("d", 1), many("d", 1)].concat();
    let outcome = house.send(&twice).await;
    assert_eq!((outcome.accepted, outcome.duplicates), (1, 1));
    let refused = [many("e", 2), changed(&sent)].concat();
    let body = serde_json::to_vec(&refused).unwrap();
    let refused = ingest(&house.engine, &house.ingester, BodyFormat::Json, body.into()).await;
    assert_eq!(refused.unwrap_err().problem().invalid_events, Some(3));
    assert_eq!(house.send(&many("e", 2)).await.accepted, 2);
    let ids = number(&house, "SELECT count(DISTINCT sequence) FROM event_id").await;
    assert_eq!(ids, number(&house, "SELECT count(*) FROM event_id").await);
    assert_eq!(ids, number(&house, "SELECT count(*) FROM audit_event").await);
    assert_eq!(ids, number(&house, "SELECT last_sequence FROM account").await);
    recognises(&house, &[sent, mixed, twice].concat()).await;
}

/// Removes the events before a sequence, as retention does.
async fn remove_before(house: &House, sequence: i64) {
    let mut connection = house.connection().await;
    let sql = format!("UPDATE account SET first_sequence = {sequence}");
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
}

async fn an_id_whose_event_was_removed_is_new_again(house: House) {
    let house = with(settings(), house).await;
    let before = number(&house, "SELECT last_sequence FROM account").await;
    let sent = many("a", 50);
    house.send(&sent).await;
    loaded(&house).await;
    // In the middle of a generation.
    let last = before + 50;
    remove_before(&house, last).await;
    let kept = &sent[49..];
    assert_eq!(house.send(kept).await.duplicates, 1, "the last one is kept");
    // The newest first: their rows are in the generation that they return to.
    let newest_first: Vec<Value> = sent.iter().rev().cloned().collect();
    let again = house.send(&newest_first).await;
    assert_eq!((again.accepted, again.duplicates), (49, 1));
    recognises(&house, &sent).await;
    // And with other content.
    let last = number(&house, "SELECT last_sequence FROM account").await;
    remove_before(&house, last + 1).await;
    assert_eq!(house.send(&changed(&sent)).await.accepted, 50);
    loaded(&house).await;
    recognises(&house, &changed(&sent)).await;
}

async fn the_ids_of_removed_generations_are_removed_with_their_filters(house: House) {
    let house = with(settings(), house).await;
    let sent = many("a", 60);
    house.send(&sent).await;
    loaded(&house).await;
    remove_before(&house, 35).await;
    until("the old ids are removed", async || {
        number(&house, "SELECT min(sequence) FROM event_id").await == 32
    })
    .await;
    until("and their filters", async || {
        number(&house, "SELECT CAST(min(generation) AS BIGINT) FROM event_id_filter").await == 4
    })
    .await;
    let last = number(&house, "SELECT last_sequence FROM account").await;
    assert_eq!(
        number(&house, "SELECT count(*) FROM event_id").await,
        last - 31,
        "no other"
    );
    recognises(&house, &sent[50..]).await;
}

async fn a_filter_that_is_damaged_or_missing_is_built_again(house: House) {
    let mut house = with(settings(), house).await;
    let sent = many("a", 50);
    house.send(&sent).await;
    loaded(&house).await;
    house.stop().await;
    let stored = "SELECT count(*) FROM event_id_filter WHERE length(filter) > 30";
    let all = number(&house, stored).await;
    house
        .sql("UPDATE event_id_filter SET filter = checksum WHERE generation = 1")
        .await;
    // A filter that is intact, of other ids.
    house
        .sql(
            "UPDATE event_id_filter SET filter = (SELECT filter FROM event_id_filter WHERE generation = 4) \
             WHERE generation = 3",
        )
        .await;
    // As after a kill between the last event of the generation and its filter.
    house.sql("DELETE FROM event_id_filter WHERE generation = 2").await;
    let house = house.reopen().await;
    recognises(&house, &sent).await;
    loaded(&house).await;
    assert_eq!(number(&house, stored).await, all, "all are stored again");
    recognises(&house, &sent).await;
}

async fn filters_beyond_their_memory_are_done_without(house: House) {
    // For two filters of eight ids.
    let few = IdSettings {
        filter_bytes: 70,
        ..settings()
    };
    let house = with(few, house).await;
    let sent = many("a", 60);
    house.send(&sent).await;
    until("two filters are in memory", async || {
        gauge(&house.engine, "auditstream_id_filter_bytes").await > 0
            && gauge(&house.engine, "auditstream_id_filters_missing").await >= 5
    })
    .await;
    recognises(&house, &sent).await;
    assert_eq!(house.send(&many("b", 30)).await.accepted, 30);
    recognises(&house, &sent).await;
}

async fn ids_are_recognised_after_a_gap_of_many_generations(house: House) {
    let house = without_filters(settings(), house).await;
    let sent = many("a", 30);
    house.send(&sent).await;
    let last = number(&house, "SELECT last_sequence FROM account").await;
    let mut connection = house.connection().await;
    for sql in [
        format!(
            "INSERT INTO sequence_gap (account_id, first_sequence, last_sequence, declared, reason) \
             VALUES (1, {}, 5000, 0, 'test')",
            last + 1
        ),
        "UPDATE account SET last_sequence = 5000".to_owned(),
    ] {
        connection.execute(AssertSqlSafe(sql)).await.unwrap();
    }
    recognises(&house, &sent).await;
    let next = many("b", 30);
    assert_eq!(house.send(&next).await.first_sequence, Some(5001));
    let background = house.engine.start();
    until("all filters are in memory", async || is_loaded(&house.engine).await).await;
    recognises(&house, &[sent, next].concat()).await;
    let filters = number(&house, "SELECT count(*) FROM event_id_filter").await;
    assert!(filters < 12, "{filters}: the gap has none");
    background.stop().await;
}

async fn servers_recognise_duplicates_of_each_other(house: House) {
    let house = with(settings(), house).await;
    let other = Engine::open(house.config.clone()).await.unwrap();
    let background = other.start();
    let by_other = async |events: &[Value]| {
        let body = serde_json::to_vec(events).unwrap();
        ingest(&other, &house.ingester, BodyFormat::Json, body.into())
            .await
            .unwrap()
    };
    let (first, second) = (many("a", 30), many("b", 30));
    assert_eq!(house.send(&first).await.accepted, 30);
    assert_eq!(by_other(&first).await.duplicates, 30);
    assert_eq!(by_other(&second).await.accepted, 30);
    assert_eq!(house.send(&second).await.duplicates, 30);
    loaded(&house).await;
    until("the other server has them as well", async || is_loaded(&other).await).await;
    assert_eq!(by_other(&[first.clone(), second.clone()].concat()).await.duplicates, 60);
    recognises(&house, &[first, second].concat()).await;
    background.stop().await;
    other.close().await;
}

/// As after a failover to a server that had lost the newest commits, which others replaced.
async fn the_filters_of_another_database_are_not_used(house: House) {
    let house = with(settings(), house).await;
    house.send(&many("a", 50)).await;
    loaded(&house).await;
    // An id that the filter in memory lacks; no stored filter has been built from the table.
    house
        .sql(
            "UPDATE event_id SET digest = decode(md5('another'), 'hex')
             WHERE (generation, digest) = (SELECT generation, digest FROM event_id WHERE generation = 2 LIMIT 1)",
        )
        .await;
    house.sql("DELETE FROM event_id_filter").await;
    loaded(&house).await;
    let rebuilt = "SELECT count(DISTINCT checksum) FROM event_id_filter";
    assert!(number(&house, rebuilt).await >= 6);
}
