//! `/openapi.json` and `/docs/api`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::app::{App, refused};
use crate::routes;

async fn document(app: &App) -> Value {
    let answer = app.get("/openapi.json").send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    answer.json().await.unwrap()
}

/// The operations of the document: methods in upper case, with paths.
fn described(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(|method| (method.to_uppercase(), path.clone()))
    });
    operations.collect()
}

#[tokio::test]
async fn the_document_describes_every_route_of_the_api_and_no_other() {
    let app = App::start().await;
    let document = document(&app).await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let router = auditstream_server::router(auditstream_server::cli::serve::state(app.engine.clone(), &app.address));
    let all = routes::of(&router);
    assert!(
        all.contains(&("POST".into(), "/api/{*function}".into())) && all.contains(&("POST".into(), "/sign-in".into())),
        "{all:?}"
    );
    let of_the_api = all
        .into_iter()
        .filter(|(_, path)| path.starts_with("/v1/") || ["/healthz", "/readyz", "/metrics"].contains(&path.as_str()));
    assert_eq!(of_the_api.collect::<BTreeSet<_>>(), described(&document));
}

#[tokio::test]
async fn every_operation_describes_its_parameters_and_responses() {
    let app = App::start().await;
    let document = document(&app).await;
    let mut ids = BTreeSet::new();
    for (method, path) in described(&document) {
        let operation = &document["paths"][&path][method.to_lowercase()];
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id} occurs twice");
        for text in ["summary", "operationId"] {
            assert!(
                operation[text].as_str().is_some_and(|text| !text.is_empty()),
                "{id}: {text}"
            );
        }
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{id}");
        for (status, answer) in answers {
            assert!(
                answer["description"].as_str().is_some_and(|text| !text.is_empty()),
                "{id}: {status}"
            );
            let problem = answer["content"].get("application/problem+json").is_some();
            assert_eq!(problem, status.as_str() >= "400", "{id}: {status}");
        }
        if path.starts_with("/v1/") {
            for status in ["401", "403", "500", "503"] {
                assert!(answers.contains_key(status), "{id}: {status}");
            }
            assert!(operation["security"].as_array().unwrap().len() == 2, "{id}");
        }
        // Users and tokens have no versions.
        if (method == "PUT" || method == "DELETE") && operation["tags"][0] != "Access" {
            assert!(answers.contains_key("412"), "{id} takes no If-Match");
        }
    }
    // Responses have every field; requests may omit those with a default.
    let schemas = &document["components"]["schemas"];
    let required = |name: &str| {
        schemas[name]["required"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert!(required("Batch").contains("remark") && required("StreamingDetails").contains("held_back"));
    assert_eq!(
        required("DestinationInput"),
        ["connector_ref", "identifier", "name", "spec"].map(String::from).into()
    );
    let codes = schemas["Code"]["enum"].as_array().unwrap();
    assert!(codes.iter().any(|code| code == "precondition_failed"), "{codes:?}");
}

#[tokio::test]
async fn an_unchanged_document_is_not_sent_again() {
    let app = App::start().await;
    let first = app.get("/openapi.json").send().await.unwrap();
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    let again = app
        .get("/openapi.json")
        .header("if-none-match", &tag)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (again.status().as_u16(), again.headers()["etag"].to_str().unwrap()),
        (304, tag.as_str())
    );
    assert_eq!(again.text().await.unwrap(), "");
    let invalid = app
        .get("/openapi.json")
        .header("if-none-match", "tag")
        .send()
        .await
        .unwrap();
    refused(invalid, 400, "invalid_parameter").await;
}

#[tokio::test]
async fn the_page_lists_every_operation_and_runs_no_script() {
    let app = App::start().await;
    let document = document(&app).await;
    let answer = app
        .get("/docs/api")
        .header("cookie", "theme=dark")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    let page = answer.text().await.unwrap();
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\" data-theme=\"dark\">"));
    for none in ["<script", "<style", "style=", "src=", "http-equiv", " on"] {
        assert!(
            !page
                .split('<')
                .any(|tag| format!("<{}", tag.split('>').next().unwrap()).contains(none)),
            "{none}"
        );
    }
    for (method, path) in described(&document) {
        let id = document["paths"][&path][method.to_lowercase()]["operationId"]
            .as_str()
            .unwrap();
        assert!(
            page.contains(&format!("id=\"{id}\"")) && page.contains(&format!("href=\"#{id}\"")),
            "{id}"
        );
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
    }
    let targets = page
        .split("href=\"#")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap());
    for target in targets {
        assert!(
            page.contains(&format!("id=\"{target}\"")),
            "a link leads nowhere: {target}"
        );
    }
    let style = app.get("/docs/api.css").send().await.unwrap();
    assert_eq!(style.headers()["content-type"], "text/css; charset=utf-8");
}
