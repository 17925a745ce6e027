//! The webhook of an account: one message each when a destination fails, lags or recovers; signed,
//! retried, and kept across a restart (rule 15 for its changes, rule 14 for its secret).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auditstream_engine::trail::search;
use auditstream_engine::{Pacing, Precondition, alerts, destinations};
use auditstream_model::{Code, EventFilter, Outcome, Status, WebhookInput};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::on_both;
use crate::support::{House, destination, events};
use auditstream_testkit::s3::{BUCKET, Store};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

on_both![
    a_failure_and_a_recovery_are_each_reported_once,
    a_lagging_destination_is_reported_once_and_again_when_it_has_caught_up,
    a_refused_message_is_retried_even_after_a_restart,
    a_message_is_dropped_after_its_last_attempt,
    the_webhook_secret_is_never_shown_and_its_changes_are_audited,
    a_redirect_is_not_followed_and_metadata_addresses_are_refused,
    a_receiver_that_goes_silent_delays_neither_the_test_nor_other_messages,
];

/// A received request: headers and body.
type Taken = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// A receiver that responds with the given statuses, and then with 200.
struct Receiver {
    url: String,
    taken: Taken,
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (taken, answers) = (Taken::default(), Arc::<Mutex<VecDeque<StatusCode>>>::default());
        let receiver = Self {
            url,
            taken: Arc::clone(&taken),
            answers: Arc::clone(&answers),
        };
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (taken, answers) = (Arc::clone(&taken), Arc::clone(&answers));
                let service = tower::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (taken, answers) = (Arc::clone(&taken), Arc::clone(&answers));
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let text = String::from_utf8(body.to_vec()).unwrap();
                        taken.lock().unwrap().push((parts.headers, text));
                        let status = answers.lock().unwrap().pop_front().unwrap_or(StatusCode::OK);
                        let answer = Response::builder().status(status).header("location", "/elsewhere");
                        answer.body(Full::new(bytes::Bytes::new()))
                    }
                });
                tokio::spawn(async move {
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let served = builder.serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
                    drop(served.await);
                });
            }
        });
        receiver
    }

    fn answers(&self, statuses: &[u16]) {
        let statuses = statuses.iter().map(|status| StatusCode::from_u16(*status).unwrap());
        self.answers.lock().unwrap().extend(statuses);
    }

    fn messages(&self) -> Vec<Value> {
        let taken = self.taken.lock().unwrap();
        taken
            .iter()
            .map(|(_, body)| serde_json::from_str(body).unwrap())
            .collect()
    }

    fn kinds(&self) -> Vec<String> {
        let kind = |message: &Value| message["type"].as_str().unwrap().replace("streaming_destination.", "");
        self.messages().iter().map(kind).collect()
    }

    /// Waits for `count` messages, and a while longer for one that should not come.
    async fn gets(&self, count: usize) -> Vec<String> {
        for _ in 0..400 {
            if self.taken.lock().unwrap().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.kinds()
    }

    fn ids(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        let id = |headers: &HeaderMap| headers["webhook-id"].to_str().unwrap().to_owned();
        taken.iter().map(|(headers, _)| id(headers)).collect()
    }

    /// Checks that every message is signed as Standard Webhooks requires, with a current timestamp.
    fn all_signed(&self) {
        let key = BASE64_STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
        for (headers, body) in self.taken.lock().unwrap().iter() {
            let of = |name: &str| headers[name].to_str().unwrap();
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(format!("{}.{}.{body}", of("webhook-id"), of("webhook-timestamp")).as_bytes());
            let expected = BASE64_STANDARD.encode(mac.finalize().into_bytes());
            assert_eq!(of("webhook-signature"), format!("v1,{expected}"));
            let age = auditstream_engine::database::now() / 1000 - of("webhook-timestamp").parse::<i64>().unwrap();
            assert!((0..60).contains(&age), "{age}");
        }
    }
}

fn input(url: &str, lag_limit_seconds: Option<u32>) -> WebhookInput {
    WebhookInput {
        url: url.into(),
        secret: Some(SECRET.into()),
        lag_limit_seconds,
    }
}

/// Shortens all delays.
async fn quick(mut house: House) -> House {
    house.config.pacing = Pacing {
        every: Duration::from_millis(20),
        watch: Duration::from_millis(20),
        first_delay: Duration::from_millis(50),
        ..Pacing::default()
    };
    house.reopen().await
}

