//! Rules 1 to 4.

use std::collections::BTreeSet;
use std::time::Duration;

use auditstream_engine::metrics;
use auditstream_engine::trail::{BodyFormat, ingest, newer, search};
use auditstream_model::{Code, EventFilter, IngestOutcome, Problem, Show};
use serde_json::Value;
use sqlx::{Connection as _, Executor as _};

use crate::on_both;
use crate::support::{House, On, events};

on_both![
    a_duplicate_is_counted_and_not_stored,
    member_order_is_no_conflict_and_other_content_is,
    an_id_repeated_in_a_request_is_stored_once_or_refused,
    the_commit_that_stores_events_waits_for_the_disk,
    one_invalid_event_refuses_its_request_and_no_other,
    requests_committed_together_do_not_fail_each_other,
    a_hundred_invalid_events_are_named_and_all_are_counted,
    concurrent_writers_get_dense_sequences,
    an_unreadable_body_is_refused_with_its_position,
    events_are_found_newest_first_page_by_page,
    sign_ins_and_system_events_can_be_hidden,
    events_newer_than_a_page_are_counted,
];

async fn a_duplicate_is_counted_and_not_stored(house: House) {
    let events = events();
    let first = house.send(&events).await;
    assert_eq!((first.accepted as usize, first.duplicates), (events.len(), 0));
    let again = house.send(&events).await;
    assert_eq!((again.accepted, again.duplicates as usize), (0, events.len()));
    assert_eq!((again.first_sequence, again.last_sequence), (None, None));
    let twice_in_one = house.send(&[events[0].clone(), events[0].clone()]).await;
    assert_eq!(twice_in_one.duplicates, 2);
}

async fn member_order_is_no_conflict_and_other_content_is(house: House) {
    let event = events().remove(0);
    house.send(std::slice::from_ref(&event)).await;
    let object = event.as_object().unwrap();
    let members: Vec<String> = object
        .iter()
        .rev()
        .map(|(key, value)| format!("{:?}:{value}", key))
        .collect();
    let reversed = format!("{{{}}}", members.join(","));
    let outcome = ingest(&house.engine, &house.ingester, BodyFormat::Json, reversed.into())
        .await
        .unwrap();
    assert_eq!(outcome.duplicates, 1);
    let mut other = event;
    other["auditAction"] = "OTHER".into();
    let refused = ingest(
        &house.engine,
        &house.ingester,
        BodyFormat::Json,
        other.to_string().into(),
    )
    .await
    .unwrap_err()
    .problem();
    assert_eq!(refused.code, Code::InvalidEvents);
    assert_eq!(refused.errors[0].code.as_deref(), Some("event_id_conflict"));
}

fn renamed(id: &str) -> Value {
    let mut event = events().remove(0);
    event["auditEventId"] = id.into();
    event
}

async fn try_to_send(house: &House, events: &[Value]) -> Result<IngestOutcome, Problem> {
    let body = serde_json::to_vec(events).unwrap();
    ingest(&house.engine, &house.ingester, BodyFormat::Json, body.into())
        .await
        .map_err(|error| error.problem())
}

/// Rules 3 and 4.
async fn an_id_repeated_in_a_request_is_stored_once_or_refused(house: House) {
    let outcome = house.send(&[renamed("a"), renamed("a"), renamed("b")]).await;
    assert_eq!((outcome.accepted, outcome.duplicates), (2, 1));
    let mut other = renamed("c");
    other["auditAction"] = "OTHER".into();
    let problem = try_to_send(&house, &[renamed("c"), renamed("d"), other])
        .await
        .unwrap_err();
    assert_eq!((problem.errors[0].index, problem.invalid_events), (Some(2), Some(1)));
    assert_eq!(
        house.send(&[renamed("c"), renamed("d")]).await.accepted,
        2,
        "none was stored"
    );
}

/// Rule 1, despite the defaults of the database.
async fn the_commit_that_stores_events_waits_for_the_disk(house: House) {
    house.sql("CREATE TABLE seen (setting TEXT NOT NULL)").await;
    house
        .sql(match house.on {
            On::Sqlite => {
                "CREATE TRIGGER see AFTER INSERT ON audit_event \
                 BEGIN INSERT INTO seen SELECT synchronous FROM pragma_synchronous; END"
            }
            On::Postgres => {
                "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$; \
                 CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$; \
                 CREATE TRIGGER see AFTER INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION see()"
            }
        })
        .await;
    let house = house.reopen().await;
    house.send(&events()).await;
    let mut connection = house.connection().await;
    let seen: Vec<String> = sqlx::query_scalar("SELECT DISTINCT setting FROM seen")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    // 2 is FULL.
    let durable = if house.on == On::Sqlite { "2" } else { "on" };
    assert_eq!(seen, [durable]);
}

