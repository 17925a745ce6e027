//! Authentication and authorisation: tokens, scopes, accounts.

use auditstream_engine::{Actor, access};
use auditstream_model::{AccountName, Scope};
use serde_json::json;

use crate::app::{App, destination, event, refused, token};

#[tokio::test]
async fn requests_without_a_known_token_are_refused() {
    let app = App::start().await;
    for path in [
        "/v1/audit-events",
        "/v1/connectors",
        "/v1/streaming-destinations",
        "/v1/streaming-destinations/cards",
    ] {
        let answer = app.get(path).send().await.unwrap();
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        refused(answer, 401, "unauthenticated").await;
        refused(
            app.get(path).bearer_auth("nonsense").send().await.unwrap(),
            401,
            "unauthenticated",
        )
        .await;
        refused(
            app.get(path)
                .header("authorization", "Basic eDp5")
                .send()
                .await
                .unwrap(),
            401,
            "unauthenticated",
        )
        .await;
    }
    let answer = app.post("/v1/audit-events").json(&event("x")).send().await.unwrap();
    refused(answer, 401, "unauthenticated").await;
}

#[tokio::test]
async fn a_token_has_the_permissions_of_its_scope() {
    let app = App::start().await;
    app.with_store().await;
    for (token, ingest, read, change) in [
        (&app.ingest, true, false, false),
        (&app.read, false, true, false),
        (&app.admin, false, true, true),
    ] {
        let answers = [
            (ingest, app.post("/v1/audit-events").json(&event("x"))),
            (read, app.get("/v1/audit-events")),
            (read, app.get("/v1/connectors")),
            (read, app.get("/v1/streaming-destinations/aggregate")),
            (
                change,
                app.post("/v1/streaming-destinations")
                    .json(&destination("d", "INACTIVE")),
            ),
            (
                change,
                app.put("/v1/streaming-destinations/d")
                    .json(&destination("d", "INACTIVE")),
            ),
            (change, app.delete("/v1/streaming-destinations/d")),
        ];
        for (allowed, request) in answers {
            let answer = request.bearer_auth(token).send().await.unwrap();
            if allowed {
                assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
            } else {
                refused(answer, 403, "forbidden").await;
            }
        }
    }
}

#[tokio::test]
async fn the_account_header_must_name_the_token_s_account() {
    let app = App::start().await;
    let request = || app.get("/v1/connectors").header("x-api-key", &app.read);
    assert_eq!(request().send().await.unwrap().status(), 200);
    assert_eq!(
        request()
            .header("harness-account", "default")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    refused(
        request().header("harness-account", "other").send().await.unwrap(),
        403,
        "forbidden",
    )
    .await;
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let app = App::start().await;
    app.with_store().await;
    let other = AccountName::parse("other").unwrap();
    access::create_account(&app.engine, &other).await.unwrap();
    let actor = Actor::command_line(&app.engine, &other).await.unwrap();
    let scopes = [Scope::Ingest, Scope::Admin];
    let token = token(&app.engine, &actor, "all", &scopes).await;
    let listed = app.get("/v1/connectors").bearer_auth(&token).send().await.unwrap();
    assert_eq!(listed.headers()["x-total-elements"], "0");
    refused(
        app.get("/v1/connectors/aws").bearer_auth(&token).send().await.unwrap(),
        404,
        "not_found",
    )
    .await;
    refused(
        app.delete("/v1/connectors/aws")
            .bearer_auth(&token)
            .send()
            .await
            .unwrap(),
        404,
        "not_found",
    )
    .await;
    let foreign = app
        .post("/v1/audit-events")
        .bearer_auth(&token)
        .json(&json!([event("x")]))
        .send()
        .await
        .unwrap();
    refused(foreign, 422, "invalid_events").await;
}
