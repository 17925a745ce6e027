//! Sending and searching events: `/v1/audit-events`.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::app::{App, EVENTS, event, refused};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

async fn accepted(answer: reqwest::Response) -> (u64, u64) {
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(status, 200, "{text}");
    let outcome: Value = serde_json::from_str(&text).unwrap();
    (
        outcome["accepted"].as_u64().unwrap(),
        outcome["duplicates"].as_u64().unwrap(),
    )
}

#[tokio::test]
async fn one_event_arrays_and_lines_are_accepted_compressed_or_not() {
    let app = App::start().await;
    let one = event("one").to_string();
    assert_eq!(
        accepted(app.send_events(JSON).body(one).send().await.unwrap()).await,
        (1, 0)
    );
    let array = json!([event("two"), event("three")]).to_string();
    assert_eq!(
        accepted(
            app.send_events("application/json; charset=utf-8")
                .body(array)
                .send()
                .await
                .unwrap()
        )
        .await,
        (2, 0)
    );
    assert_eq!(
        accepted(app.send_events(NDJSON).body(EVENTS).send().await.unwrap()).await,
        (200, 0)
    );
    let (first, second) = (event("four").to_string(), format!("\n{}\n", event("five")));
    let members = [gzip(first.as_bytes()), gzip(second.as_bytes())].concat();
    let sent = app
        .send_events(NDJSON)
        .header("content-encoding", "gzip")
        .body(members)
        .send()
        .await
        .unwrap();
    assert_eq!(accepted(sent).await, (2, 0));
    for (kind, encoding, body) in [
        (NDJSON, "zstd", zstd::encode_all(EVENTS.as_bytes(), 3).unwrap()),
        ("application/jsonl", "gzip", gzip(EVENTS.as_bytes())),
        (JSON, "identity", EVENTS.as_bytes().to_vec()),
    ] {
        let sent = app.send_events(kind).header("content-encoding", encoding).body(body);
        assert_eq!(
            accepted(sent.send().await.unwrap()).await,
            (0, 200),
            "{kind} {encoding}"
        );
    }
}

#[tokio::test]
async fn the_same_events_sent_again_are_duplicates() {
    let app = App::start().await;
    assert_eq!(
        accepted(app.send_events(NDJSON).body(EVENTS).send().await.unwrap()).await,
        (200, 0)
    );
    let again = app
        .send_events(NDJSON)
        .header("content-encoding", "gzip")
        .body(gzip(EVENTS.as_bytes()));
    let answer: Value = again.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        answer,
        json!({"accepted": 0, "duplicates": 200, "first_sequence": null, "last_sequence": null})
    );
    let mut changed = event("x");
    accepted(app.send_events(JSON).body(changed.to_string()).send().await.unwrap()).await;
    changed["auditAction"] = "DELETE".into();
    let problem = refused(
        app.send_events(JSON).body(changed.to_string()).send().await.unwrap(),
        422,
        "invalid_events",
    )
    .await;
    assert_eq!(problem["errors"][0]["code"], "event_id_conflict");
}

