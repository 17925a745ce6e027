//! A sender's JSON library escapes what it need not escape, and a search for the text as people
//! write it finds nothing.

use auditstream_engine::trail::{BodyFormat, ingest, search};
use auditstream_model::EventFilter;

use crate::on_both;
use crate::support::{House, events};

on_both![
    search_escaped_json,
    either_case_of_any_alphabet_is_found_on_both_databases,
];

/// Stores an event whose metadata is this JSON text, as it is.
async fn send(house: &House, id: &str, metadata: &str) {
    let mut event = events().remove(0);
    event["auditEventId"] = id.into();
    event["auditEventMetadata"] = "METADATA".into();
    let body = event.to_string().replace("\"METADATA\"", metadata);
    let stored = ingest(
        &house.engine,
        &house.ingester,
        BodyFormat::Json,
        body.into_bytes().into(),
    )
    .await;
    assert_eq!(stored.unwrap().accepted, 1);
}

async fn found(house: &House, text: &str) -> Vec<String> {
    let filter = EventFilter {
        q: Some(text.to_owned()),
        ..EventFilter::default()
    };
    let page = search(&house.engine, &house.admin, &filter).await.unwrap();
    let id = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap()["auditEventId"].clone();
    let ids = page.events.iter().map(|event| id(&event.json));
    ids.map(|id| id.as_str().unwrap().to_owned()).collect()
}

async fn search_escaped_json(house: House) {
    for (id, metadata) in [
        ("letters", r#"{"who":"J\u00fcrgen Gro\u00df"}"#),
        ("slashes", r#"{"path":"\/etc\/passwd"}"#),
        ("backslashes", r#"{"file":"C:\\Users\\ann"}"#),
        ("quotes", r#"{"said":"the \"big\" plan"}"#),
        ("emoji", r#"{"said":"\ud83c\udf89 party"}"#),
        ("name", r#"{"stra\u00dfe":18446744073709551617}"#),
    ] {
        send(&house, id, metadata).await;
    }
    for (text, id) in [
        ("Jürgen Groß", "letters"),
        (r"J\u00fcrgen", "letters"),
        ("/etc/passwd", "slashes"),
        (r"\/etc\/", "slashes"),
        (r"C:\Users\ann", "backslashes"),
        (r"C:\\Users\\ann", "backslashes"),
        (r#"the "big" plan"#, "quotes"),
        ("🎉 party", "emoji"),
        ("straße", "name"),
        ("8446744073709551617", "name"),
    ] {
        assert_eq!(found(&house, text).await, [id], "{text}");
    }
}

async fn either_case_of_any_alphabet_is_found_on_both_databases(house: House) {
    send(&house, "german", r#"{"who":"Müller"}"#).await;
    send(&house, "decomposed", "{\"who\":\"ZOE\u{308}\"}").await;
    send(&house, "russian", r#"{"who":"Мария"}"#).await;
    send(
        &house,
        "greek",
        r#"{"who":"\u1f48\u03b4\u03c5\u03c3\u03c3\u03b5\u03cd\u03c2"}"#,
    )
    .await;
    for (text, id) in [
        ("MÜLLER", "german"),
        ("mu\u{308}ller", "german"),
        ("zoë", "decomposed"),
        ("МАРИЯ", "russian"),
        ("ὀδυσσεύς", "greek"),
        ("ὈΔΥΣΣΕΎΣ", "greek"),
    ] {
        assert_eq!(found(&house, text).await, [id], "{text}");
    }
    assert_eq!(found(&house, "muller").await, [] as [&str; 0], "an accent matters");
}
