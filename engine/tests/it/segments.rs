//! Rules 2, 6, 13 and 17: the trail's segments return the events that were sent, also after a
//! merge.

use std::time::Duration;

use auditstream_engine::trail::{BodyFormat, EventRef, Export, find, ingest, search};
use auditstream_engine::{Precondition, destinations};
use auditstream_model::limits::EVENT_BYTES;
use auditstream_model::{EventFilter, Status};
use auditstream_testkit::s3::{BUCKET, Store};
use serde_json::{Value, json};

use crate::support::{House, On, StoredEvent, dense, events};
use crate::{on, on_both};

on_both![
    what_is_streamed_is_what_was_sent_digit_for_digit,
    small_commits_are_merged_and_no_event_changes,
    streaming_searching_and_retention_continue_while_segments_are_merged,
    a_damaged_segment_is_refused_by_name_and_others_are_read,
    nothing_is_streamed_past_a_segment_that_is_missing,
    the_lag_that_a_merged_segment_shows_is_never_too_short,
    a_page_of_events_is_read_by_its_segments,
];

on!(postgres_servers, Postgres, two_servers_merge_without_a_loss,);

fn single(name: &str, number: usize) -> Value {
    let mut event = events().remove(0);
    event["auditEventId"] = format!("{name}-{number}").into();
    event
}

