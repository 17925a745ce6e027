//! The search index finds what reading every event finds, while it is built, merged, rebuilt or
//! damaged, and after retention has removed events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auditstream_engine::trail::{self, search};
use auditstream_engine::{Actor, access};
use auditstream_model::{AccountName, Condition, EventField, EventFilter, Precision, SearchIndex, Show};
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::on_both;
use crate::support::{House, ingester};

on_both![
    the_index_finds_what_reading_every_event_finds,
    a_damaged_block_is_replaced_and_nothing_is_missed_meanwhile,
    what_retention_removed_leaves_the_index,
    accounts_do_not_find_each_others_events,
    an_index_that_was_being_built_or_merged_is_continued_after_a_crash,
];

const ACTIONS: [&str; 4] = ["CREATE", "UPDATE", "LOGIN", "DELETE"];
/// Events are dated at random within a day after this time.
const DAY: i64 = 1_600_000_000_000;

/// Numbers that are the same in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn index(&mut self, end: u32) -> usize {
        usize::try_from(self.below(end.into())).unwrap()
    }

    fn chance(&mut self, one_of: u64) -> bool {
        self.below(one_of) == 0
    }
}

/// Whole words of which none is within another one.
fn word(number: u64) -> String {
    format!("word{number:03}x")
}

fn event(number: usize, account: &str, numbers: &mut Numbers) -> Value {
    let words: Vec<String> = (0..numbers.below(6))
        .map(|_| word(numbers.below(8).pow(2) * 3))
        .collect();
    let kind = if numbers.chance(5) { "SYSTEM" } else { "USER" };
    json!({
        "auditEventId": format!("{account}-{number}"),
        "auditEventAuthor": {"principal": {"type": kind, "identifier": format!("ann{}", numbers.below(30).pow(2))}},
        "auditModule": "CD",
        "auditResource": {"type": "T", "identifier": format!("arn:{}/{}", numbers.below(3), numbers.below(200))},
        "auditResourceScope": {"accountIdentifier": account, "orgIdentifier": format!("o{}", numbers.below(3))},
        "auditAction": ACTIONS[numbers.index(4)],
        "auditHttpRequestInfo": {"requestMethod": "GET", "clientIP": format!("10.{}.{}.1", numbers.below(4), numbers.below(9))},
        "auditEventTime": (DAY + numbers.below(86_400_000) as i64).to_string(),
        "auditEventMetadata": {"said": words.join(", ")},
    })
}

pub(crate) fn events(count: usize, account: &str, numbers: &mut Numbers) -> Vec<Value> {
    (0..count).map(|number| event(number, account, numbers)).collect()
}

fn condition(parameter: &str, value: impl Into<String>) -> Condition {
    Condition::of_parameter(parameter, &value.into()).unwrap()
}

/// A filter with up to four conditions.
fn filter(numbers: &mut Numbers) -> EventFilter {
    let mut filter = EventFilter {
        end: Some(DAY + 86_400_000),
        limit: Some(100),
        ..EventFilter::default()
    };
    if numbers.chance(3) {
        filter.principal = Some(format!("ann{}", numbers.below(30).pow(2)));
    }
    let principal = |numbers: &mut Numbers| format!("ann{}", numbers.below(30).pow(2));
    for parameter in ["principal", "not_principal"] {
        if numbers.chance(4) {
            filter.conditions.push(condition(parameter, principal(numbers)));
        }
    }
    if numbers.chance(4) {
        filter
            .conditions
            .push(condition("resource_prefix", format!("arn:{}/1", numbers.below(4))));
    }
    if numbers.chance(5) {
        filter
            .conditions
            .push(condition("ip", format!("10.{}.0.0/14", numbers.below(8))));
    }
    if numbers.chance(6) {
        filter.conditions.push(condition(
            "not_ip",
            format!("10.{}.{}.1", numbers.below(4), numbers.below(9)),
        ));
    }
    if numbers.chance(3) {
        let whole = word(numbers.below(8).pow(2) * 3);
        let length = if numbers.chance(3) { whole.len() } else { 6 };
        filter.q = Some(whole[..length].to_uppercase());
    } else if numbers.chance(4) {
        filter.q = Some(format!("{}, {}", word(numbers.below(8).pow(2) * 3), "word"));
    }
    if numbers.chance(3) {
        filter.start = Some(DAY + numbers.below(80_000_000) as i64);
    }
    filter.show = [Show::All, Show::NoLogin, Show::NoSystem][numbers.index(3)];
    filter
}

