//! The size of a destination's objects, its interval and its level of compression, over HTTP.

use serde_json::{Value, json};

use crate::app::{App, destination, refused};

const ONE: &str = "/v1/streaming-destinations/siem";

/// Returns a destination with these options of its spec.
fn with(options: &Value) -> Value {
    let mut body = destination("siem", "INACTIVE");
    let spec = body["spec"].as_object_mut().unwrap();
    spec.extend(options.as_object().unwrap().clone());
    body
}

async fn put(app: &App, options: &Value) -> reqwest::Response {
    let put = app.put(ONE).bearer_auth(&app.admin).json(&with(options));
    put.send().await.unwrap()
}

/// Returns the four values of the destination.
async fn values(app: &App) -> [Value; 4] {
    let shown = app.get(ONE).bearer_auth(&app.read).send().await.unwrap();
    let shown: Value = shown.json().await.unwrap();
    let spec = &shown["streaming_destination"]["spec"];
    ["batch_events", "batch_bytes", "interval_seconds", "compression_level"].map(|name| spec[name].clone())
}

#[tokio::test]
async fn sizes_interval_and_level_are_kept_when_omitted_and_reset_by_null() {
    let app = App::start().await;
    app.with_store().await;
    let made = app
        .post("/v1/streaming-destinations")
        .bearer_auth(&app.admin)
        .json(&with(&json!({})));
    assert_eq!(made.send().await.unwrap().status(), 201);
    assert_eq!(
        values(&app).await,
        [json!(10_000), json!(16_777_216), Value::Null, Value::Null]
    );
    let changed = json!({
        "batch_events": 100_000, "batch_bytes": 67_108_864, "interval_seconds": 60, "compression_level": 9
    });
    assert_eq!(put(&app, &changed).await.status(), 200);
    let after = [json!(100_000), json!(67_108_864), json!(60), json!(9)];
    assert_eq!(values(&app).await, after);
    let events = app
        .get("/v1/audit-events?resource_type=STREAMING_DESTINATION&limit=1")
        .bearer_auth(&app.read)
        .send()
        .await
        .unwrap();
    let events: Value = events.json().await.unwrap();
    let difference = &events["events"][0]["auditEventMetadata"]["difference"];
    for (side, level) in [("old", Value::Null), ("new", json!(9))] {
        assert_eq!(difference[side]["spec"]["compression_level"], level, "{difference}");
    }
    assert_eq!(put(&app, &json!({})).await.status(), 200);
    assert_eq!(values(&app).await, after, "omitted values are kept");
    let defaults =
        json!({"batch_events": null, "batch_bytes": null, "interval_seconds": null, "compression_level": null});
    assert_eq!(put(&app, &defaults).await.status(), 200);
    assert_eq!(
        values(&app).await,
        [json!(10_000), json!(16_777_216), Value::Null, Value::Null]
    );
}

#[tokio::test]
async fn values_beyond_the_limits_of_the_document_are_refused_with_their_field() {
    let app = App::start().await;
    app.with_store().await;
    let document: Value = app.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    let described = &document["components"]["schemas"]["SpecInput"]["properties"];
    for name in ["batch_events", "batch_bytes", "interval_seconds"] {
        let limit = |bound: &str| described[name][bound].as_i64().unwrap();
        for (value, is_valid) in [
            (limit("minimum") - 1, false),
            (limit("minimum"), true),
            (limit("maximum"), true),
            (limit("maximum") + 1, false),
        ] {
            check(&app, &json!({name: value}), (!is_valid).then_some(name)).await;
        }
    }
    let level = |compression: &str, level: i64| json!({"compression": compression, "compression_level": level});
    for (options, is_valid) in [
        (level("gzip", 0), false),
        (level("gzip", 1), true),
        (level("gzip", 9), true),
        (level("gzip", 10), false),
        (level("zstd", 19), true),
        (level("zstd", 20), false),
        (level("none", 1), false),
    ] {
        check(&app, &options, (!is_valid).then_some("compression_level")).await;
    }
    let other = with(&json!({"batch_events": "many"}));
    let refusal = app
        .post("/v1/streaming-destinations")
        .bearer_auth(&app.admin)
        .json(&other);
    assert!(refusal.send().await.unwrap().status().is_client_error());
}

/// Checks an unsaved bucket, which validates the spec; `field` is the one that is refused.
async fn check(app: &App, options: &Value, field: Option<&str>) {
    let spec = &with(options)["spec"];
    let checked = app
        .post("/v1/streaming-destinations/check-bucket")
        .bearer_auth(&app.admin)
        .json(&json!({"connector_ref": "aws", "spec": spec}))
        .send()
        .await
        .unwrap();
    match field {
        None => assert_eq!(checked.status(), 200, "{options}"),
        Some(field) => {
            let problem = refused(checked, 422, "invalid_fields").await;
            assert_eq!(problem["errors"][0]["field"], format!("spec.{field}"), "{problem}");
        }
    }
}
