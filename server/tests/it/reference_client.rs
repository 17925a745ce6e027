//! A client that was written for the reference system's `/v1/streaming-destinations`. Its requests
//! are exactly the reference's, apart from host and key, and it reads every field that the
//! reference returns.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, refused};

struct Client<'a>(&'a App);

impl Client<'_> {
    /// Sends the two headers of the reference with every request.
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let request = match method.as_str() {
            "GET" => self.0.get(path),
            "POST" => self.0.post(path),
            "PUT" => self.0.put(path),
            _ => self.0.delete(path),
        };
        let request = request
            .header("x-api-key", &self.0.admin)
            .header("Harness-Account", "default");
        let request = match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(body.to_string()),
            None => request,
        };
        request.send().await.unwrap()
    }

    async fn get(&self, query: &str) -> (Vec<String>, [String; 3]) {
        let answer = self
            .call(Method::GET, &format!("/v1/streaming-destinations{query}"), None)
            .await;
        assert_eq!(answer.status(), StatusCode::OK, "{query}");
        let totals = ["X-Total-Elements", "X-Page-Number", "X-Page-Size"]
            .map(|name| answer.headers()[name].to_str().unwrap().to_owned());
        let rows: Vec<Value> = answer.json().await.unwrap();
        let ids = rows
            .iter()
            .map(|row| row["streaming_destination"]["identifier"].as_str().unwrap().to_owned());
        (ids.collect(), totals)
    }
}

/// The body in the reference's documentation; its clients send null for unset fields.
fn body(identifier: &str, status: &str) -> Value {
    json!({
        "identifier": identifier, "name": format!("Destination {identifier}"), "description": null, "tags": null,
        "status": status, "connector_ref": "aws", "spec": {"type": "AWS_S3", "bucket": "logs"},
    })
}

