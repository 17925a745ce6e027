//! The console as a browser without scripts uses it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Response;

use crate::app::{App, EMAIL, EVENTS, PASSWORD, cookie, destination, flash, refused};

fn goes_to(answer: &Response) -> &str {
    assert_eq!(answer.status(), 303);
    answer.headers()["location"].to_str().unwrap()
}

#[tokio::test]
async fn a_page_redirects_to_sign_in_and_back() {
    let app = App::start().await;
    assert_eq!(goes_to(&app.get("/").send().await.unwrap()), "/settings");
    let answer = app.get("/settings/audit-trail/streaming?page=2").send().await.unwrap();
    assert_eq!(
        goes_to(&answer),
        "/sign-in?next=/settings/audit-trail/streaming%3Fpage%3D2"
    );
    let page = app.get("/sign-in?next=/settings").send().await.unwrap();
    assert_eq!(page.status(), 200);
    let form = [
        ("email", EMAIL),
        ("password", PASSWORD),
        ("next", "/settings/audit-trail/streaming?page=2"),
    ];
    let answer = app.post("/sign-in").form(&form).send().await.unwrap();
    assert_eq!(goes_to(&answer), "/settings/audit-trail/streaming?page=2");
    let cookie = cookie(&answer, "auditstream_session").unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();
    let page = app.get("/settings").header("cookie", cookie).send().await.unwrap();
    assert_eq!(
        (page.status().as_u16(), &page.headers()["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    let out = app.post("/sign-out").header("cookie", cookie).send().await.unwrap();
    assert_eq!(goes_to(&out), "/sign-in");
    let again = app.get("/settings").header("cookie", cookie).send().await.unwrap();
    assert_eq!(goes_to(&again), "/sign-in?next=/settings");
}

#[tokio::test]
async fn a_wrong_password_leaves_an_error_code_and_no_session() {
    let app = App::start().await;
    let form = [("email", EMAIL), ("password", "wrong wrong wrong")];
    let answer = app.post("/sign-in").form(&form).send().await.unwrap();
    assert_eq!(goes_to(&answer), "/sign-in");
    assert!(cookie(&answer, "auditstream_session").is_none());
    assert_eq!(flash(&answer).as_deref(), Some("wrong_credentials"));
    let left = cookie(&answer, "auditstream_flash").unwrap();
    assert!(left.contains("Max-Age=30"), "{left}");
    let sent = left.split(';').next().unwrap();
    let page = app.get("/sign-in").header("cookie", sent).send().await.unwrap();
    assert!(cookie(&page, "auditstream_flash").unwrap().contains("Max-Age=0"));
    let page = page.text().await.unwrap();
    assert!(
        page.contains(&format!("value=\"{EMAIL}\"")),
        "the e-mail address is kept"
    );
    let script = "<script>alert(1)</script>";
    let planted = URL_SAFE_NO_PAD.encode(format!("\"></script>{script}@example.com"));
    let page = app
        .get("/sign-in")
        .header("cookie", format!("auditstream_flash=wrong_credentials.{planted}"));
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(!page.contains(script) && page.contains("alert(1)"), "{page}");
}

#[tokio::test]
async fn sign_in_redirects_to_no_other_server() {
    let app = App::start().await;
    for next in ["//evil.example.com", "https://evil.example.com", "/\\evil.example.com"] {
        let form = [("email", EMAIL), ("password", PASSWORD), ("next", next)];
        assert_eq!(
            goes_to(&app.post("/sign-in").form(&form).send().await.unwrap()),
            "/settings",
            "{next}"
        );
    }
}

#[tokio::test]
async fn another_site_cannot_change_anything() {
    let app = App::start().await;
    let cookie = app.signed_in().await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example.com"),
        ("origin", "null"),
    ] {
        for path in [
            "/sign-out",
            "/sign-in",
            "/theme",
            "/api/anything",
            "/settings/audit-trail/streaming/x/status",
        ] {
            let answer = app
                .post(path)
                .header("cookie", &cookie)
                .header(name, value)
                .send()
                .await
                .unwrap();
            refused(answer, 403, "cross_site").await;
        }
    }
    assert_eq!(
        app.get("/settings")
            .header("cookie", &cookie)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn a_form_toggles_a_destination() {
    let app = App::start().await;
    app.with_store().await;
    let made = app
        .post("/v1/streaming-destinations")
        .bearer_auth(&app.admin)
        .json(&destination("siem", "INACTIVE"));
    assert_eq!(made.send().await.unwrap().status(), 201);
    let cookie = app.signed_in().await;
    let path = "/settings/audit-trail/streaming/siem/status";
    let form = [("status", "ACTIVE")];
    assert_eq!(goes_to(&app.post(path).form(&form).send().await.unwrap()), "/sign-in");
    let answer = app
        .post(path)
        .header("cookie", &cookie)
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(goes_to(&answer), "/settings/audit-trail/streaming");
    let view = app
        .get("/v1/streaming-destinations/siem")
        .bearer_auth(&app.read)
        .send()
        .await
        .unwrap();
    assert_eq!(
        view.json::<serde_json::Value>().await.unwrap()["streaming_destination"]["status"],
        "ACTIVE"
    );
}

#[tokio::test]
async fn every_response_has_security_headers() {
    let app = App::start().await;
    for path in ["/sign-in", "/v1/connectors", "/healthz", "/nothing-here"] {
        let answer = app.get(path).send().await.unwrap();
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers()["referrer-policy"], "same-origin");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_page_is_not_found() {
    let app = App::start().await;
    assert_eq!(app.get("/nothing-here").send().await.unwrap().status(), 404);
    assert_eq!(app.get("/pkg/../Cargo.toml").send().await.unwrap().status(), 404);
    assert_eq!(
        app.get("/pkg/%2e%2e/%2e%2e/Cargo.toml").send().await.unwrap().status(),
        404
    );
}

#[tokio::test]
async fn signing_in_by_server_function_sets_the_same_cookie() {
    let app = App::start().await;
    let attempt = async |password: &str| {
        let body = serde_json::json!({"email": EMAIL, "password": password});
        app.post("/api/sign-in").json(&body).send().await.unwrap()
    };
    let refused = attempt("wrong wrong wrong").await;
    assert_eq!(refused.status(), 401);
    assert!(cookie(&refused, "auditstream_session").is_none());
    let answer = attempt(PASSWORD).await;
    assert_eq!(answer.status(), 200);
    let cookie = cookie(&answer, "auditstream_session").unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();
    let page = app.get("/settings").header("cookie", cookie).send().await.unwrap();
    assert_eq!(page.status(), 200);
}

#[tokio::test]
async fn all_events_that_match_a_filter_can_be_exported() {
    let app = App::start().await;
    let sent = app
        .send_events("application/x-ndjson")
        .body(EVENTS)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 200);
    let path = "/settings/audit-trail/logs/export?range=all&module=S3&principal=";
    assert!(goes_to(&app.get(path).send().await.unwrap()).starts_with("/sign-in?next="));
    let cookie = app.signed_in().await;
    let answer = app.get(path).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    assert!(
        answer.headers()["content-disposition"]
            .to_str()
            .unwrap()
            .contains("audit-events.ndjson")
    );
    let text = answer.text().await.unwrap();
    let wanted = EVENTS
        .lines()
        .filter(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["auditModule"] == "S3");
    assert_eq!(text.lines().count(), wanted.count());
    let audited = app
        .get("/v1/audit-events?resource_type=AUDIT_TRAIL")
        .bearer_auth(&app.read);
    let audited: serde_json::Value = audited.send().await.unwrap().json().await.unwrap();
    let new = |index: usize| &audited["events"][index]["auditEventMetadata"]["difference"]["new"];
    assert_eq!(audited["events"][0]["auditAction"], "EXPORTED");
    assert_eq!(new(0)["events"], text.lines().count());
    assert_eq!(audited["events"][1]["auditAction"], "EXPORT");
    assert_eq!(new(1)["filter"]["module"], "S3");
    let endless = format!("/settings/audit-trail/logs/export?q={}", "a".repeat(1_001));
    let endless = app.get(&endless).header("cookie", &cookie);
    refused(endless.send().await.unwrap(), 400, "invalid_parameter").await;
    let nonsense = app.get("/settings/audit-trail/logs/export?range=yesterday");
    refused(
        nonsense.header("cookie", &cookie).send().await.unwrap(),
        400,
        "invalid_parameter",
    )
    .await;
}