/// Rule 4.
async fn requests_committed_together_do_not_fail_each_other(house: House) {
    house.send(&[renamed("known")]).await;
    let commits = async || {
        let rendered = metrics::render(&house.engine).await;
        let of = |name: &str| {
            let line = rendered.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse::<f64>().unwrap()
        };
        let name = "auditstream_ingest_commit_requests";
        (of(&format!("{name}_count")), of(&format!("{name}_sum")))
    };
    let before = commits().await;
    let mut lock = house.connection().await;
    lock.execute(match house.on {
        On::Sqlite => "BEGIN IMMEDIATE",
        On::Postgres => "BEGIN; SELECT id FROM account FOR UPDATE",
    })
    .await
    .unwrap();
    let mut other = renamed("known");
    other["auditAction"] = "OTHER".into();
    let [first, second, third] = [[renamed("a")], [renamed("b")], [renamed("c")]];
    let mixed = [renamed("d"), other];
    let release = async {
        // The first waits for the lock, and the others for the first.
        tokio::time::sleep(Duration::from_millis(300)).await;
        lock.execute("ROLLBACK").await.unwrap();
        lock.close().await.unwrap();
    };
    let later = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        tokio::join!(
            try_to_send(&house, &second),
            try_to_send(&house, &mixed),
            try_to_send(&house, &third),
        )
    };
    let (first, (second, mixed, third), ()) = tokio::join!(try_to_send(&house, &first), later, release);
    for good in [first, second, third] {
        assert_eq!(good.unwrap().accepted, 1);
    }
    let problem = mixed.unwrap_err();
    assert_eq!(problem.errors[0].code.as_deref(), Some("event_id_conflict"));
    assert_eq!((problem.errors[0].index, problem.invalid_events), (Some(1), Some(1)));
    let after = commits().await;
    assert_eq!(
        (after.0 - before.0, after.1 - before.1),
        (2.0, 4.0),
        "three were one commit"
    );
    assert_eq!(
        house.send(&[renamed("d")]).await.accepted,
        1,
        "nothing of it was stored"
    );
}

/// Rule 4.
async fn a_hundred_invalid_events_are_named_and_all_are_counted(house: House) {
    const EVENTS: usize = 150;
    let sent: Vec<_> = (0..EVENTS).map(|number| renamed(&number.to_string())).collect();
    house.send(&sent).await;
    let changed = |member: &str, value: Value| -> Vec<Value> {
        let change = |event: &Value| {
            let mut event = event.clone();
            event[member] = value.clone();
            event
        };
        sent.iter().map(change).collect()
    };
    for invalid in [
        changed("auditEventTime", 5.into()),
        changed("auditAction", "OTHER".into()),
    ] {
        let problem = try_to_send(&house, &invalid).await.unwrap_err();
        assert_eq!((problem.code, problem.invalid_events), (Code::InvalidEvents, Some(150)));
        let named: BTreeSet<_> = problem.errors.iter().map(|error| error.index.unwrap()).collect();
        assert_eq!(named, (0..100).collect());
    }
}

async fn one_invalid_event_refuses_its_request_and_no_other(house: House) {
    let all = events();
    let mut bad = all[..3].to_vec();
    bad[1]["auditEventTime"] = 5.into();
    let bad = serde_json::to_vec(&bad).unwrap();
    let good = serde_json::to_vec(&all[3..6]).unwrap();
    let (refused, stored) = tokio::join!(
        ingest(&house.engine, &house.ingester, BodyFormat::Json, bad.into()),
        ingest(&house.engine, &house.ingester, BodyFormat::Json, good.into()),
    );
    let problem = refused.unwrap_err().problem();
    assert_eq!(
        (problem.errors[0].index, problem.errors[0].field.as_str()),
        (Some(1), "auditEventTime")
    );
    assert_eq!(stored.unwrap().accepted, 3);
    assert_eq!(
        house.send(&all[..1]).await.accepted,
        1,
        "nothing of the refused request was stored"
    );
}

async fn concurrent_writers_get_dense_sequences(house: House) {
    let requests = events().into_iter().map(|event| {
        let (engine, actor) = (house.engine.clone(), house.ingester.clone());
        tokio::spawn(async move {
            ingest(&engine, &actor, BodyFormat::Json, event.to_string().into())
                .await
                .unwrap()
        })
    });
    let mut sequences = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        sequences.push(request.await.unwrap().first_sequence.unwrap());
    }
    sequences.sort_unstable();
    let first = sequences[0];
    assert_eq!(sequences, (first..first + events().len() as i64).collect::<Vec<_>>());
}