#[tokio::test]
async fn a_client_of_the_reference_system_works_with_another_host_and_key() {
    let app = App::start().await;
    let _store = app.with_store().await;
    let client = Client(&app);
    let one = "/v1/streaming-destinations/first";

    let free = client
        .call(Method::GET, &format!("{one}/validate-unique-identifier"), None)
        .await;
    assert_eq!(free.text().await.unwrap(), "true");
    for id in ["first", "Second", "third"] {
        let made = client
            .call(Method::POST, "/v1/streaming-destinations", Some(body(id, "INACTIVE")))
            .await;
        assert_eq!(made.status(), StatusCode::CREATED);
        assert_eq!(
            made.headers()["location"].to_str().unwrap(),
            format!("/v1/streaming-destinations/{id}")
        );
        let made: Value = made.json().await.unwrap();
        let destination = &made["streaming_destination"];
        assert_eq!(
            (
                &destination["identifier"],
                &destination["name"],
                &destination["status"],
                &destination["connector_ref"]
            ),
            (
                &json!(id),
                &json!(format!("Destination {id}")),
                &json!("INACTIVE"),
                &json!("aws")
            )
        );
        assert_eq!(
            (&destination["description"], &destination["tags"]),
            (&json!(""), &json!({}))
        );
        assert_eq!(
            (&destination["spec"]["type"], &destination["spec"]["bucket"]),
            (&json!("AWS_S3"), &json!("logs"))
        );
        for time in ["created", "updated", "status_updated"] {
            assert!(made[time].as_i64().unwrap() > 1_700_000_000_000, "{time}");
        }
        // The list is ordered by milliseconds.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let taken = client
        .call(
            Method::POST,
            "/v1/streaming-destinations",
            Some(body("first", "INACTIVE")),
        )
        .await;
    refused(taken, 409, "duplicate_field").await;
    let taken = client
        .call(Method::GET, &format!("{one}/validate-unique-identifier"), None)
        .await;
    assert_eq!(taken.text().await.unwrap(), "false");

    let totals = |total: &str, page: &str, size: &str| [total.to_owned(), page.to_owned(), size.to_owned()];
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        client.get("").await,
        (ids(&["third", "Second", "first"]), totals("3", "0", "30"))
    );
    let mut described = body("first", "INACTIVE");
    described["description"] = "For the SIEM".into();
    described["tags"] = json!({"team": "secops"});
    let replaced = client.call(Method::PUT, one, Some(described)).await;
    assert_eq!(replaced.status(), StatusCode::OK);
    let replaced: Value = replaced.json().await.unwrap();
    assert_eq!(replaced["streaming_destination"]["tags"], json!({"team": "secops"}));
    assert_eq!(
        client.get("").await.0,
        ids(&["first", "third", "Second"]),
        "last modified first"
    );
    for (query, wanted) in [
        ("?sort=identifier&order=ASC", &["Second", "first", "third"][..]),
        ("?sort=name&order=DESC", &["third", "first", "Second"]),
        ("?sort=created&order=ASC", &["first", "Second", "third"]),
        ("?sort=updated&order=ASC", &["Second", "third", "first"]),
        ("?search_term=SECOND", &["Second"]),
        ("?search_term=destination%20t", &["third"]),
        ("?status=ACTIVE", &[]),
        (
            "?status=INACTIVE&sort=identifier&order=ASC",
            &["Second", "first", "third"],
        ),
    ] {
        assert_eq!(client.get(query).await.0, ids(wanted), "{query}");
    }
    let paged = client.get("?page=1&limit=2&sort=created&order=ASC").await;
    assert_eq!(paged, (ids(&["third"]), totals("3", "1", "2")));
    for invalid in [
        "?limit=0",
        "?limit=101",
        "?page=-1",
        "?sort=size",
        "?order=asc",
        "?status=PAUSED",
    ] {
        let answer = client
            .call(Method::GET, &format!("/v1/streaming-destinations{invalid}"), None)
            .await;
        refused(answer, 400, "invalid_parameter").await;
    }

    let active = client.call(Method::PUT, one, Some(body("first", "ACTIVE"))).await;
    assert_eq!(
        active.json::<Value>().await.unwrap()["streaming_destination"]["status"],
        "ACTIVE"
    );
    refused(client.call(Method::DELETE, one, None).await, 409, "conflict").await;
    let aggregate = client
        .call(Method::GET, "/v1/streaming-destinations/aggregate?status=ACTIVE", None)
        .await;
    assert_eq!(aggregate.headers()["x-total-elements"], "1");
    let aggregate: Value = aggregate.json().await.unwrap();
    let item = &aggregate[0];
    assert_eq!(item["streaming_destination"]["identifier"], "first");
    assert_eq!(
        (&item["connector_info"]["identifier"], &item["connector_info"]["name"]),
        (&json!("aws"), &json!("AWS"))
    );
    for field in ["status", "last_streamed_at", "error_message"] {
        assert!(item["streaming_details"].get(field).is_some(), "{field}");
    }
    let cards: Value = client
        .call(Method::GET, "/v1/streaming-destinations/cards", None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        cards["countByStatusCard"],
        json!([{"status": "ACTIVE", "count": 1}, {"status": "INACTIVE", "count": 2}])
    );
    assert!(cards["lastStreamedCard"].get("lastStreamedAt").is_some() && cards["failureInfoCard"]["count"].is_u64());

    client.call(Method::PUT, one, Some(body("first", "INACTIVE"))).await;
    let gone = client.call(Method::DELETE, one, None).await;
    assert_eq!(
        (gone.status(), gone.text().await.unwrap()),
        (StatusCode::NO_CONTENT, String::new())
    );
    refused(client.call(Method::GET, one, None).await, 404, "not_found").await;
    let mut unknown = body("fourth", "INACTIVE");
    unknown["connector_ref"] = "nowhere".into();
    let answer = client
        .call(Method::POST, "/v1/streaming-destinations", Some(unknown))
        .await;
    refused(answer, 422, "invalid_fields").await;
    let elsewhere = app
        .get("/v1/streaming-destinations")
        .header("x-api-key", &app.admin)
        .header("Harness-Account", "other");
    refused(elsewhere.send().await.unwrap(), 403, "forbidden").await;
}
