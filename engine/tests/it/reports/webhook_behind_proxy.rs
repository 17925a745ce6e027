//! Everything goes out through a proxy, and so do notifications.

use std::time::Duration;

use auditstream_engine::{Config, EgressPolicy, Engine, Precondition, alerts};
use auditstream_model::{Outcome, WebhookInput};
use auditstream_testkit::raw_http;
use tokio::net::TcpListener;

use crate::child::{Inside, Process, patience, say};
use crate::support::{House, On};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// No resolver knows this name.
const HOOK: &str = "http://hooks.cases.test/audit";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_behind_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let asked = tokio::spawn(async move {
        let mut requests = Vec::new();
        while requests.len() < 2 {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = raw_http::read_head(&mut socket).await.unwrap();
            raw_http::read_body(&mut socket, &mut request).await.unwrap();
            raw_http::answer(&mut socket, 200, &[], "").await;
            requests.push(request);
        }
        requests
    });
    let mut house = House::open(On::Sqlite).await;
    house.stop().await;
    let patience = patience(house.on);
    tokio::task::spawn_blocking(move || {
        let proxies = ["HTTP_PROXY", "http_proxy"].map(|name| (name, proxy.clone()));
        let mut process = Process::start("reports::webhook_behind_proxy::the_process", &house, &proxies);
        assert!(process.says("accepted", patience));
        assert!(process.ends_well(patience));
    })
    .await
    .unwrap();
    for request in asked.await.unwrap() {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", HOOK));
        assert!(request.header("webhook-signature").is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the test above starts"]
async fn the_process() {
    let Some(inside) = Inside::open(Duration::from_secs(3600)).await else {
        return;
    };
    let input = WebhookInput {
        url: HOOK.into(),
        secret: Some(SECRET.into()),
        lag_limit_seconds: None,
    };
    alerts::put(&inside.engine, &inside.admin, input, &Precondition::None)
        .await
        .unwrap();
    let test = alerts::test(&inside.engine, &inside.admin).await.unwrap();
    assert_eq!(test.status, Outcome::Success, "{test:?}");
    // The proxy is private, and yet the way out: its operator is that of the server.
    let closed = Config {
        egress_policy: EgressPolicy { private: Some(false) },
        ..inside.config.clone()
    };
    let closed = Engine::open(closed).await.unwrap();
    let test = alerts::test(&closed, &inside.admin).await.unwrap();
    assert_eq!(test.status, Outcome::Success, "{test:?}");
    closed.close().await;
    inside.engine.close().await;
    say("accepted");
}