async fn number(house: &House, sql: &'static str) -> i64 {
    let mut connection = house.connection().await;
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

/// Waits until a number is as expected.
async fn reaches(house: &House, sql: &'static str, expected: impl Fn(i64) -> bool) {
    let mut seen = 0;
    for _ in 0..600 {
        seen = number(house, sql).await;
        if expected(seen) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{sql}: {seen}");
}

/// Merges at once, from now on.
async fn merging(mut house: House) -> House {
    house.config.merging.every = Duration::from_millis(10);
    house.config.merging.settle = Duration::ZERO;
    house.reopen().await
}

/// The number of sequences after the last one that merging is done with.
const UNMERGED: &str = "SELECT a.last_sequence - coalesce(max(m.merged), 0) FROM account a \
    LEFT JOIN segment_merge m ON m.account_id = a.id GROUP BY a.last_sequence";

async fn merged(house: House) -> House {
    let house = merging(house).await;
    reaches(&house, UNMERGED, |left| left == 0).await;
    house
}

const SEGMENTS: &str = "SELECT count(*) FROM audit_segment";

/// Events as texts that a lenient parser would change.
pub(crate) fn odd() -> Vec<String> {
    let start = r#""auditEventAuthor":{"principal":{"type":"USER","identifier":"ann"}},"auditModule":"CD","#;
    let end = r#""auditResource":{"type":"P","identifier":"p"},"auditResourceScope":{"accountIdentifier":"default"},"#;
    let rest =
        format!(r#"{start}{end}"auditAction":"CREATE","auditEventTime":"1688989356000","auditEventMetadata":{{"#);
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let members = [
        String::new(),
        r#""n":[12345678901234567890.10,1E400,-0.0,1e-7,0.1000,18446744073709551617]"#.to_owned(),
        r#""s":"\u00e9\/\ud83c\udf89\t\"é🎉\\","o":{"\u0061":null}"#.to_owned(),
        format!(r#""deep":{deep}"#),
    ];
    let mut odd: Vec<String> = members
        .iter()
        .enumerate()
        .map(|(number, members)| format!(r#"{{"auditEventId":"odd {number}",{rest}{members}}}}}"#))
        .collect();
    let empty = format!(r#"{{"auditEventId":"large",{rest}"x":""}}}}"#);
    let filler = "é\\n".repeat((EVENT_BYTES - empty.len()) / 4);
    odd.push(empty.replace(r#""x":"""#, &format!(r#""x":"{filler}""#)));
    odd
}

/// An event as it was sent, without its end.
fn open(sent: &str) -> String {
    let open = sent.strip_suffix("}}").unwrap().to_owned();
    if open.ends_with('{') { open } else { open + "," }
}

/// The events of a bucket, each up to its sequence, in their order, and whether that is without
/// gaps.
fn streamed(store: &Store) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    for object in store.objects(BUCKET).values() {
        let text = std::io::read_to_string(flate2::read::GzDecoder::new(object.as_slice())).unwrap();
        for line in text.lines() {
            let (event, end) = line.rsplit_once(r#""sequence":"#).unwrap();
            let (sequence, batch) = end.split_once(',').unwrap();
            assert!(
                batch.starts_with(r#""batchId":""#) && batch.ends_with(r#""}}"#),
                "{batch}"
            );
            found.push((sequence.parse().unwrap(), event.to_owned()));
        }
    }
    found
}

async fn what_is_streamed_is_what_was_sent_digit_for_digit(house: House) {
    const TOGETHER: usize = 2_240;
    let trail = auditstream_testkit::events::trail();
    let mut sent: Vec<String> = trail.lines().map(str::to_owned).collect();
    assert_eq!(sent.len(), 2_261, "all recorded events");
    sent.extend(odd());
    let mut first = None;
    // Of the last ones, each request has one.
    let (together, alone) = sent.split_at(TOGETHER);
    for body in together
        .chunks(320)
        .map(|some| some.join(","))
        .chain(alone.iter().cloned())
    {
        let body = format!("[{body}]");
        let stored = ingest(&house.engine, &house.ingester, BodyFormat::Json, body.into())
            .await
            .unwrap();
        first = first.or(stored.first_sequence);
    }
    let first = first.unwrap();
    let expected: Vec<(i64, String)> = (first..).zip(sent.iter().map(|event| open(event))).collect();
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({"batch_events": 1_000})).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    let of_senders = |found: Vec<(i64, String)>| {
        let last = first + i64::try_from(sent.len()).unwrap();
        let mut found: Vec<_> = found
            .into_iter()
            .filter(|(sequence, _)| (first..last).contains(sequence))
            .collect();
        found.sort();
        found
    };
    assert!(of_senders(streamed(&store)) == expected, "an event was changed");
    house.toggle(Status::Inactive).await;
    let segments = number(&house, SEGMENTS).await;
    let house = merged(house).await;
    assert!(number(&house, SEGMENTS).await < segments / 2, "they were merged");
    destinations::move_cursor(&house.engine, &house.admin, "siem", 0, &Precondition::None)
        .await
        .unwrap();
    let again = Store::start().await;
    let mut input = crate::support::connector(&again.endpoint);
    input.name = "again".into();
    auditstream_engine::connectors::replace(&house.engine, &house.admin, "aws", input, &Precondition::None)
        .await
        .unwrap();
    house.toggle(Status::Active).await;
    house.streamed().await;
    assert!(of_senders(streamed(&again)) == expected, "merging changed an event");
}

fn texts(stored: &[StoredEvent]) -> Vec<(i64, i64, &str)> {
    let text = |event: &StoredEvent| (event.account_id, event.sequence);
    let texts = stored.iter().map(|event| (text(event), event.payload.as_str()));
    texts
        .map(|((account, sequence), payload)| (account, sequence, payload))
        .collect()
}

async fn small_commits_are_merged_and_no_event_changes(house: House) {
    const EVENTS: usize = 60;
    for number in 0..EVENTS {
        house.send(&[single("small", number)]).await;
    }
    let before = house.stored_events().await;
    assert!(number(&house, SEGMENTS).await >= 60);
    let times = "SELECT CAST(sum(time) AS BIGINT) FROM audit_event";
    let sum = number(&house, times).await;
    let house = merged(house).await;
    let segments = number(&house, SEGMENTS).await;
    assert!(segments <= 3, "{segments} segments are left");
    let after = house.stored_events().await;
    assert!(texts(&after) == texts(&before), "an event was changed");
    let wrong = "SELECT count(*) FROM (SELECT bytes_before, sum(bytes) OVER (ORDER BY last_sequence) - bytes AS sum \
        FROM audit_segment) AS it WHERE bytes_before <> sum";
    assert_eq!((number(&house, wrong).await, number(&house, times).await), (0, sum));
    assert_eq!(house.send(&[single("small", 7)]).await.duplicates, 1);
    let mut export = Export::begin(&house.engine, &house.admin, EventFilter::default())
        .await
        .unwrap();
    let page = export.next_page().await.unwrap().unwrap();
    let mut sequences: Vec<i64> = page.iter().map(|event| event.sequence).collect();
    sequences.reverse();
    assert!(dense(&sequences) && sequences.len() > EVENTS);
}

async fn streaming_searching_and_retention_continue_while_segments_are_merged(mut house: House) {
    house.config.retention.every = Duration::from_millis(20);
    house.config.retention.settle = Duration::ZERO;
    house.config.retention.confirm_above = 100;
    let house = merging(house).await;
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    for number in 0..80 {
        house.send(&[single("meanwhile", number)]).await;
        let filter = EventFilter {
            q: Some(format!("meanwhile-{number}\"")),
            ..EventFilter::default()
        };
        let page = search(&house.engine, &house.admin, &filter).await.unwrap();
        let id = format!("\"auditEventId\":\"meanwhile-{number}\"");
        assert!(
            page.events.iter().any(|event| event.json.contains(&id)),
            "event {number}"
        );
        if number % 20 == 19 {
            // Everything is merged once more.
            house.sql("UPDATE segment_merge SET merged = 0").await;
            reaches(&house, UNMERGED, |left| left == 0).await;
        }
        if number % 10 == 0 {
            destinations::stream_now(&house.engine, &house.admin, "siem")
                .await
                .unwrap();
        }
    }
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)), "each once");
    assert!(number(&house, SEGMENTS).await < 40, "segments were merged");
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1")
        .await;
    reaches(&house, "SELECT min(first_sequence) FROM account", |first| first > 80).await;
    let leftover = "SELECT count(*) FROM audit_event, account WHERE sequence < first_sequence";
    assert_eq!(number(&house, leftover).await, 0);
    house.send(&[single("later", 1)]).await;
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)), "each once");
}

async fn two_servers_merge_without_a_loss(house: House) {
    let house = merging(house).await;
    let other = auditstream_engine::Engine::open(house.config.clone()).await.unwrap();
    let background = other.start();
    let mut before = Vec::new();
    for number in 0..60 {
        house.send(&[single("shared", number)]).await;
        if number % 20 == 19 {
            house.sql("UPDATE segment_merge SET merged = 0").await;
            before = house.stored_events().await;
            reaches(&house, UNMERGED, |left| left == 0).await;
        }
    }
    background.stop().await;
    other.close().await;
    // Events that were received a minute apart are not merged yet.
    assert!(number(&house, SEGMENTS).await < 20);
    let after = house.stored_events().await;
    assert!(texts(&after) == texts(&before), "an event was changed or lost");
}

async fn a_damaged_segment_is_refused_by_name_and_others_are_read(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    let damaged = house.send(&[single("damaged", 1)]).await.first_sequence.unwrap();
    house.send(&[single("intact", 1)]).await;
    let damage = match house.on {
        On::Sqlite => "UPDATE audit_segment SET content = zeroblob(length(content)) WHERE last_sequence = $1",
        On::Postgres => "UPDATE audit_segment SET content = '\\x00' WHERE last_sequence = $1",
    };
    let mut connection = house.connection().await;
    sqlx::query(damage)
        .bind(damaged)
        .execute(&mut connection)
        .await
        .unwrap();
    drop(connection);
    let name = format!("the segment of the trail with the events {damaged} to {damaged} is damaged");
    let all = EventFilter::default();
    let refused = search(&house.engine, &house.admin, &all).await.unwrap_err();
    assert!(refused.to_string().contains(&name), "{refused}");
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    let item = house.settled(|item| item.streaming_details.failure.is_some()).await;
    let failure = item.streaming_details.failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.blocked), ("cannot_build", true));
    assert!(failure.message.contains(&name), "{}", failure.message);
    // A merge leaves the damaged segment as it is.
    let house = merged(house).await;
    let kept = "SELECT count(*) FROM audit_segment WHERE first_sequence = last_sequence AND last_sequence = ";
    let mut connection = house.connection().await;
    let kept: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("{kept}{damaged}")))
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(kept, 1);
    assert_eq!(house.send(&[single("after", 1)]).await.accepted, 1);
}

