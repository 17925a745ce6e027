//! Rules 11, 16 and 17: searches look at a bounded part of the trail, continue where they stopped,
//! end with their clients, and delay nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use auditstream_engine::database::now;
use auditstream_engine::trail::{self, BodyFormat, EventRef, Export, find, ingest, search};
use auditstream_engine::{Actor, Engine, access, destinations};
use auditstream_model::limits::{PAGE_BYTES, SEARCH_ROWS};
use auditstream_model::{AccountName, ApiTokenInput, Code, EventFilter, EventPage, ListQuery, Role, Scope, Status};
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};

use crate::child::{Inside, Process, patience, say};
use crate::support::{House, dense, destination, events};
use crate::{on, on_both};
use auditstream_testkit::s3::{BUCKET, Store};

const PASSWORD: &str = "correct horse battery staple";

on_both![
    a_search_that_finds_little_says_how_far_it_looked_and_continues_to_the_end,
    a_page_ends_at_its_limit_of_bytes_and_continues,
    events_dated_in_the_future_do_not_lead_the_first_page,
    a_text_or_filter_that_no_event_can_contain_is_refused_by_name,
    reading_leaves_one_event_per_person_and_day,
    an_export_has_every_event_once_and_leaves_two_events,
    an_export_that_is_dropped_says_how_many_events_it_had,
    one_event_is_found_by_its_sequence_or_its_id_in_its_account,
    searches_that_are_stuck_delay_neither_ingest_nor_sign_in_nor_streaming,
];
on!(
    postgres_server,
    Postgres,
    the_statement_of_a_search_whose_client_leaves_is_cancelled,
);

fn numbered(name: &str, number: usize, time: i64) -> Value {
    let mut event = events().remove(0);
    event["auditEventId"] = format!("{name}-{number}").into();
    event["auditEventTime"] = time.to_string().into();
    event
}

/// Stores at least as many events in few statements, bypassing the checks of ingest: copies of one
/// segment with later times.
async fn fill(house: &House, rows: u32) {
    const SEGMENT: i64 = 500;
    const TIME: i64 = 1_600_000_000_000;
    let template: Vec<Value> = (0..500)
        .map(|number| numbered("template", number, TIME + number as i64))
        .collect();
    let sent = house.send(&template).await;
    let (first, last) = (sent.first_sequence.unwrap(), sent.last_sequence.unwrap());
    let mut connection = house.connection().await;
    let copies = i64::from(rows) / SEGMENT;
    for copy in 1..=copies {
        let shift = copy * SEGMENT;
        sqlx::query(
            "INSERT INTO audit_segment SELECT account_id, first_sequence + $1, last_sequence + $1, received, \
             last_received, bytes_before, bytes, $2, content FROM audit_segment WHERE last_sequence = $3",
        )
        .bind(shift)
        .bind(consecutive_times(TIME + shift, SEGMENT))
        .bind(last)
        .execute(&mut connection)
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO audit_event SELECT account_id, time + $1, sequence + $1 FROM audit_event \
             WHERE sequence >= $2 AND sequence <= $3",
        )
        .bind(shift)
        .bind(first)
        .bind(last)
        .execute(&mut connection)
        .await
        .unwrap();
    }
    sqlx::query("UPDATE account SET last_sequence = $1")
        .bind(last + copies * SEGMENT)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// The times of a segment, one millisecond apart: differences from the time before, doubled, in
/// bytes of seven bits.
fn consecutive_times(first: i64, events: i64) -> Vec<u8> {
    let mut encoded = Vec::new();
    let mut rest = first * 2;
    while rest >= 0x80 {
        encoded.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    encoded.push(u8::try_from(rest).unwrap());
    encoded.extend((1..events).map(|_| 2));
    encoded
}

async fn page(house: &House, filter: &EventFilter) -> EventPage {
    search(&house.engine, &house.admin, filter).await.unwrap()
}

async fn a_search_that_finds_little_says_how_far_it_looked_and_continues_to_the_end(mut house: House) {
    // Without the task that builds the index.
    house.stop_streaming().await;
    fill(&house, SEARCH_ROWS + 1).await;
    // The oldest event, which the copies do not contain.
    house
        .send(&[{
            let mut oldest = numbered("oldest", 1, 1_500_000_000_000);
            oldest["auditModule"] = "NEEDLE".into();
            oldest
        }])
        .await;
    for filter in [
        EventFilter {
            module: Some("NEEDLE".into()),
            ..EventFilter::default()
        },
        EventFilter {
            q: Some("needle".into()),
            ..EventFilter::default()
        },
    ] {
        let first = page(&house, &filter).await;
        assert!(first.events.is_empty(), "it is beyond what one search looks at");
        assert_eq!(first.outside_range, None, "nothing is known of the rest");
        let (mut cursor, mut until) = (first.next.unwrap(), first.searched_until.unwrap());
        let mut requests = 1;
        let found = loop {
            let next = EventFilter {
                cursor: Some(cursor),
                ..filter.clone()
            };
            let next = page(&house, &next).await;
            requests += 1;
            if !next.events.is_empty() {
                assert_eq!((next.next, next.searched_until), (None, None), "this is the last page");
                break next.events;
            }
            let reached = next.searched_until.unwrap();
            assert!(reached < until, "each request looks further");
            (cursor, until) = (next.next.unwrap(), reached);
            assert!(requests < 20, "it never ends");
        };
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].module, "NEEDLE");
    }
}

