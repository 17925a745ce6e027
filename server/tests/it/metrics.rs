//! `/metrics` and its access control.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use serde_json::json;
use tower::ServiceExt as _;

use crate::app::{App, EMAIL, EVENTS, connector, destination, refused};
use auditstream_testkit::s3::SECRET;

async fn scrape(app: &App) -> String {
    let answer = app.get("/metrics").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    answer.text().await.unwrap()
}

/// The value of the line that starts with `line`.
fn value(text: &str, line: &str) -> f64 {
    let found = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
    found
        .unwrap_or_else(|| panic!("no {line} in:\n{text}"))
        .parse()
        .unwrap()
}

/// Waits until a line has the expected value: metrics of destinations are cached for two seconds.
async fn settled(app: &App, line: &str, expected: f64) -> String {
    for _ in 0..100 {
        let text = scrape(app).await;
        if text.contains(line) && (value(&text, line) - expected).abs() < f64::EPSILON {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{line} is not {expected}:\n{}", scrape(app).await);
}

#[tokio::test]
async fn a_delivery_is_counted_from_its_events_to_its_object() {
    let app = App::start().await;
    let store = app.with_store().await;
    let before = scrape(&app).await;
    for name in [
        "ingest_requests",
        "ingest_events",
        "delivered_events",
        "runs",
        "retention_removed_events",
    ] {
        assert_eq!(value(&before, &format!("auditstream_{name}_total")), 0.0, "{name}");
    }
    assert_eq!(value(&before, "auditstream_database_up"), 1.0);
    for _ in 0..2 {
        let sent = app
            .send_events("application/x-ndjson")
            .body(EVENTS)
            .send()
            .await
            .unwrap();
        assert_eq!(sent.status(), 200);
    }
    let invalid = app
        .send_events("application/json")
        .body(r#"{"a":1}"#)
        .send()
        .await
        .unwrap();
    refused(invalid, 422, "invalid_events").await;
    let mut gone = connector("http://127.0.0.1:1");
    gone["identifier"] = json!("gone");
    let made = app.post("/v1/connectors").bearer_auth(&app.admin).json(&gone);
    assert_eq!(made.send().await.unwrap().status(), 201);
    let make = async |destination: serde_json::Value| {
        let made = app
            .post("/v1/streaming-destinations")
            .bearer_auth(&app.admin)
            .json(&destination);
        assert_eq!(made.send().await.unwrap().status(), 201);
    };
    make(destination("siem", "ACTIVE")).await;
    let mut failing = destination("failing", "ACTIVE");
    failing["connector_ref"] = json!("gone");
    make(failing).await;
    let labels = |identifier: &str| format!(r#"{{account="default",destination="{identifier}"}}"#);
    let of = |name: &str, identifier: &str| format!("auditstream_destination_{name}{}", labels(identifier));
    settled(&app, &of("failing", "failing"), 1.0).await;
    let text = settled(&app, &of("failing", "siem"), 0.0).await;
    for (line, expected) in [
        ("auditstream_ingest_requests_total", 3.0),
        ("auditstream_ingest_events_total", 200.0),
        ("auditstream_ingest_duplicates_total", 200.0),
        (r#"auditstream_ingest_refused_total{code="invalid_events"}"#, 1.0),
        ("auditstream_ingest_commit_seconds_count", 2.0),
        ("auditstream_ingest_commit_requests_sum", 2.0),
        ("auditstream_ingest_queue_bytes", 0.0),
        (&of("active", "siem"), 1.0),
        (&of("held_back_events", "siem"), 0.0),
        (&of("held_back_bytes", "siem"), 0.0),
    ] {
        assert_eq!(value(&text, line), expected, "{line}");
    }
    let delivered = store.sequences("logs").len();
    assert!(delivered >= 200);
    assert!(value(&text, "auditstream_delivered_events_total") >= 200.0);
    assert!(value(&text, "auditstream_delivered_bytes_total") > 10_000.0);
    assert!(value(&text, r#"auditstream_put_total{outcome="delivered"}"#) >= 1.0);
    assert!(value(&text, r#"auditstream_put_total{outcome="network"}"#) >= 1.0);
    assert!(value(&text, "auditstream_put_seconds_count") >= 2.0);
    assert!(value(&text, "auditstream_runs_total") >= 2.0);
    assert!(value(&text, &of("lag_events", "failing")) >= 200.0);
    assert!(value(&text, &of("lag_seconds", "failing")) > 0.0);
    assert!(value(&text, &of("last_streamed_timestamp_seconds", "siem")) > 1.7e9);
    assert!(text.contains("auditstream_build_info{version=\""));
    for secret in [SECRET, EMAIL, app.admin.as_str()] {
        assert!(!text.contains(secret));
    }
}

#[tokio::test]
async fn metrics_are_for_this_host_or_for_clients_with_the_token() {
    let app = App::start().await;
    let ask = async |token: Option<&str>, peer: &str, header: Option<(&str, &str)>| {
        let mut state = auditstream_server::cli::serve::state(app.engine.clone(), &app.address);
        state.metrics_token = token.map(Into::into);
        let peer: SocketAddr = peer.parse().unwrap();
        let mut request = Request::get("/metrics").extension(ConnectInfo(peer));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request = request.body(Body::empty()).unwrap();
        let answer = auditstream_server::router(state).oneshot(request).await.unwrap();
        answer.status().as_u16()
    };
    let (here, elsewhere) = ("127.0.0.1:4000", "192.0.2.1:4000");
    assert_eq!(ask(None, here, None).await, 200);
    assert_eq!(ask(None, "[::1]:4000", None).await, 200);
    assert_eq!(ask(None, elsewhere, None).await, 403);
    assert_eq!(ask(None, here, Some(("x-forwarded-for", "192.0.2.1"))).await, 403);
    assert_eq!(ask(Some("s3cret"), here, None).await, 401);
    for (sent, status) in [
        ("Bearer s3cret", 200),
        ("Bearer s3cre", 401),
        ("Bearer S3cret", 401),
        ("s3cret", 401),
    ] {
        assert_eq!(
            ask(Some("s3cret"), elsewhere, Some(("authorization", sent))).await,
            status,
            "{sent}"
        );
    }
}