async fn with_webhook(house: &House, lag_limit_seconds: Option<u32>) -> Receiver {
    let receiver = Receiver::start().await;
    put_webhook(house, &receiver, lag_limit_seconds).await;
    receiver
}

async fn put_webhook(house: &House, receiver: &Receiver, lag_limit_seconds: Option<u32>) {
    let webhook = input(&receiver.url, lag_limit_seconds);
    alerts::put(&house.engine, &house.admin, webhook, &Precondition::None)
        .await
        .unwrap();
}

async fn repair(house: &House) {
    let mut corrected = destination(BUCKET, json!({}));
    corrected.status = Some(Status::Active);
    destinations::replace(&house.engine, &house.admin, "siem", corrected, &Precondition::None)
        .await
        .unwrap();
}

/// Adds a destination whose bucket does not exist.
async fn failing(house: &House) -> Store {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination("no-such-bucket", json!({})).await;
    house.toggle(Status::Active).await;
    house.settled(|item| item.streaming_details.failure.is_some()).await;
    store
}

async fn a_failure_and_a_recovery_are_each_reported_once(house: House) {
    let house = quick(house).await;
    let receiver = with_webhook(&house, None).await;
    let _store = failing(&house).await;
    for _ in 0..3 {
        destinations::stream_now(&house.engine, &house.admin, "siem")
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(
        receiver.gets(1).await,
        ["failing"],
        "it fails again and again, and begins to once"
    );
    let message = receiver.messages().remove(0);
    assert_eq!(message["data"]["account"], "default");
    assert_eq!(message["data"]["destination"], "siem");
    assert!(message["data"]["failure"]["hint"].is_string() && message["timestamp"].is_string());
    repair(&house).await;
    house.streamed().await;
    assert_eq!(receiver.gets(2).await, ["failing", "recovered"]);
    receiver.all_signed();
}

async fn a_lagging_destination_is_reported_once_and_again_when_it_has_caught_up(house: House) {
    let house = quick(house).await;
    let receiver = with_webhook(&house, None).await;
    let _store = failing(&house).await;
    assert_eq!(receiver.gets(1).await, ["failing"]);
    house.send(&events()).await;
    // Only now, so that no message can precede the events.
    put_webhook(&house, &receiver, Some(1)).await;
    assert_eq!(receiver.gets(2).await, ["failing", "behind"]);
    let behind = &receiver.messages()[1]["data"];
    assert_eq!(
        (&behind["destination"], &behind["lag_limit_seconds"]),
        (&json!("siem"), &json!(1))
    );
    assert!(behind["events"].as_u64().unwrap() >= events().len() as u64);
    repair(&house).await;
    house.streamed().await;
    assert_eq!(
        receiver.gets(3).await,
        ["failing", "behind", "recovered"],
        "one for both"
    );
    receiver.all_signed();
}

async fn a_refused_message_is_retried_even_after_a_restart(house: House) {
    let house = quick(house).await;
    let receiver = with_webhook(&house, None).await;
    receiver.answers(&[500, 500]);
    let _store = failing(&house).await;
    assert_eq!(receiver.gets(3).await, ["failing"; 3], "after 500 it is sent again");
    let ids = receiver.ids();
    assert!(ids.iter().all(|id| *id == ids[0]), "the same message: {ids:?}");
    receiver.all_signed();

    // The state after a crash: the message is stored and not sent.
    let mut house = house;
    house.config.pacing.every = Duration::from_secs(3600);
    let mut house = house.reopen().await;
    repair(&house).await;
    house.streamed().await;
    assert_eq!(receiver.kinds().len(), 3);
    house.config.pacing.every = Duration::from_millis(20);
    let _house = house.reopen().await;
    assert_eq!(receiver.gets(4).await[3], "recovered");
}

async fn a_message_is_dropped_after_its_last_attempt(house: House) {
    let mut house = quick(house).await;
    house.config.pacing.first_delay = Duration::from_millis(5);
    let house = house.reopen().await;
    let receiver = with_webhook(&house, None).await;
    receiver.answers(&[500; 20]);
    let _store = failing(&house).await;
    assert_eq!(receiver.gets(5).await, ["failing"; 5]);
    repair(&house).await;
    house.streamed().await;
    assert_eq!(
        receiver.gets(10).await[5..],
        ["recovered"; 5],
        "the next one is not held up"
    );
}

async fn the_webhook_secret_is_never_shown_and_its_changes_are_audited(house: House) {
    let mut house = quick(house).await;
    let receiver = Receiver::start().await;
    let url = format!("{}/canary-path-77", receiver.url);
    let refused = |error: auditstream_engine::Error, field: &str| {
        let problem = error.problem();
        assert!(problem.of(field).is_some(), "{problem:?}");
    };
    let put = async |input: WebhookInput| alerts::put(&house.engine, &house.admin, input, &Precondition::None).await;
    let without = |url: &str| WebhookInput {
        secret: None,
        ..input(url, None)
    };
    refused(put(without(&url)).await.unwrap_err(), "secret");
    let made = put(input(&url, None)).await.unwrap();
    assert_eq!((made.url.as_str(), made.lag_limit_seconds), (url.as_str(), 7_200));
    assert_eq!(put(without(&url)).await.unwrap().url, url, "left out, the secret stays");
    refused(put(without("http://127.0.0.1:9/other")).await.unwrap_err(), "secret");
    for wrong in [
        "ftp://a.example/",
        "https://",
        "/hook",
        "https://u:p@a.example/",
        "http://169.254.169.254/",
    ] {
        refused(put(input(wrong, None)).await.unwrap_err(), "url");
    }
    refused(put(input(&url, Some(0))).await.unwrap_err(), "lag_limit_seconds");
    let denied = alerts::get(&house.engine, &house.ingester).await.unwrap_err();
    assert_eq!(denied.problem().code, Code::Forbidden);
    let test = alerts::test(&house.engine, &house.admin).await.unwrap();
    assert_eq!(test.status, Outcome::Success, "{test:?}");
    assert_eq!(receiver.kinds(), ["webhook.test"]);
    receiver.all_signed();
    alerts::remove(&house.engine, &house.admin, &Precondition::None)
        .await
        .unwrap();
    let gone = alerts::get(&house.engine, &house.admin).await.unwrap_err();
    assert_eq!(gone.problem().code, Code::NotFound);

    let filter = EventFilter {
        resource_type: Some("WEBHOOK".into()),
        ..EventFilter::default()
    };
    let found = search(&house.engine, &house.admin, &filter).await.unwrap();
    let actions: Vec<_> = found.events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["DELETE", "TEST", "UPDATE", "CREATE"]);
    let _ = put(input(&url, None)).await.unwrap();
    let kept = house.whole_database().await;
    for canary in [&SECRET["whsec_".len()..], "canary-path-77"] {
        assert!(
            !kept.windows(canary.len()).any(|window| window == canary.as_bytes()),
            "{canary}"
        );
    }
}