async fn a_page_ends_at_its_limit_of_bytes_and_continues(house: House) {
    const EVENTS: usize = 9;
    let large = |number| {
        let mut event = numbered("large", number, 1_600_000_000_000);
        event["auditModule"] = "LARGE".into();
        event["auditEventMetadata"]["filler"] = "x".repeat(900_000).into();
        event
    };
    for number in 0..EVENTS {
        house.send(&[large(number)]).await;
    }
    let by_column = EventFilter {
        module: Some("LARGE".into()),
        ..EventFilter::default()
    };
    let by_text = EventFilter {
        q: Some("LARGE".into()),
        ..EventFilter::default()
    };
    for mut filter in [by_column, by_text] {
        let mut sequences = Vec::new();
        loop {
            let page = page(&house, &filter).await;
            let bytes: usize = page.events.iter().map(|event| event.json.len()).sum();
            assert!(bytes <= PAGE_BYTES, "{bytes}");
            assert!(page.events.len() < EVENTS);
            sequences.extend(page.events.iter().map(|event| event.sequence));
            let Some(next) = page.next else { break };
            filter.cursor = Some(next);
        }
        assert_eq!(sequences.len(), EVENTS);
        assert!(sequences.windows(2).all(|pair| pair[0] > pair[1]), "{sequences:?}");
    }
}

async fn events_dated_in_the_future_do_not_lead_the_first_page(house: House) {
    let present = now();
    house.send(&[numbered("present", 0, present)]).await;
    let future = [present + 3 * 86_400_000, 253_402_300_799_999];
    for (number, time) in future.into_iter().enumerate() {
        house.send(&[numbered("future", number, time)]).await;
    }
    let first = page(&house, &EventFilter::default()).await;
    assert!(first.events.iter().all(|event| event.time <= present + 300_000));
    assert_eq!(first.in_future, Some(2));
    let ahead = EventFilter {
        start: Some(present + 300_000),
        ..EventFilter::default()
    };
    let ahead = page(&house, &ahead).await;
    assert_eq!(
        ahead.events.iter().map(|event| event.time).collect::<Vec<_>>(),
        [future[1], future[0]]
    );
    assert_eq!(ahead.in_future, None, "none is left out");
    let explicit = EventFilter {
        end: Some(i64::MAX),
        ..EventFilter::default()
    };
    assert_eq!(page(&house, &explicit).await.events[0].time, future[1]);
}

async fn a_text_or_filter_that_no_event_can_contain_is_refused_by_name(house: House) {
    let too_long = EventFilter {
        q: Some("ä".repeat(1_001)),
        ..EventFilter::default()
    };
    let zero = EventFilter {
        principal: Some("a\0b".into()),
        ..EventFilter::default()
    };
    for (filter, field) in [(too_long, "q"), (zero, "principal")] {
        let refused = search(&house.engine, &house.admin, &filter)
            .await
            .unwrap_err()
            .problem();
        assert_eq!(refused.code, Code::InvalidFields);
        assert_eq!(refused.errors[0].field, field);
        let refused = Export::begin(&house.engine, &house.admin, filter).await.unwrap_err();
        assert_eq!(refused.problem().errors[0].field, field);
    }
}

/// Signs a new user in.
async fn person(house: &House, email: &str) -> Actor {
    access::create_user(&house.engine, &house.admin, email, Role::Viewer, PASSWORD)
        .await
        .unwrap();
    let session = access::sign_in(&house.engine, email, PASSWORD, None, "192.0.2.7")
        .await
        .unwrap();
    access::session(&house.engine, &session, access::UsedBy::Person)
        .await
        .unwrap()
        .unwrap()
}

/// Returns the events of an action, oldest first.
async fn recorded(house: &House, action: &str) -> Vec<Value> {
    let filter = EventFilter {
        action: Some(action.into()),
        resource_type: Some("AUDIT_TRAIL".into()),
        ..EventFilter::default()
    };
    let found = page(house, &filter).await.events;
    let json = found
        .iter()
        .rev()
        .map(|event| serde_json::from_str(&event.json).unwrap());
    json.collect()
}