async fn an_unreadable_body_is_refused_with_its_position(house: House) {
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let many = format!("[{}]", vec!["{}"; 10_001].join(","));
    let large = format!(r#"{{"auditEventId":"{}"}}"#, "x".repeat(1 << 20));
    for (format, body, code, says) in [
        (BodyFormat::Json, &b""[..], Code::MalformedBody, "empty"),
        (BodyFormat::Json, b"{\"a\":", Code::MalformedBody, "line 1"),
        (BodyFormat::Json, b"[{}", Code::MalformedBody, "line 1"),
        (BodyFormat::Json, b"\xff\xfe", Code::MalformedBody, "byte 0"),
        (BodyFormat::Ndjson, b"{}\n{oops}\n", Code::MalformedBody, "line 2"),
        (BodyFormat::Json, b"7", Code::InvalidEvents, "No event of the request"),
        (
            BodyFormat::Json,
            b"[[]]",
            Code::InvalidEvents,
            "No event of the request",
        ),
        (
            BodyFormat::Json,
            deep.as_bytes(),
            Code::InvalidEvents,
            "No event of the request",
        ),
        (BodyFormat::Json, many.as_bytes(), Code::TooLarge, "10000"),
        (BodyFormat::Json, large.as_bytes(), Code::TooLarge, "event 0"),
    ] {
        let problem = ingest(&house.engine, &house.ingester, format, body.to_vec().into())
            .await
            .unwrap_err()
            .problem();
        assert_eq!(problem.code, code, "{}", problem.detail);
        assert!(problem.detail.contains(says), "{} does not say {says}", problem.detail);
    }
}

async fn events_are_found_newest_first_page_by_page(house: House) {
    house.send(&events()).await;
    let mut filter = EventFilter {
        module: Some("S3".into()),
        limit: Some(7),
        ..EventFilter::default()
    };
    let expected = events().iter().filter(|event| event["auditModule"] == "S3").count();
    let mut found = Vec::new();
    loop {
        let page = search(&house.engine, &house.admin, &filter).await.unwrap();
        found.extend(page.events);
        let Some(next) = page.next else { break };
        filter.cursor = Some(next);
    }
    assert_eq!(found.len(), expected);
    assert!(
        found
            .windows(2)
            .all(|pair| (pair[0].time, pair[0].sequence) > (pair[1].time, pair[1].sequence))
    );
    let later = EventFilter {
        start: Some(4_000_000_000_000),
        ..EventFilter::default()
    };
    let empty = search(&house.engine, &house.admin, &later).await.unwrap();
    assert!(empty.events.is_empty() && empty.outside_range.unwrap() >= events().len() as i64);
    let id = events()[0]["auditEventId"].as_str().unwrap().to_owned();
    for (q, outside) in [("nothing that any event has", 0), (id.as_str(), 1)] {
        let filter = EventFilter {
            q: Some(q.to_owned()),
            ..later.clone()
        };
        let empty = search(&house.engine, &house.admin, &filter).await.unwrap();
        assert_eq!(empty.outside_range, Some(outside), "{q}");
    }
}

async fn sign_ins_and_system_events_can_be_hidden(house: House) {
    let like = |id: &str, action: &str, kind: &str| {
        let mut event = events()[0].clone();
        event["auditEventId"] = id.into();
        event["auditAction"] = action.into();
        event["auditEventAuthor"]["principal"]["type"] = kind.into();
        event["auditModule"] = "SHOWN".into();
        event
    };
    let sent = [
        like("a", "LOGIN", "USER"),
        like("b", "UNSUCCESSFUL_LOGIN", "USER"),
        like("c", "UPDATE", "SYSTEM"),
        like("d", "UPDATE", "USER"),
    ];
    house.send(&sent).await;
    for (show, expected) in [(Show::All, 4), (Show::NoLogin, 2), (Show::NoSystem, 3)] {
        let filter = EventFilter {
            show,
            module: Some("SHOWN".into()),
            ..EventFilter::default()
        };
        let found = search(&house.engine, &house.admin, &filter).await.unwrap();
        assert_eq!(found.events.len(), expected, "{show:?}");
    }
}

async fn events_newer_than_a_page_are_counted(house: House) {
    house.send(&events()[..3]).await;
    let filter = EventFilter {
        module: Some("S3".into()),
        ..EventFilter::default()
    };
    let page = search(&house.engine, &house.admin, &filter).await.unwrap();
    let count = || newer(&house.engine, &house.admin, &filter, page.last_sequence);
    assert_eq!(count().await.unwrap().count, 0);
    house.send(&events()).await;
    let expected = events()[3..]
        .iter()
        .filter(|event| event["auditModule"] == "S3")
        .count();
    let newer = count().await.unwrap();
    assert_eq!(newer.count, expected as i64);
    let last = search(&house.engine, &house.admin, &filter)
        .await
        .unwrap()
        .last_sequence;
    assert_eq!(newer.until, last, "the next poll continues there");
}