/// Whether an event matches, decided in another way than the engine does.
fn matches(event: &Value, filter: &EventFilter) -> bool {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let time: i64 = text("/auditEventTime").parse().unwrap();
    let address: u32 = text("/auditHttpRequestInfo/clientIP")
        .parse::<std::net::Ipv4Addr>()
        .unwrap()
        .into();
    let is = |condition: &Condition| match condition.parameter().trim_start_matches("not_") {
        "principal" => text("/auditEventAuthor/principal/identifier") == condition.value,
        "resource_prefix" => text("/auditResource/identifier").starts_with(&condition.value),
        _ => {
            let (network, length) = condition.value.split_once('/').unwrap_or((&condition.value, "32"));
            let network: u32 = network.parse::<std::net::Ipv4Addr>().unwrap().into();
            let free = 32 - length.parse::<u32>().unwrap();
            address >> free == network >> free
        }
    };
    let conditions = filter.all_conditions();
    let wanted = |condition: &&Condition| !condition.is_negated;
    let meets = conditions.iter().filter(wanted).all(|one| {
        let others = conditions.iter().filter(wanted);
        others.filter(|other| other.parameter() == one.parameter()).any(is)
    });
    let said = event.to_string().to_lowercase();
    let text_is_in = filter.q.as_ref().is_none_or(|q| said.contains(&q.to_lowercase()));
    let is_shown = match filter.show {
        Show::All => true,
        Show::NoLogin => text("/auditAction") != "LOGIN",
        Show::NoSystem => text("/auditEventAuthor/principal/type") != "SYSTEM",
    };
    meets
        && !conditions.iter().filter(|condition| condition.is_negated).any(is)
        && text_is_in
        && is_shown
        && filter.start.is_none_or(|start| time >= start)
}

/// Returns the ids of all pages, and checks that these are in order.
async fn found(house: &House, actor: &Actor, filter: &EventFilter) -> Vec<String> {
    let mut filter = filter.clone();
    let mut ids = Vec::new();
    let mut last = (i64::MAX, i64::MAX);
    loop {
        let page = search(&house.engine, actor, &filter).await.unwrap();
        for event in page.events {
            assert!((event.time, event.sequence) < last, "pages are in order: {filter:?}");
            last = (event.time, event.sequence);
            let event: Value = serde_json::from_str(&event.json).unwrap();
            ids.push(event["auditEventId"].as_str().unwrap().to_owned());
        }
        let Some(next) = page.next else { return ids };
        filter.cursor = Some(next);
    }
}

pub(crate) async fn compare(house: &House, actor: &Actor, events: &[Value], numbers: &mut Numbers, searches: usize) {
    for _ in 0..searches {
        let filter = filter(numbers);
        let expected: BTreeSet<&str> = events
            .iter()
            .filter(|event| matches(event, &filter))
            .map(|event| event["auditEventId"].as_str().unwrap())
            .collect();
        // A few pages are enough.
        if expected.len() > 250 {
            continue;
        }
        let found = found(house, actor, &filter).await;
        assert_eq!(found.len(), expected.len(), "{filter:?}");
        assert!(found.iter().all(|id| expected.contains(id.as_str())), "{filter:?}");
    }
}