async fn reading_leaves_one_event_per_person_and_day(house: House) {
    let ann = person(&house, "ann@example.com").await;
    let ben = person(&house, "ben@example.com").await;
    let filter = EventFilter {
        q: Some("who".into()),
        ..EventFilter::default()
    };
    for _ in 0..3 {
        search(&house.engine, &ann, &filter).await.unwrap();
        trail::newer(&house.engine, &ann, &filter, 0).await.unwrap();
    }
    search(&house.engine, &ben, &EventFilter::default()).await.unwrap();
    let reading = recorded(&house, "READ").await;
    let readers = reading
        .iter()
        .map(|event| &event["auditEventAuthor"]["principal"]["identifier"]);
    assert_eq!(readers.collect::<Vec<_>>(), ["ann@example.com", "ben@example.com"]);
    assert_eq!(
        reading[0]["auditEventMetadata"]["difference"]["new"]["filter"],
        json!({"q": "who", "show": "all"})
    );
    // After a restart, another server of the same database, or the next day.
    let house = house.reopen().await;
    search(&house.engine, &ann, &filter).await.unwrap();
    assert_eq!(recorded(&house, "READ").await.len(), 2);
    house.sql("UPDATE trail_reader SET day = day - 1").await;
    let house = house.reopen().await;
    search(&house.engine, &ann, &filter).await.unwrap();
    assert_eq!(recorded(&house, "READ").await.len(), 3);
}

async fn an_export_has_every_event_once_and_leaves_two_events(house: House) {
    fill(&house, 8_500).await;
    let filter = EventFilter {
        end: Some(1_700_000_000_000),
        ..EventFilter::default()
    };
    let mut export = Export::begin(&house.engine, &house.admin, filter).await.unwrap();
    let mut seen = BTreeSet::new();
    let mut pages = 0;
    while let Some(page) = export.next_page().await.unwrap() {
        pages += 1;
        for event in page {
            assert!(seen.insert(event.sequence), "{} is there twice", event.sequence);
        }
    }
    assert!(pages > 2, "{pages}");
    assert!(seen.len() > 8_000);
    let filter = json!({"show": "all", "end": 1_700_000_000_000_i64});
    let new = |event: &Value| event["auditEventMetadata"]["difference"]["new"].clone();
    let begun = recorded(&house, "EXPORT").await;
    assert_eq!(begun.iter().map(new).collect::<Vec<_>>(), [json!({"filter": filter})]);
    let ended = recorded(&house, "EXPORTED").await;
    assert_eq!(
        ended.iter().map(new).collect::<Vec<_>>(),
        [json!({"filter": filter, "events": seen.len(), "complete": true})]
    );
}