async fn a_redirect_is_not_followed_and_metadata_addresses_are_refused(house: House) {
    let house = quick(house).await;
    let receiver = with_webhook(&house, None).await;
    receiver.answers(&[302]);
    let test = alerts::test(&house.engine, &house.admin).await.unwrap();
    assert_eq!((test.status, receiver.kinds().len()), (Outcome::Failure, 1), "{test:?}");
    assert!(test.detail.contains("302"), "{test:?}");
    // A name that leads to 169.254.169.254.
    alerts::put(
        &house.engine,
        &house.admin,
        input("http://169.254.43518/latest", None),
        &Precondition::None,
    )
    .await
    .unwrap();
    let test = alerts::test(&house.engine, &house.admin).await.unwrap();
    assert_eq!(test.status, Outcome::Failure);
    assert!(test.detail.contains("metadata"), "{test:?}");
}

/// Rule 16.
async fn a_receiver_that_goes_silent_delays_neither_the_test_nor_other_messages(house: House) {
    let mut house = quick(house).await;
    house.config.pacing.timeout = Duration::from_millis(200);
    let house = house.reopen().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}/hook", listener.local_addr().unwrap());
    let accepted = tokio::spawn(async move {
        let mut sockets = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            sockets.push(socket);
        }
    });
    alerts::put(&house.engine, &house.admin, input(&silent, None), &Precondition::None)
        .await
        .unwrap();
    let test = alerts::test(&house.engine, &house.admin).await.unwrap();
    assert_eq!(test.status, Outcome::Failure, "{test:?}");
    assert!(test.detail.contains("did not respond within 0.2 seconds"), "{test:?}");
    let _store = failing(&house).await;
    let receiver = Receiver::start().await;
    put_webhook(&house, &receiver, None).await;
    assert_eq!(
        receiver.gets(1).await,
        ["failing"],
        "it is sent again, to the new receiver"
    );
    accepted.abort();
}
