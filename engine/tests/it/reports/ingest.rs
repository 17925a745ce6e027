//! Bodies as senders produce them: accepted where they are unambiguous, refused by name where they
//! are not.

use auditstream_engine::trail::{BodyFormat, ingest, search};
use auditstream_model::{Code, EventFilter, IngestOutcome, Problem};
use serde_json::Value;

use crate::on_both;
use crate::support::{House, events};

on_both![
    nested_duplicate_keys,
    byte_order_mark,
    json_lines_sent_as_json,
    numbers_beyond_64_bits,
    null_optional_members,
    impossible_times,
    an_honest_retry_that_escapes_and_orders_differently_is_a_duplicate,
    errors_of_a_request_are_bounded_in_number_and_length,
];

async fn send(house: &House, format: BodyFormat, body: String) -> Result<IngestOutcome, Problem> {
    let sent = ingest(&house.engine, &house.ingester, format, body.into());
    sent.await.map_err(|error| error.problem())
}

async fn send_json(house: &House, body: String) -> Result<IngestOutcome, Problem> {
    send(house, BodyFormat::Json, body).await
}

/// An event whose metadata are this JSON.
fn with_metadata(id: &str, metadata: &str) -> String {
    let mut event = events().remove(0);
    event["auditEventId"] = id.into();
    event["auditModule"] = "REPORT".into();
    event["auditEventMetadata"] = "METADATA".into();
    event.to_string().replace("\"METADATA\"", metadata)
}

/// The newest event of the trail, as it is stored.
async fn stored(house: &House) -> String {
    let filter = EventFilter {
        limit: Some(1),
        module: Some("REPORT".to_owned()),
        ..EventFilter::default()
    };
    let page = search(&house.engine, &house.admin, &filter).await.unwrap();
    page.events[0].json.clone()
}

