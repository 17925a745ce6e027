//! `ETag`, `If-Match` and `If-None-Match`, over HTTP.

use auditstream_model::Code;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::app::{App, connector, destination, refused};

/// The paths of resources with versions, each with a change.
fn resources() -> [(&'static str, Value); 3] {
    let mut named = connector("http://127.0.0.1:1");
    named["name"] = "Another".into();
    let mut moved = destination("siem", "INACTIVE");
    moved["name"] = "Another".into();
    let webhook = json!({"url": "http://127.0.0.1:1/", "secret": format!("whsec_{}", "b".repeat(32))});
    [
        ("/v1/streaming-destinations/siem", moved),
        ("/v1/webhook", webhook),
        ("/v1/connectors/aws", named),
    ]
}

async fn with_resources() -> App {
    let app = App::start().await;
    let made = [
        app.post("/v1/connectors").json(&connector("http://127.0.0.1:1")),
        app.post("/v1/streaming-destinations")
            .json(&destination("siem", "INACTIVE")),
        app.put("/v1/webhook")
            .json(&json!({"url": "http://127.0.0.1:1/", "secret": format!("whsec_{}", "a".repeat(32))})),
    ];
    for request in made {
        let answer = app.as_admin(request).await;
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        assert!(!tag(&answer).is_empty());
    }
    app
}

fn tag(answer: &Response) -> String {
    answer.headers()["etag"].to_str().unwrap().to_owned()
}

impl App {
    async fn as_admin(&self, request: RequestBuilder) -> Response {
        request.bearer_auth(&self.admin).send().await.unwrap()
    }
}

#[tokio::test]
async fn a_change_applies_only_to_the_version_that_was_read() {
    let app = with_resources().await;
    for (path, change) in resources() {
        let read = app.as_admin(app.get(path)).await;
        let first = tag(&read);
        let changed = app
            .as_admin(app.put(path).header("if-match", &first).json(&change))
            .await;
        assert_eq!(changed.status(), 200, "{path}");
        let second = tag(&changed);
        assert_ne!(first, second, "{path}");
        for stale in [first.clone(), format!("W/{second}"), format!("{first}, \"x\"")] {
            let answer = app
                .as_admin(app.put(path).header("if-match", &stale).json(&change))
                .await;
            let problem = refused(answer, 412, "precondition_failed").await;
            assert!(problem["detail"].as_str().unwrap().contains("Read it again"), "{path}");
            let answer = app.as_admin(app.delete(path).header("if-match", &stale)).await;
            refused(answer, 412, "precondition_failed").await;
        }
        let invalid = app
            .as_admin(app.put(path).header("if-match", "unquoted").json(&change))
            .await;
        refused(invalid, 400, "invalid_parameter").await;
        for matching in [format!("\"x\", {second}"), "*".to_owned()] {
            let now = tag(&app.as_admin(app.get(path)).await);
            let sent = matching.replace(&second, &now);
            let answer = app.as_admin(app.put(path).header("if-match", sent).json(&change)).await;
            assert_eq!(answer.status(), 200, "{path}");
        }
        let last = tag(&app.as_admin(app.get(path)).await);
        let answer = app.as_admin(app.delete(path).header("if-match", &last)).await;
        assert_eq!(answer.status(), 204, "{path}");
        let nothing = app.as_admin(app.delete(path).header("if-match", "*")).await;
        refused(nothing, 404, "not_found").await;
    }
    assert_eq!(Code::PreconditionFailed.status(), 412);
}

#[tokio::test]
async fn of_two_changes_to_the_same_version_exactly_one_succeeds() {
    let app = with_resources().await;
    for (path, change) in resources() {
        for round in 0..10 {
            let read = tag(&app.as_admin(app.get(path)).await);
            let change = |who: &str| {
                let mut change = change.clone();
                if change.get("name").is_some() {
                    change["name"] = format!("{who} {round}").into();
                }
                app.as_admin(app.put(path).header("if-match", &read).json(&change))
            };
            let (one, other) = tokio::join!(change("one"), change("other"));
            let mut statuses = [one.status().as_u16(), other.status().as_u16()];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 412], "{path}, round {round}");
            let winner = if one.status() == 200 { one } else { other };
            assert_eq!(tag(&winner), tag(&app.as_admin(app.get(path)).await), "{path}");
        }
    }
}

#[tokio::test]
async fn an_unchanged_resource_is_not_sent_again() {
    let app = with_resources().await;
    for (path, change) in resources() {
        let first = tag(&app.as_admin(app.get(path)).await);
        for known in [
            first.clone(),
            format!("W/{first}"),
            "*".to_owned(),
            format!("\"x\",{first}"),
        ] {
            let answer = app.as_admin(app.get(path).header("if-none-match", known)).await;
            assert_eq!((answer.status().as_u16(), tag(&answer)), (304, first.clone()), "{path}");
            assert_eq!(answer.text().await.unwrap(), "");
        }
        assert_eq!(app.as_admin(app.put(path).json(&change)).await.status(), 200);
        let changed = app.as_admin(app.get(path).header("if-none-match", &first)).await;
        assert_eq!(changed.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_cursor_moves_only_from_the_version_that_was_read() {
    let app = with_resources().await;
    let path = "/v1/streaming-destinations/siem";
    for status in ["ACTIVE", "INACTIVE"] {
        assert_eq!(
            app.as_admin(app.put(path).json(&destination("siem", status)))
                .await
                .status(),
            200
        );
    }
    let read = tag(&app.as_admin(app.get(path)).await);
    let cursor = || {
        app.post("/v1/streaming-destinations/siem/cursor")
            .header("if-match", &read)
            .json(&json!({"sequence": 1}))
    };
    let moved = app.as_admin(cursor()).await;
    assert_eq!(moved.status(), 200);
    assert_eq!(tag(&moved), tag(&app.as_admin(app.get(path)).await));
    refused(app.as_admin(cursor()).await, 412, "precondition_failed").await;
}
