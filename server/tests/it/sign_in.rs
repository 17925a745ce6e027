//! Misuse of sign-in, sessions, links and tokens. Tests without HTTP are in the engine's
//! `it::access`.

use auditstream_engine::{Actor, access};
use auditstream_model::{AccountName, Role};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _, Executor as _};

use crate::app::{App, EMAIL, PASSWORD, cookie, flash, refused};

const SESSION: &str = "auditstream_session";

/// Signs in with the page's form and a cookie that the browser already has.
async fn sign_in_with(app: &App, before: &str) -> String {
    let answer = app
        .post("/sign-in")
        .header("cookie", before)
        .form(&[("email", EMAIL), ("password", PASSWORD)])
        .send()
        .await
        .unwrap();
    let set = cookie(&answer, SESSION).unwrap();
    set.split(';').next().unwrap().to_owned()
}

async fn is_signed_in(app: &App, cookie: &str) -> bool {
    let answer = app.get("/settings").header("cookie", cookie).send().await.unwrap();
    answer.status() == 200
}

#[tokio::test]
async fn a_planted_session_is_not_adopted() {
    let app = App::start().await;
    let planted = format!("{SESSION}=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let mine = sign_in_with(&app, &planted).await;
    assert_ne!(mine, planted);
    assert!(!is_signed_in(&app, &planted).await);
    // A valid session ends when its browser signs in again.
    let next = sign_in_with(&app, &mine).await;
    assert!(is_signed_in(&app, &next).await && !is_signed_in(&app, &mine).await);
}

#[tokio::test]
async fn ended_sessions_and_revoked_tokens_are_refused() {
    let app = App::start().await;
    let session = app.signed_in().await;
    app.post("/sign-out").header("cookie", &session).send().await.unwrap();
    assert!(!is_signed_in(&app, &session).await);
    let call = app.post("/api/session").header("cookie", &session).json(&json!({}));
    assert_eq!(call.send().await.unwrap().status(), 401);

    let tokens: Value = app
        .get("/v1/api-tokens")
        .bearer_auth(&app.admin)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let read = tokens
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["name"] == "out")
        .unwrap();
    let path = format!("/v1/api-tokens/{}", read["id"].as_str().unwrap());
    let revoked = app.delete(&path).bearer_auth(&app.admin).send().await.unwrap();
    assert_eq!(revoked.status(), 204);
    let answer = app.get("/v1/audit-events").bearer_auth(&app.read).send().await.unwrap();
    refused(answer, 401, "unauthenticated").await;
}

#[tokio::test]
async fn guessing_passwords_is_throttled_with_429() {
    let app = App::start().await;
    let guess = |password: &str| {
        let body = json!({"email": EMAIL, "password": password});
        app.post("/api/sign-in").json(&body)
    };
    for _ in 0..5 {
        assert_eq!(guess("wrong wrong wrong").send().await.unwrap().status(), 401);
    }
    let answer = guess(PASSWORD).send().await.unwrap();
    assert_eq!(answer.status(), 429);
    assert!(cookie(&answer, SESSION).is_none());
    let form = [("email", EMAIL), ("password", PASSWORD)];
    let answer = app.post("/sign-in").form(&form).send().await.unwrap();
    assert_eq!(flash(&answer).as_deref(), Some("throttled"));
}

