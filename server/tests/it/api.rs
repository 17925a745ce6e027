//! Connectors, destinations and problems, over HTTP.

use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::app::{App, EVENTS, connector, destination, refused};

#[tokio::test]
async fn a_destination_streams_from_its_creation_to_its_deletion() {
    let app = App::start().await;
    let store = app.with_store().await;
    let sent = app
        .send_events("application/x-ndjson")
        .body(EVENTS)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 200);
    let test = app
        .post("/v1/connectors/aws/test")
        .bearer_auth(&app.admin)
        .send()
        .await
        .unwrap();
    assert_eq!(test.json::<Value>().await.unwrap()["status"], "SUCCESS");
    let made = app
        .post("/v1/streaming-destinations")
        .bearer_auth(&app.admin)
        .json(&destination("siem", "ACTIVE"));
    let made = made.send().await.unwrap();
    assert_eq!(made.status(), 201);
    let made: Value = made.json().await.unwrap();
    assert_eq!(made["streaming_destination"]["status"], "ACTIVE");
    let now = app
        .post("/v1/streaming-destinations/siem/stream-now")
        .bearer_auth(&app.admin)
        .send()
        .await
        .unwrap();
    assert_eq!(now.status(), 202);
    let batch = delivered(&app).await;
    let key = batch["key"].as_str().unwrap();
    assert!(store.path("logs", key).is_file(), "{key}");
    let cards = app
        .get("/v1/streaming-destinations/cards")
        .bearer_auth(&app.read)
        .send()
        .await
        .unwrap();
    assert!(cards.json::<Value>().await.unwrap()["lastStreamedCard"]["lastStreamedAt"].is_i64());
    let active = app
        .delete("/v1/streaming-destinations/siem")
        .bearer_auth(&app.admin)
        .send()
        .await
        .unwrap();
    refused(active, 409, "conflict").await;
    let paused = app
        .put("/v1/streaming-destinations/siem")
        .bearer_auth(&app.admin)
        .json(&destination("siem", "INACTIVE"));
    assert_eq!(paused.send().await.unwrap().status(), 200);
    let now = app
        .post("/v1/streaming-destinations/siem/stream-now")
        .bearer_auth(&app.admin)
        .send()
        .await
        .unwrap();
    refused(now, 409, "conflict").await;
    let moved = app
        .post("/v1/streaming-destinations/siem/cursor")
        .bearer_auth(&app.admin)
        .json(&json!({"sequence": 0}));
    assert_eq!(moved.send().await.unwrap().status(), 200);
    let deleted = app
        .delete("/v1/streaming-destinations/siem")
        .bearer_auth(&app.admin)
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.status(), 204);
}