async fn nothing_is_streamed_past_a_segment_that_is_missing(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    house.send(&[single("before", 1)]).await;
    let missing = house.send(&[single("missing", 1), single("missing", 2)]).await;
    let missing = missing.first_sequence.unwrap();
    house.send(&[single("next", 1)]).await;
    let mut connection = house.connection().await;
    let segment = format!("FROM audit_segment WHERE first_sequence = {missing}");
    for statement in [
        format!("CREATE TABLE aside AS SELECT * {segment}"),
        format!("DELETE {segment}"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    drop(connection);
    let name = format!("event {missing} is missing from the trail");
    let by_id = |id: &str| EventRef::Id(id.to_owned());
    let refused = find(&house.engine, &house.admin, &by_id("missing-1"))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains(&name), "{refused}");
    let next = find(&house.engine, &house.admin, &by_id("next-1")).await.unwrap();
    assert_eq!(next.sequence, missing + 2);
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    let item = house.settled(|item| item.streaming_details.failure.is_some()).await;
    let failure = item.streaming_details.failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.blocked), ("cannot_build", true));
    assert!(failure.message.contains(&name), "{}", failure.message);
    assert!(store.sequences(BUCKET).iter().all(|sequence| *sequence < missing));
    assert_eq!(house.send(&[single("later", 1)]).await.accepted, 1);
    assert_eq!(
        house.send(&[single("missing", 1)]).await.duplicates,
        1,
        "its id is known"
    );
    // As when it is copied from a backup.
    let house = merged(house).await;
    house.sql("INSERT INTO audit_segment SELECT * FROM aside").await;
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
}