#[tokio::test]
async fn responses_do_not_reveal_which_users_exist() {
    let app = App::start().await;
    let mut answers = Vec::new();
    for email in [EMAIL, "nobody@example.com", "no address"] {
        let form = [("email", email), ("password", "wrong wrong wrong")];
        let answer = app.post("/sign-in").form(&form).send().await.unwrap();
        let body = json!({"email": email, "password": "wrong wrong wrong"});
        let call = app.post("/api/sign-in").json(&body).send().await.unwrap();
        let shown = (answer.status(), answer.headers()["location"].clone(), flash(&answer));
        answers.push((shown, call.status(), call.text().await.unwrap()));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test]
async fn a_link_can_be_opened_repeatedly_but_used_only_once() {
    let app = App::start().await;
    let invited: Value = app
        .post("/v1/users")
        .bearer_auth(&app.admin)
        .json(&json!({"email": "eve@example.com", "role": "account_viewer"}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let link = invited["link"].as_str().unwrap().strip_prefix(&app.address).unwrap();
    // As programs that preview links in e-mails do.
    for _ in 0..3 {
        assert_eq!(app.get(link).send().await.unwrap().status(), 200);
    }
    let token = link.split_once("token=").unwrap().1;
    let send = || {
        app.post("/invitation")
            .form(&[("token", token), ("password", PASSWORD)])
    };
    let answer = send().send().await.unwrap();
    assert_eq!(answer.headers()["location"], "/settings");
    let session = cookie(&answer, SESSION).unwrap();
    assert!(is_signed_in(&app, session.split(';').next().unwrap()).await);
    let again = send().send().await.unwrap();
    assert!(cookie(&again, SESSION).is_none());
    assert_eq!(flash(&again).as_deref(), Some("not_found"));
}

#[tokio::test]
async fn the_last_admin_cannot_be_removed_over_the_api() {
    let app = App::start().await;
    let path = format!("/v1/users/{EMAIL}");
    let answer = app.delete(&path).bearer_auth(&app.admin).send().await.unwrap();
    refused(answer, 409, "conflict").await;
    let demote = app
        .put(&path)
        .bearer_auth(&app.admin)
        .json(&json!({"role": "account_viewer"}));
    refused(demote.send().await.unwrap(), 409, "conflict").await;
    let account = AccountName::default_account();
    let actor = Actor::command_line(&app.engine, &account).await.unwrap();
    access::create_user(&app.engine, &actor, "bob@example.com", Role::Admin, PASSWORD)
        .await
        .unwrap();
    let answer = app.delete(&path).bearer_auth(&app.admin).send().await.unwrap();
    assert_eq!(answer.status(), 204);
}

/// A page that is left open must not keep its session alive.
#[tokio::test]
async fn a_poll_does_not_extend_the_session_and_gains_nothing() {
    let app = App::start().await;
    let (polled, used) = (app.signed_in().await, app.signed_in().await);
    let file = format!("sqlite://{}/auditstream.db", app.folder.path().display());
    let mut database = AnyConnection::connect(&file).await.unwrap();
    let ten_minutes_ago = "UPDATE session SET seen = seen - 600000";
    database.execute(ten_minutes_ago).await.unwrap();
    let mut last_uses = async || -> Vec<i64> {
        let found = sqlx::query_scalar("SELECT seen FROM session ORDER BY rowid");
        found.fetch_all(&mut database).await.unwrap()
    };
    let before = last_uses().await;
    let call = |session: &str| {
        app.post("/api/destinations/cards")
            .header("cookie", session)
            .json(&json!({}))
    };
    let poll = call(&polled).header("x-auditstream-poll", "1");
    assert_eq!(poll.send().await.unwrap().status(), 200);
    assert_eq!(call(&used).send().await.unwrap().status(), 200);
    let anonymous = app.post("/api/destinations/cards").json(&json!({}));
    let anonymous = anonymous.header("x-auditstream-poll", "1").send().await.unwrap();
    assert_eq!(anonymous.status(), 401);
    // Uses are stored at the latest when the server stops.
    app.engine.start().stop().await;
    let after = last_uses().await;
    assert_eq!(after[0], before[0]);
    assert!(after[1] > before[1]);
}

/// Permissions are checked when the request is complete, not when it starts.
#[tokio::test]
async fn a_request_started_before_its_token_was_revoked_has_no_effect() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let app = App::start().await;
    let session = app.signed_in().await;
    let address = app.address.strip_prefix("http://").unwrap();
    let calls = [
        (
            "/v1/api-tokens",
            r#"{"name":"late","scopes":["admin"]}"#,
            format!("authorization: Bearer {}", app.admin),
        ),
        (
            "/api/api-token/create",
            r#"{"token":{"name":"late","scopes":["admin"]}}"#,
            format!("cookie: {session}"),
        ),
        (
            "/v1/audit-events",
            "{}",
            format!("authorization: Bearer {}", app.ingest),
        ),
    ];
    let mut begun = Vec::new();
    for (path, body, key) in calls {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\norigin: {}\r\n{key}\r\ncontent-type: application/json\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n",
            app.address,
            body.len()
        );
        let (first, rest) = body.split_at(1);
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(first.as_bytes()).await.unwrap();
        begun.push((path, socket, rest));
    }
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let actor = Actor::command_line(&app.engine, &AccountName::default_account())
        .await
        .unwrap();
    access::sign_out_everywhere(&app.engine, &actor, EMAIL).await.unwrap();
    for token in access::tokens(&app.engine, &actor).await.unwrap() {
        access::revoke_token(&app.engine, &actor, &token.id).await.unwrap();
    }
    for (path, mut socket, rest) in begun {
        socket.write_all(rest.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
    }
    assert!(access::tokens(&app.engine, &actor).await.unwrap().is_empty());
}