async fn an_export_that_is_dropped_says_how_many_events_it_had(house: House) {
    fill(&house, 3_000).await;
    let mut export = Export::begin(&house.engine, &house.admin, EventFilter::default())
        .await
        .unwrap();
    let events = export.next_page().await.unwrap().unwrap().len();
    drop(export);
    let mut ended = None;
    for _ in 0..600 {
        ended = recorded(&house, "EXPORTED").await.pop();
        if ended.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ended = ended.unwrap();
    let new = &ended["auditEventMetadata"]["difference"]["new"];
    assert_eq!((&new["events"], &new["complete"]), (&json!(events), &json!(false)));
}

/// A search that waits for a lock is dropped, as when its client leaves; the lock stays.
async fn the_statement_of_a_search_whose_client_leaves_is_cancelled(house: House) {
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = 'auditstream-search'";
    let mut foreign = house.connection().await;
    let mut observer = house.connection().await;
    foreign
        .execute("BEGIN; LOCK TABLE audit_event IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let (engine, actor) = (house.engine.clone(), house.admin.clone());
    let searching = tokio::spawn(async move { search(&engine, &actor, &EventFilter::default()).await.map(drop) });
    let mut waiting_is = async |wanted: i64| {
        for _ in 0..600 {
            let waiting: i64 = sqlx::query_scalar(WAITING).fetch_one(&mut observer).await.unwrap();
            if waiting == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never {wanted} statements wait");
    };
    waiting_is(1).await;
    searching.abort();
    waiting_is(0).await;
    foreign.execute("ROLLBACK").await.unwrap();
    search(&house.engine, &house.admin, &EventFilter::default())
        .await
        .unwrap();
}

async fn searches_that_are_stuck_delay_neither_ingest_nor_sign_in_nor_streaming(mut house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    destinations::create(&house.engine, &house.admin, destination(BUCKET, json!({})))
        .await
        .unwrap();
    house.toggle(Status::Active).await;
    access::create_user(&house.engine, &house.admin, "ann@example.com", Role::Viewer, PASSWORD)
        .await
        .unwrap();
    house.stop().await;
    let house = tokio::task::spawn_blocking(move || {
        let stuck = ("AUDITSTREAM_FAILPOINT", "search.connected*".to_owned());
        let mut process = Process::start("search::the_process", &house, &[stuck]);
        assert!(process.says("finished", patience(house.on)));
        process.kill();
        house
    })
    .await
    .unwrap();
    let house = house.reopen().await;
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
    assert!(
        store
            .events(BUCKET)
            .iter()
            .any(|event| event["auditEventId"] == "meanwhile-0")
    );
}

/// Creates a token with the scope `read` and returns its actor.
async fn reader(engine: &Engine, admin: &Actor, number: usize) -> Actor {
    let input = ApiTokenInput {
        name: format!("read {number}"),
        scopes: vec![Scope::Read],
        expires_in_days: None,
    };
    let created = access::create_token(engine, admin, &input).await.unwrap();
    access::token(engine, &created.token).await.unwrap().unwrap()
}

/// Fills every place and the queue with searches that never end, then does everything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the test above starts"]
async fn the_process() {
    let Some(inside) = Inside::open(Duration::from_secs(3600)).await else {
        return;
    };
    let background = inside.engine.start();
    let other = AccountName::parse("other").unwrap();
    access::create_account(&inside.engine, &other).await.unwrap();
    let other = Actor::command_line(&inside.engine, &other).await.unwrap();
    for admin in [&inside.admin, &other] {
        for number in 0..8 {
            let reader = reader(&inside.engine, admin, number).await;
            let engine = inside.engine.clone();
            tokio::spawn(async move { search(&engine, &reader, &EventFilter::default()).await.map(drop) });
        }
    }
    inside.send(&[numbered("meanwhile", 0, now())]).await;
    let session = access::sign_in(&inside.engine, "ann@example.com", PASSWORD, None, "192.0.2.7")
        .await
        .unwrap();
    let person = access::session(&inside.engine, &session, access::UsedBy::Person);
    assert!(person.await.unwrap().is_some());
    inside.engine.ready().await.unwrap();
    loop {
        destinations::stream_now(&inside.engine, &inside.admin, "siem")
            .await
            .unwrap();
        let list = destinations::aggregate(&inside.engine, &inside.admin, &ListQuery::default())
            .await
            .unwrap();
        if list.items[0].streaming_details.behind == Some(0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let body = serde_json::to_vec(&[numbered("meanwhile", 1, now())]).unwrap();
    let stored = ingest(&inside.engine, &inside.ingester, BodyFormat::Json, body.into()).await;
    assert_eq!(stored.unwrap().accepted, 1);
    say("finished");
    background.stop().await;
}

async fn one_event_is_found_by_its_sequence_or_its_id_in_its_account(mut house: House) {
    let outcome = house
        .send(&[numbered("one", 1, 1_600_000_000_000), numbered("two", 2, 1)])
        .await;
    let first = outcome.first_sequence.unwrap();
    let by_id = |id: &str| EventRef::Id(id.to_owned());
    let one = find(&house.engine, &house.admin, &by_id("one-1")).await.unwrap();
    assert_eq!((one.sequence, one.time), (first, 1_600_000_000_000));
    let same = find(&house.engine, &house.admin, &EventRef::Sequence(first))
        .await
        .unwrap();
    assert_eq!(same, one);
    let listed = search(&house.engine, &house.admin, &EventFilter::default())
        .await
        .unwrap();
    assert!(listed.events.contains(&one), "the same event as in a list");
    for absent in [
        by_id("one"),
        EventRef::Sequence(first + 1_000),
        EventRef::Sequence(i64::MIN),
    ] {
        let refused = find(&house.engine, &house.admin, &absent).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound, "{absent:?}");
    }
    house
        .sql(
            "INSERT INTO sequence_gap (account_id, first_sequence, last_sequence, declared, reason) \
              SELECT id, last_sequence + 1, last_sequence + 50, 1, 'a test' FROM account",
        )
        .await;
    house.sql("UPDATE account SET last_sequence = last_sequence + 50").await;
    let in_gap = EventRef::Sequence(first + 40);
    let refused = find(&house.engine, &house.admin, &in_gap).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let name = AccountName::parse("other").unwrap();
    access::create_account(&house.engine, &name).await.unwrap();
    let other = Actor::command_line(&house.engine, &name).await.unwrap();
    let refused = find(&house.engine, &other, &by_id("one-1")).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "of another account");
    let refused = find(&house.engine, &house.ingester, &by_id("one-1")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Forbidden);
    house.stop().await;
}
