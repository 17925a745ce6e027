//! Rule 15: work with effects outside the database is completed and recorded when the browser that
//! asked for it disconnects, which drops the request.

use std::time::Duration;

use auditstream_engine::trail::search;
use auditstream_engine::{Error, Precondition, access, alerts, connectors, destinations};
use auditstream_model::{BucketCheckInput, EventFilter, Role, WebhookInput};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::on_both;
use crate::support::{House, connector};
use auditstream_testkit::s3::{BUCKET, Fault, Store};

on_both![
    a_bucket_check_is_completed_and_removes_its_object,
    a_check_of_an_unsaved_bucket_is_completed_and_removes_its_object,
    a_connection_test_is_recorded,
    a_webhook_test_is_recorded,
    a_failed_sign_in_is_recorded,
];

/// Starts a call and drops it once `reached` completes.
async fn dropped<T>(call: impl Future<Output = Result<T, Error>>, reached: impl Future<Output = ()>) {
    tokio::select! {
        _ = call => panic!("the call ended before it was dropped"),
        () = reached => {}
    }
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    for _ in 0..400 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never came true: {what}");
}

async fn is_recorded(house: &House, resource: &str, action: &str) {
    let filter = EventFilter {
        resource: Some(resource.into()),
        ..EventFilter::default()
    };
    until(action, async || {
        let found = search(&house.engine, &house.admin, &filter).await.unwrap().events;
        found.iter().any(|event| event.action == action)
    })
    .await;
}

async fn a_bucket_check_is_completed_and_removes_its_object(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    store.next(&[Fault::HoldAnswer]);
    let check = destinations::check_bucket(&house.engine, &house.admin, "siem");
    dropped(check, store.reached(1)).await;
    store.release.add_permits(1);
    is_recorded(&house, "siem", "TEST").await;
    assert!(!store.path(BUCKET, ".auditstream-check").exists());
}

async fn a_check_of_an_unsaved_bucket_is_completed_and_removes_its_object(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    store.next(&[Fault::HoldAnswer]);
    let input = json!({"connector_ref": "aws", "spec": {"type": "AWS_S3", "bucket": BUCKET}});
    let input: BucketCheckInput = serde_json::from_value(input).unwrap();
    let check = destinations::check_unsaved_bucket(&house.engine, &house.admin, input);
    dropped(check, store.reached(1)).await;
    store.release.add_permits(1);
    is_recorded(&house, "aws", "TEST").await;
    assert!(!store.path(BUCKET, ".auditstream-check").exists());
}

/// A server that reports when a request has arrived, and responds when the test says so.
struct Slow {
    url: String,
    listener: TcpListener,
}

impl Slow {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { url, listener }
    }

    async fn receive(&self) -> TcpStream {
        let (mut socket, _) = self.listener.accept().await.unwrap();
        socket.read_u8().await.unwrap();
        socket
    }

    async fn respond(mut socket: TcpStream) {
        let answer = b"HTTP/1.1 500 Oops\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        socket.write_all(answer).await.unwrap();
    }
}

async fn a_connection_test_is_recorded(house: House) {
    let slow = Slow::start().await;
    let input = connector(&slow.url);
    connectors::create(&house.engine, &house.admin, input).await.unwrap();
    let mut socket = None;
    let test = connectors::test(&house.engine, &house.admin, "aws");
    dropped(test, async { socket = Some(slow.receive().await) }).await;
    Slow::respond(socket.unwrap()).await;
    is_recorded(&house, "aws", "TEST").await;
}

async fn a_webhook_test_is_recorded(house: House) {
    let slow = Slow::start().await;
    let webhook = WebhookInput {
        url: slow.url.clone(),
        secret: Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
        lag_limit_seconds: None,
    };
    alerts::put(&house.engine, &house.admin, webhook, &Precondition::None)
        .await
        .unwrap();
    let mut socket = None;
    let test = alerts::test(&house.engine, &house.admin);
    dropped(test, async { socket = Some(slow.receive().await) }).await;
    Slow::respond(socket.unwrap()).await;
    is_recorded(&house, "webhook", "TEST").await;
}

async fn a_failed_sign_in_is_recorded(house: House) {
    const EMAIL: &str = "ada@example.com";
    access::create_user(
        &house.engine,
        &house.admin,
        EMAIL,
        Role::Viewer,
        "correct horse battery",
    )
    .await
    .unwrap();
    let sign_in = access::sign_in(&house.engine, EMAIL, "a wrong password", None, "192.0.2.1");
    // The attempt is counted before the password is checked, which takes longer than this poll.
    let mut connection = house.connection().await;
    let counted = async {
        loop {
            let count: i64 = sqlx::query_scalar("SELECT count(*) FROM sign_in_failure")
                .fetch_one(&mut connection)
                .await
                .unwrap();
            if count > 0 {
                return;
            }
        }
    };
    tokio::select! {
        _ = sign_in => {}
        () = counted => {}
    }
    is_recorded(&house, EMAIL, "UNSUCCESSFUL_LOGIN").await;
}