async fn the_lag_that_a_merged_segment_shows_is_never_too_short(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.send(&[single("first", 1)]).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    house.toggle(Status::Inactive).await;
    for number in 0..5 {
        house.send(&[single("waiting", number)]).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let waiting_since = async |house: &House| {
        let details = house.settled(|_| true).await.streaming_details;
        (details.waiting_since.unwrap(), details.behind.unwrap())
    };
    let before = waiting_since(&house).await;
    let house = merged(house).await;
    let after = waiting_since(&house).await;
    assert_eq!(number(&house, SEGMENTS).await, 1);
    assert!(
        after.0 <= before.0 && after.0 > before.0 - 60_000,
        "{after:?}, before {before:?}"
    );
    assert_eq!(after.1, before.1, "the number of events is exact");
}

async fn a_page_of_events_is_read_by_its_segments(house: House) {
    let many: Vec<Value> = (0..1_200).map(|number| single("many", number)).collect();
    house.send(&many).await;
    assert_eq!(
        number(&house, "SELECT max(last_sequence - first_sequence) FROM audit_segment").await,
        499
    );
    let mut sequences = Vec::new();
    let mut filter = EventFilter {
        limit: Some(100),
        module: Some(many[0]["auditModule"].as_str().unwrap().to_owned()),
        ..EventFilter::default()
    };
    loop {
        let page = search(&house.engine, &house.admin, &filter).await.unwrap();
        for event in &page.events {
            let json: Value = serde_json::from_str(&event.json).unwrap();
            assert_eq!(json["auditEventMetadata"]["sequence"], event.sequence);
            assert_eq!(
                event.principal,
                json["auditEventAuthor"]["principal"]["identifier"].as_str().unwrap()
            );
            assert_eq!(event.time.to_string(), json["auditEventTime"].as_str().unwrap());
        }
        sequences.extend(page.events.iter().map(|event| event.sequence));
        let Some(next) = page.next else { break };
        filter.cursor = Some(next);
    }
    assert_eq!(sequences.len(), many.len());
    assert!(sequences.windows(2).all(|pair| pair[0] > pair[1]));
}