/// Waits until the index has all events but those that wait for others.
pub(crate) async fn indexed(house: &House, actor: &Actor) -> SearchIndex {
    for _ in 0..2_400 {
        let index = trail::search_index(&house.engine, actor).await.unwrap();
        if index.waiting_events < 256 {
            return index;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the index does not come to an end");
}

async fn the_index_finds_what_reading_every_event_finds(house: House) {
    let mut numbers = Numbers(7);
    let all = events(4_800, "default", &mut numbers);
    for (number, request) in all.chunks(300).enumerate() {
        house.send(request).await;
        if number % 5 == 2 {
            compare(&house, &house.admin, &all[..(number + 1) * 300], &mut numbers, 4).await;
        }
    }
    let index = indexed(&house, &house.admin).await;
    assert!(index.indexed_events > 4_500, "{index:?}");
    compare(&house, &house.admin, &all, &mut numbers, 30).await;
    compare_counts(&house, &all, &mut numbers, 8).await;
    let rebuilt = trail::rebuild_search_index(&house.engine, &house.admin).await.unwrap();
    assert!(rebuilt.waiting_events > 4_000 || rebuilt.parts < 3, "{rebuilt:?}");
    compare(&house, &house.admin, &all, &mut numbers, 6).await;
    indexed(&house, &house.admin).await;
    compare(&house, &house.admin, &all, &mut numbers, 20).await;
}

/// Compares the counts over time and by value with those of the events.
async fn compare_counts(house: &House, events: &[Value], numbers: &mut Numbers, times: usize) {
    for _ in 0..times {
        let filter = EventFilter {
            q: None,
            ..filter(numbers)
        };
        let matching: Vec<&Value> = events.iter().filter(|event| matches(event, &filter)).collect();
        let time = |event: &Value| event["auditEventTime"].as_str().unwrap().parse::<i64>().unwrap();
        let histogram = trail::histogram(&house.engine, &house.admin, &filter, 24)
            .await
            .unwrap();
        for bucket in &histogram.buckets {
            let range = bucket.start..bucket.start + histogram.width;
            let expected = matching.iter().filter(|event| range.contains(&time(event))).count();
            assert_eq!(
                (bucket.count, bucket.precision),
                (expected as i64, Precision::Exact),
                "{filter:?}"
            );
        }
        let counted: i64 = histogram.buckets.iter().map(|bucket| bucket.count).sum();
        assert_eq!(counted, matching.len() as i64, "{filter:?}");
        let values = trail::values(&house.engine, &house.admin, &filter, EventField::Principal)
            .await
            .unwrap();
        assert_eq!(values.precision, Precision::Exact);
        let mut expected: BTreeMap<&str, i64> = BTreeMap::new();
        for event in matching {
            let principal = event.pointer("/auditEventAuthor/principal/identifier").unwrap();
            *expected.entry(principal.as_str().unwrap()).or_default() += 1;
        }
        let found = values.values.iter().map(|value| (value.value.as_str(), value.count));
        assert_eq!(found.collect::<BTreeMap<_, _>>(), expected, "{filter:?}");
    }
}

pub(crate) async fn execute(house: &House, statement: &'static str) {
    let mut connection = house.connection().await;
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn a_damaged_block_is_replaced_and_nothing_is_missed_meanwhile(house: House) {
    let mut numbers = Numbers(11);
    let all = events(1_200, "default", &mut numbers);
    house.send(&all).await;
    indexed(&house, &house.admin).await;
    execute(&house, "UPDATE search_block SET content = substr(content, 1, 20)").await;
    compare(&house, &house.admin, &all, &mut numbers, 8).await;
    indexed(&house, &house.admin).await;
    let mut connection = house.connection().await;
    let count = "SELECT count(*) FROM search_block b JOIN search_slice s ON s.slice = b.slice AND s.state = 1 \
                 WHERE length(b.content) <= 20";
    let damaged: i64 = sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap();
    assert_eq!(damaged, 0);
    compare(&house, &house.admin, &all, &mut numbers, 10).await;
}

/// As retention does, without waiting for it.
async fn what_retention_removed_leaves_the_index(house: House) {
    let mut numbers = Numbers(13);
    let all = events(1_500, "default", &mut numbers);
    for request in all.chunks(500) {
        house.send(request).await;
    }
    indexed(&house, &house.admin).await;
    let mut connection = house.connection().await;
    let last = "SELECT last_sequence FROM audit_segment WHERE last_sequence >= 700 ORDER BY last_sequence LIMIT 1";
    let last: i64 = sqlx::query_scalar(last).fetch_one(&mut connection).await.unwrap();
    for statement in [
        "DELETE FROM audit_segment WHERE last_sequence <= $1",
        "DELETE FROM audit_event WHERE sequence <= $1",
        "UPDATE account SET first_sequence = $1 + 1",
    ] {
        sqlx::query(statement)
            .bind(last)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let first: i64 = sqlx::query_scalar("SELECT last_sequence FROM account")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let removed = usize::try_from(last - (first - 1_500)).unwrap();
    compare(&house, &house.admin, &all[removed..], &mut numbers, 20).await;
    compare_counts(&house, &all[removed..], &mut numbers, 5).await;
}

async fn accounts_do_not_find_each_others_events(house: House) {
    let name = AccountName::parse("other").unwrap();
    access::create_account(&house.engine, &name).await.unwrap();
    let other = Actor::command_line(&house.engine, &name).await.unwrap();
    let sender = ingester(&house.engine, &other).await;
    let mut numbers = Numbers(17);
    let ours = events(600, "default", &mut numbers);
    house.send(&ours).await;
    let theirs = events(600, "other", &mut numbers);
    let body = serde_json::to_vec(&theirs).unwrap();
    let format = trail::BodyFormat::Json;
    trail::ingest(&house.engine, &sender, format, body.into())
        .await
        .unwrap();
    indexed(&house, &house.admin).await;
    indexed(&house, &other).await;
    compare(&house, &house.admin, &ours, &mut numbers, 10).await;
    compare(&house, &other, &theirs, &mut numbers, 10).await;
}

/// A server that stops leaves the same: a slice without its end, that no search uses.
async fn an_index_that_was_being_built_or_merged_is_continued_after_a_crash(mut house: House) {
    let mut numbers = Numbers(19);
    let all = events(4_500, "default", &mut numbers);
    for request in all.chunks(300) {
        house.send(request).await;
    }
    house.stop_streaming().await;
    execute(
        &house,
        "UPDATE search_slice SET state = 0 WHERE slice = (SELECT max(slice) FROM search_slice WHERE state = 1)",
    )
    .await;
    execute(&house, "UPDATE search_index SET renewed = 0").await;
    compare(&house, &house.admin, &all, &mut numbers, 6).await;
    house.start_streaming();
    indexed(&house, &house.admin).await;
    compare(&house, &house.admin, &all, &mut numbers, 10).await;
}