#[tokio::test]
async fn an_unreadable_request_is_refused_and_nothing_is_stored() {
    let app = App::start().await;
    let before = app.stored().await;
    let whole = gzip(EVENTS.as_bytes());
    let deep = format!(r#"{{"auditEventId":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000)).into_bytes();
    let mut wrong_type = event("wrong");
    wrong_type["auditEventTime"] = 5.into();
    let mut elsewhere = event("elsewhere");
    elsewhere["auditResourceScope"]["accountIdentifier"] = "other".into();
    let one_bad = json!([event("good"), wrong_type]).to_string();
    let cases = [
        (
            "cut short",
            JSON,
            "",
            br#"{"auditEventId":"#.to_vec(),
            400,
            "malformed_body",
        ),
        (
            "not UTF-8",
            JSON,
            "",
            b"{\"auditEventId\":\"\xff\xfe\"}".to_vec(),
            400,
            "malformed_body",
        ),
        (
            "gzip cut short",
            NDJSON,
            "gzip",
            whole[..whole.len() / 2].to_vec(),
            400,
            "malformed_body",
        ),
        (
            "gzip without its end",
            NDJSON,
            "gzip",
            whole[..whole.len() - 4].to_vec(),
            400,
            "malformed_body",
        ),
        (
            "not gzip",
            NDJSON,
            "gzip",
            EVENTS.as_bytes().to_vec(),
            400,
            "malformed_body",
        ),
        ("a bomb", NDJSON, "gzip", gzip(&vec![b' '; 64 << 20]), 413, "too_large"),
        ("too large", NDJSON, "", vec![b'\n'; (16 << 20) + 1], 413, "too_large"),
        (
            "wrong type",
            JSON,
            "",
            wrong_type.to_string().into_bytes(),
            422,
            "invalid_events",
        ),
        (
            "another account",
            JSON,
            "",
            elsewhere.to_string().into_bytes(),
            422,
            "invalid_events",
        ),
        ("one of two", JSON, "", one_bad.into_bytes(), 422, "invalid_events"),
        (
            "another type",
            "text/plain",
            "",
            b"x".to_vec(),
            415,
            "unsupported_media_type",
        ),
        (
            "zstd cut short",
            NDJSON,
            "zstd",
            zstd::encode_all(EVENTS.as_bytes(), 3).unwrap()[..300].to_vec(),
            400,
            "malformed_body",
        ),
        ("not zstd", NDJSON, "zstd", gzip(b"{}"), 400, "malformed_body"),
        (
            "another encoding",
            JSON,
            "br",
            b"x".to_vec(),
            415,
            "unsupported_media_type",
        ),
        (
            "two encodings",
            JSON,
            "gzip, gzip",
            b"x".to_vec(),
            415,
            "unsupported_media_type",
        ),
    ];
    for (name, kind, encoding, body, status, code) in cases {
        let mut request = app.send_events(kind).body(body);
        if !encoding.is_empty() {
            request = request.header("content-encoding", encoding);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{name}");
        let encodings = answer.headers().get("accept-encoding");
        assert_eq!(
            encodings.is_some_and(|names| names == "gzip, zstd"),
            status == 415,
            "{name}"
        );
        refused(answer, status, code).await;
    }
    let answer = app.send_events(JSON).body(deep).send().await.unwrap();
    assert!(answer.status().is_client_error(), "deep: {}", answer.status());
    let missing = app
        .post("/v1/audit-events")
        .bearer_auth(&app.ingest)
        .body("{}")
        .send()
        .await
        .unwrap();
    refused(missing, 415, "unsupported_media_type").await;
    assert_eq!(app.stored().await, before);
}

#[tokio::test]
async fn stored_events_are_returned_newest_first_page_by_page() {
    let app = App::start().await;
    accepted(app.send_events(NDJSON).body(EVENTS).send().await.unwrap()).await;
    let ask = async |query: &str| -> Value {
        let answer = app
            .get(&format!("/v1/audit-events?{query}"))
            .bearer_auth(&app.read)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{query}");
        answer.json().await.unwrap()
    };
    let end = "end=1700000000000";
    let first = ask(&format!("limit=100&{end}")).await;
    let second = ask(&format!("limit=100&{end}&cursor={}", first["next"].as_str().unwrap())).await;
    assert_eq!(
        (
            first["events"].as_array().unwrap().len(),
            second["events"].as_array().unwrap().len()
        ),
        (100, 100)
    );
    assert_eq!(second["next"], Value::Null);
    let all = first["events"]
        .as_array()
        .unwrap()
        .iter()
        .chain(second["events"].as_array().unwrap());
    let times: Vec<i64> = all
        .map(|event| event["auditEventTime"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(times.is_sorted_by(|later, earlier| later >= earlier));
    assert!(first["events"][0]["auditEventMetadata"]["sequence"].is_i64());
    let endless = format!("q={}", "a".repeat(1_001));
    for query in ["limit=0", "limit=101", "limit=x", "start=soon", &endless] {
        let answer = app
            .get(&format!("/v1/audit-events?{query}"))
            .bearer_auth(&app.read)
            .send()
            .await
            .unwrap();
        refused(answer, 400, "invalid_parameter").await;
    }
}

#[tokio::test]
async fn a_search_says_how_far_it_looked_and_what_it_left_out() {
    let app = App::start().await;
    accepted(app.send_events(NDJSON).body(EVENTS).send().await.unwrap()).await;
    let mut ahead: Value = serde_json::from_str(EVENTS.lines().next().unwrap()).unwrap();
    ahead["auditEventId"] = "ahead".into();
    ahead["auditEventTime"] = "253402300799999".into();
    accepted(app.send_events(JSON).body(ahead.to_string()).send().await.unwrap()).await;
    let ask = async |query: &str| -> Value {
        let answer = app.get(&format!("/v1/audit-events?{query}")).bearer_auth(&app.read);
        answer.send().await.unwrap().json().await.unwrap()
    };
    let first = ask("limit=1&module=S3").await;
    let time = first["events"][0]["auditEventTime"].as_str().unwrap();
    assert_eq!(first["searched_until"].to_string(), time);
    let last = ask("end=1").await;
    assert_eq!((&last["next"], &last["searched_until"]), (&Value::Null, &Value::Null));
    assert_eq!(last["in_future"], Value::Null, "the client chose the end");
    let all = ask("q=AHEAD").await;
    assert_eq!((&all["events"], &all["in_future"]), (&json!([]), &json!(1)));
    let explicit = ask("q=AHEAD&end=9007199254740991").await;
    assert_eq!(explicit["events"][0]["auditEventId"], "ahead");
}

#[tokio::test]
async fn conditions_are_repeated_and_negated_and_events_are_counted() {
    let app = App::start().await;
    accepted(app.send_events(NDJSON).body(EVENTS).send().await.unwrap()).await;
    let ask = async |path: &str| -> Value {
        let answer = app.get(&format!("/v1/{path}&end=1700000000000")).bearer_auth(&app.read);
        answer.send().await.unwrap().json().await.unwrap()
    };
    let members = |page: &Value, pointer: &str| -> Vec<String> {
        let events = page["events"].as_array().unwrap().iter();
        events
            .map(|event| event.pointer(pointer).unwrap().as_str().unwrap().to_owned())
            .collect()
    };
    let modules = ask("audit-events?limit=100&module=S3&module=EC2").await;
    let modules = members(&modules, "/auditModule");
    assert!(modules.iter().all(|module| module == "S3" || module == "EC2"));
    assert!(modules.contains(&"S3".to_owned()));
    let others = ask("audit-events?limit=100&not_module=S3").await;
    assert!(!members(&others, "/auditModule").contains(&"S3".to_owned()));
    let network = ask("audit-events?limit=100&ip=10.248.0.0%2F16").await;
    let addresses = members(&network, "/auditHttpRequestInfo/clientIP");
    assert!(addresses.len() > 50 && addresses.iter().all(|address| address.starts_with("10.248.")));
    let histogram = ask("audit-event-histogram?buckets=10").await;
    let counts = histogram["buckets"].as_array().unwrap().iter();
    assert_eq!(counts.map(|bucket| bucket["count"].as_i64().unwrap()).sum::<i64>(), 200);
    assert_eq!(histogram["buckets"][0]["precision"], "exact");
    let values = ask("audit-event-values?field=module").await;
    let counts = values["values"].as_array().unwrap().iter();
    assert_eq!(counts.map(|value| value["count"].as_i64().unwrap()).sum::<i64>(), 200);
    for query in [
        "audit-events?ip=nowhere",
        "audit-event-histogram?buckets=0",
        "audit-event-values?field=x",
    ] {
        let answer = app
            .get(&format!("/v1/{query}"))
            .bearer_auth(&app.read)
            .send()
            .await
            .unwrap();
        refused(answer, 400, "invalid_parameter").await;
    }
}