async fn delivered(app: &App) -> Value {
    for _ in 0..100 {
        let answer = app
            .get("/v1/streaming-destinations/siem/batches")
            .bearer_auth(&app.read)
            .send()
            .await
            .unwrap();
        let batches: Value = answer.json().await.unwrap();
        let done = batches
            .as_array()
            .unwrap()
            .iter()
            .find(|batch| batch["status"] == "SUCCESS");
        if let Some(batch) = done {
            return batch.clone();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no batch was delivered");
}

#[tokio::test]
async fn a_list_is_an_array_with_totals_in_headers() {
    let app = App::start().await;
    app.with_store().await;
    for id in ["a", "b", "c"] {
        let made = app
            .post("/v1/streaming-destinations")
            .bearer_auth(&app.admin)
            .json(&destination(id, "INACTIVE"));
        assert_eq!(made.send().await.unwrap().status(), 201);
    }
    for path in ["/v1/streaming-destinations", "/v1/streaming-destinations/aggregate"] {
        let query = "page=1&limit=2&sort=identifier&order=ASC";
        let answer = app
            .get(&format!("{path}?{query}"))
            .bearer_auth(&app.read)
            .send()
            .await
            .unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let totals = (
            header("X-Total-Elements"),
            header("X-Page-Number"),
            header("X-Page-Size"),
        );
        assert_eq!(totals, ("3".to_owned(), "1".to_owned(), "2".to_owned()));
        let rows: Value = answer.json().await.unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 1);
        assert_eq!(rows[0]["streaming_destination"]["identifier"], "c");
    }
    for (id, unique) in [("a", false), ("z", true)] {
        let path = format!("/v1/streaming-destinations/{id}/validate-unique-identifier");
        let answer = app.get(&path).bearer_auth(&app.read).send().await.unwrap();
        assert_eq!(answer.json::<bool>().await.unwrap(), unique);
    }
    let ask = |query: &str| {
        let path = format!("/v1/streaming-destinations?{query}");
        app.get(&path).bearer_auth(&app.read).send()
    };
    for query in ["limit=0", "limit=101", "page=-1", "sort=size", "order=UP", "status=OLD"] {
        let problem = refused(ask(query).await.unwrap(), 400, "invalid_parameter").await;
        assert_eq!(
            problem["errors"][0]["field"],
            query.split('=').next().unwrap(),
            "{problem}"
        );
    }
    let empty = ask("status=&search_term=&page=&limit=2").await.unwrap();
    assert_eq!(empty.status(), 200, "an empty value counts as absent");
}

#[tokio::test]
async fn a_replacement_without_a_status_keeps_it() {
    let app = App::start().await;
    app.with_store().await;
    let status = async |send: fn(&App, &str) -> RequestBuilder, path: &str, status: Option<&str>| {
        let mut body = destination("siem", "INACTIVE");
        match status {
            Some(status) => body["status"] = status.into(),
            None => drop(body.as_object_mut().unwrap().remove("status")),
        }
        let request = send(&app, &format!("/v1/streaming-destinations{path}"));
        let answer = request.bearer_auth(&app.admin).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        let answer: Value = answer.json().await.unwrap();
        answer["streaming_destination"]["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(App::post, "", None).await, "INACTIVE");
    assert_eq!(status(App::put, "/siem", None).await, "INACTIVE");
    assert_eq!(status(App::put, "/siem", Some("ACTIVE")).await, "ACTIVE");
    assert_eq!(status(App::put, "/siem", None).await, "ACTIVE");
    assert_eq!(status(App::put, "/siem", Some("INACTIVE")).await, "INACTIVE");
}

#[tokio::test]
async fn users_and_tokens_are_listed_in_pages() {
    let app = App::start().await;
    for name in ["a", "b", "c", "d"] {
        let invitation = json!({"email": format!("{name}@example.com"), "role": "account_viewer"});
        let token = json!({"name": name, "scopes": ["read"]});
        for (path, body) in [("/v1/users", invitation), ("/v1/api-tokens", token)] {
            let made = app.post(path).bearer_auth(&app.admin).json(&body).send().await.unwrap();
            assert_eq!(made.status(), 201, "{path}");
        }
    }
    for (path, key) in [("/v1/users", "email"), ("/v1/api-tokens", "name")] {
        let page = async |query: &str| {
            let request = app.get(&format!("{path}?{query}")).bearer_auth(&app.admin);
            let answer = request.send().await.unwrap();
            let header = |name: &str| answer.headers()[name].to_str().unwrap().parse::<usize>().unwrap();
            let totals = ["X-Total-Elements", "X-Page-Number", "X-Page-Size"].map(header);
            let rows: Vec<Value> = answer.json().await.unwrap();
            let names: Vec<_> = rows.iter().map(|row| row[key].as_str().unwrap().to_owned()).collect();
            (totals, names)
        };
        let ([total, ..], all) = page("limit=100").await;
        assert!(total >= 4 && all.len() == total, "{path}: {all:?}");
        assert_eq!(
            page("page=1&limit=2").await,
            ([total, 1, 2], all[2..4].to_vec()),
            "{path}"
        );
        assert_eq!(
            page("page=4294967295&limit=100").await.1,
            Vec::<String>::new(),
            "{path}"
        );
        let too_many = app
            .get(&format!("{path}?limit=101"))
            .bearer_auth(&app.admin)
            .send()
            .await
            .unwrap();
        refused(too_many, 400, "invalid_parameter").await;
    }
}

#[tokio::test]
async fn a_whole_number_may_be_written_with_a_zero_fraction() {
    let app = App::start().await;
    let mut body = connector("http://127.0.0.1:1");
    body["spec"]["backoff"] = json!({"type": "FIXED_DELAY", "fixed_backoff": 860.0, "retry_count": 2.0});
    let request = app.post("/v1/connectors").bearer_auth(&app.admin).json(&body);
    let made = request.send().await.unwrap();
    assert_eq!(made.status(), 201);
    let made: Value = made.json().await.unwrap();
    assert_eq!(
        made["connector"]["spec"]["backoff"],
        json!({"type": "FIXED_DELAY", "fixed_backoff": 860, "retry_count": 2})
    );
}

#[tokio::test]
async fn an_invalid_body_is_refused_with_the_field_and_the_reason() {
    let app = App::start().await;
    let send = |body: &str| {
        let request = app
            .post("/v1/connectors")
            .bearer_auth(&app.admin)
            .header("content-type", "application/json");
        request.body(body.to_owned()).send()
    };
    refused(send("{").await.unwrap(), 400, "malformed_body").await;
    refused(send("").await.unwrap(), 400, "malformed_body").await;
    refused(send("{} {}").await.unwrap(), 422, "invalid_fields").await;
    let mut invalid = connector("http://127.0.0.1:1");
    invalid["spec"]["path_style"] = "yes".into();
    let problem = refused(send(&invalid.to_string()).await.unwrap(), 422, "invalid_fields").await;
    assert_eq!(problem["errors"][0]["field"], "spec.path_style");
    let mut unnamed = connector("http://127.0.0.1:1");
    unnamed["identifier"] = "1 2".into();
    let problem = refused(send(&unnamed.to_string()).await.unwrap(), 422, "invalid_fields").await;
    assert_eq!(problem["errors"][0]["field"], "identifier");
    let large = format!("\"{}\"", "x".repeat(2 << 20));
    refused(send(&large).await.unwrap(), 413, "too_large").await;
    let plain = app
        .post("/v1/connectors")
        .bearer_auth(&app.admin)
        .body("{}")
        .send()
        .await
        .unwrap();
    refused(plain, 415, "unsupported_media_type").await;
}

#[tokio::test]
async fn a_response_never_contains_a_secret() {
    let app = App::start().await;
    app.with_store().await;
    for path in ["/v1/connectors", "/v1/connectors/aws", "/v1/audit-events?limit=100"] {
        let text = app
            .get(path)
            .bearer_auth(&app.admin)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(text.contains("aws") && !text.contains("hush"), "{text}");
    }
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_problems() {
    let app = App::start().await;
    for path in ["/v1/nothing", "/v1/connectors/", "/v1/audit-events/1/nothing"] {
        refused(
            app.get(path).bearer_auth(&app.admin).send().await.unwrap(),
            404,
            "not_found",
        )
        .await;
    }
    for path in ["/v1/audit-events", "/v1/connectors", "/v1/streaming-destinations/cards"] {
        refused(
            app.delete(path).bearer_auth(&app.admin).send().await.unwrap(),
            405,
            "method_not_allowed",
        )
        .await;
    }
    refused(
        app.get("/v1/connectors/none")
            .bearer_auth(&app.admin)
            .send()
            .await
            .unwrap(),
        404,
        "not_found",
    )
    .await;
}

#[tokio::test]
async fn disabled_streaming_is_refused_with_feature_disabled() {
    let app = App::start_with(false).await;
    for path in [
        "/v1/streaming-destinations",
        "/v1/streaming-destinations/cards",
        "/v1/streaming-destinations/x/batches",
    ] {
        refused(
            app.get(path).bearer_auth(&app.admin).send().await.unwrap(),
            404,
            "feature_disabled",
        )
        .await;
    }
    assert_eq!(
        app.get("/v1/connectors")
            .bearer_auth(&app.admin)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn health_checks_need_no_token() {
    let app = App::start().await;
    assert_eq!(app.get("/healthz").send().await.unwrap().status(), 200);
    assert_eq!(app.get("/readyz").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_bucket_can_be_checked_before_and_after_its_destination_is_saved() {
    let app = App::start().await;
    app.with_store().await;
    let shown = app
        .get("/v1/connectors/aws")
        .bearer_auth(&app.read)
        .send()
        .await
        .unwrap();
    assert!(shown.json::<Value>().await.unwrap()["external_id"].is_string());
    let post = |path: &str, token: &str| {
        app.post(&format!("/v1/streaming-destinations{path}"))
            .bearer_auth(token)
    };
    let unsaved = json!({"connector_ref": "aws", "spec": {"type": "AWS_S3", "bucket": "logs", "prefix": "siem/"}});
    let check = post("/check-bucket", &app.admin).json(&unsaved).send().await.unwrap();
    let check: Value = check.json().await.unwrap();
    assert_eq!(
        (check["status"].as_str(), check["conditional_writes"].as_bool()),
        (Some("SUCCESS"), Some(true)),
        "{check}"
    );
    let invalid = json!({"connector_ref": "aws", "spec": {"type": "AWS_S3", "bucket": "No"}});
    let invalid = refused(
        post("/check-bucket", &app.admin).json(&invalid).send().await.unwrap(),
        422,
        "invalid_fields",
    )
    .await;
    assert_eq!(invalid["errors"][0]["field"], "spec.bucket");
    let made = post("", &app.admin)
        .json(&destination("siem", "INACTIVE"))
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 201);
    let check = post("/siem/check-bucket", &app.admin).send().await.unwrap();
    assert_eq!(
        check.json::<Value>().await.unwrap()["steps"].as_array().unwrap().len(),
        7
    );
    let all = app
        .get("/v1/streaming-destinations/aggregate")
        .bearer_auth(&app.read)
        .send()
        .await
        .unwrap();
    let all: Value = all.json().await.unwrap();
    assert_eq!(all[0]["streaming_details"]["conditional_writes"], true);
    refused(
        post("/siem/check-bucket", &app.read).send().await.unwrap(),
        403,
        "forbidden",
    )
    .await;
    refused(
        post("/siem/batches/1/rename", &app.admin).send().await.unwrap(),
        404,
        "not_found",
    )
    .await;
    refused(
        post("/siem/batches/one/rename", &app.admin).send().await.unwrap(),
        404,
        "not_found",
    )
    .await;
    refused(
        post("/siem/batches/1/rename", &app.read).send().await.unwrap(),
        403,
        "forbidden",
    )
    .await;
}