async fn nested_duplicate_keys(house: House) {
    for (metadata, path) in [
        (
            r#"{"requestParameters":{"name":"a","name":"b"}}"#,
            "auditEventMetadata.requestParameters.name",
        ),
        (
            r#"{"items":[{"a":1},{"deep":[[{"k":1,"\u006b":2}]]}]}"#,
            "auditEventMetadata.items[1].deep[0][0].k",
        ),
        (r#"{"sequence":1,"sequence":2}"#, "auditEventMetadata.sequence"),
    ] {
        let problem = send_json(&house, with_metadata("twice", metadata)).await.unwrap_err();
        assert_eq!(problem.code, Code::InvalidEvents);
        assert_eq!(problem.of(path), Some("Duplicate key."), "{problem:?}");
    }
    let twice = with_metadata("twice", "{}").replacen('{', r#"{"auditEventMetadata":{"a":1},"#, 1);
    let problem = send_json(&house, twice).await.unwrap_err();
    assert_eq!(problem.of("auditEventMetadata"), Some("Duplicate key."));
    let alike = with_metadata("alike", r#"{"a":{"name":1,"Name":2},"b":{"name":1}}"#);
    assert_eq!(send_json(&house, alike).await.unwrap().accepted, 1);
}

async fn byte_order_mark(house: House) {
    let marked = |body: &str| format!("\u{feff}{body}");
    let [one, two] = ["one", "two"].map(|id| with_metadata(id, "{}"));
    let sent = send_json(&house, marked(&one)).await.unwrap();
    assert_eq!(sent.accepted, 1);
    let lines = format!("{}\r\n{}\r\n", marked(&one), marked(&two));
    let sent = send(&house, BodyFormat::Ndjson, lines).await.unwrap();
    assert_eq!((sent.accepted, sent.duplicates), (1, 1));
}

async fn json_lines_sent_as_json(house: House) {
    let lines = ["one", "two", "three"].map(|id| with_metadata(id, "{}")).join("\n");
    assert_eq!(send_json(&house, lines.clone()).await.unwrap().accepted, 3);
    let array = format!("[{}]", lines.replace('\n', ","));
    let sent = send(&house, BodyFormat::Ndjson, array).await.unwrap();
    assert_eq!(sent.duplicates, 3);
    let problem = send_json(&house, lines.replace('\n', ",")).await.unwrap_err();
    assert_eq!(problem.code, Code::MalformedBody);
    assert!(problem.detail.contains("one event per line"), "{}", problem.detail);
}

async fn numbers_beyond_64_bits(house: House) {
    for (number, other) in [
        ("18446744073709551617", "18446744073709551616"),
        ("0.12345678901234567890123", "0.12345678901234567890124"),
        ("1e400", "1e401"),
        ("1.0", "1.00"),
    ] {
        let event = |amount: &str| with_metadata(number, &format!(r#"{{"amount":{amount}}}"#));
        let first = send_json(&house, event(number)).await.unwrap();
        assert_eq!(first.accepted, 1);
        assert!(stored(&house).await.contains(&format!(r#""amount":{number},"#)));
        let again = send_json(&house, event(number)).await.unwrap();
        assert_eq!(again.duplicates, 1);
        let conflict = send_json(&house, event(other)).await.unwrap_err();
        assert_eq!(
            conflict.errors[0].code.as_deref(),
            Some("event_id_conflict"),
            "{number}"
        );
    }
}

async fn null_optional_members(house: House) {
    let plain: Value = serde_json::from_str(&with_metadata("nulls", "{}")).unwrap();
    let mut nulls = plain.clone();
    nulls["auditEventAuthor"]["principal"]["email"] = Value::Null;
    nulls["auditResourceScope"]["orgIdentifier"] = Value::Null;
    nulls["auditResourceScope"]["projectIdentifier"] = Value::Null;
    nulls["auditHttpRequestInfo"] = Value::Null;
    nulls["auditEventMetadata"] = Value::Null;
    assert_eq!(send_json(&house, nulls.to_string()).await.unwrap().accepted, 1);
    let found: Value = serde_json::from_str(&stored(&house).await).unwrap();
    let sequence = &found["auditEventMetadata"]["sequence"];
    let mut expected = nulls.clone();
    expected["auditEventAuthor"]["principal"]
        .as_object_mut()
        .unwrap()
        .remove("email");
    for member in ["orgIdentifier", "projectIdentifier"] {
        expected["auditResourceScope"].as_object_mut().unwrap().remove(member);
    }
    expected.as_object_mut().unwrap().remove("auditHttpRequestInfo");
    expected["auditEventMetadata"] = serde_json::json!({ "sequence": sequence });
    assert_eq!(found, expected);
    expected["auditEventMetadata"] = serde_json::json!({});
    assert_eq!(send_json(&house, expected.to_string()).await.unwrap().duplicates, 1);
    expected["auditHttpRequestInfo"] = serde_json::json!({"requestMethod": null, "clientIP": null});
    assert_eq!(send_json(&house, expected.to_string()).await.unwrap().duplicates, 1);
    let mut required = plain;
    required["auditAction"] = Value::Null;
    let problem = send_json(&house, required.to_string()).await.unwrap_err();
    assert_eq!(problem.of("auditAction"), Some("This member is required."));
}

async fn impossible_times(house: House) {
    for (time, says) in [
        ("1688989356000000", "year 9999"),
        ("253402300800000", "year 9999"),
        ("99999999999999999999999", "year 9999"),
        ("000000001688989356000", "year 9999"),
        ("-1", "before 1970"),
        ("2024-01-01T00:00:00Z", "decimal milliseconds"),
        ("", "decimal milliseconds"),
    ] {
        let mut event: Value = serde_json::from_str(&with_metadata("time", "{}")).unwrap();
        event["auditEventTime"] = time.into();
        let problem = send_json(&house, event.to_string()).await.unwrap_err();
        assert!(
            problem.of("auditEventTime").unwrap().contains(says),
            "{time}: {problem:?}"
        );
    }
}

async fn an_honest_retry_that_escapes_and_orders_differently_is_a_duplicate(house: House) {
    let sent = with_metadata(
        "retry",
        r#"{"a":"Jürgen/😀","b":[1,{"x":"\"","y":2}],"recordedBy":"them"}"#,
    );
    let again = with_metadata(
        "retry",
        r#"{"b":[1,{"y":2,"x":"\u0022"}],"a":"J\u00fcrgen\/\ud83d\ude00"}"#,
    );
    assert_eq!(send_json(&house, sent).await.unwrap().accepted, 1);
    assert_eq!(send_json(&house, again).await.unwrap().duplicates, 1);
    let other = with_metadata("retry", r#"{"b":[{"y":2,"x":"\""},1],"a":"Jürgen/😀"}"#);
    assert!(
        send_json(&house, other).await.is_err(),
        "the order of elements is content"
    );
}

async fn errors_of_a_request_are_bounded_in_number_and_length(house: House) {
    let pairs: Vec<_> = (0..200).map(|n| format!(r#""{n}":1,"{n}":2"#)).collect();
    let event = format!("{{{}}}", pairs.join(","));
    let problem = send_json(&house, event.clone()).await.unwrap_err();
    assert_eq!(problem.errors.len(), 20);
    assert_eq!(problem.errors[19].message, "This event has more errors.");
    let many = vec![event; 99].join("\n");
    let problem = send(&house, BodyFormat::Ndjson, many).await.unwrap_err();
    assert_eq!((problem.errors.len(), problem.invalid_events), (1000, Some(99)));
    assert!(problem.errors[999].message.contains("more errors"));
    let long = "k".repeat(100_000);
    let metadata = format!(r#"{{"{long}":{{"{long}":{{"x":1,"x":2,"{long}":1,"{long}":2}}}}}}"#);
    let problem = send_json(&house, with_metadata("long", &metadata)).await.unwrap_err();
    assert!(problem.errors.iter().all(|error| error.field.chars().count() <= 257));
}
