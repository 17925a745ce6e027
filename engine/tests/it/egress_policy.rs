//! The egress policy: a forbidden address is refused when it is saved, a name that resolves to one
//! when it is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use auditstream_engine::{EgressPolicy, Engine, Precondition, alerts, connectors, destinations};
use auditstream_model::{Outcome, WebhookInput};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::on_both;
use crate::support::{House, connector, destination};
use auditstream_testkit::s3::Store;

on_both![
    an_endpoint_at_a_metadata_address_is_refused_when_it_is_saved,
    an_endpoint_that_resolves_to_a_metadata_address_is_refused_when_it_is_used,
    a_bucket_name_before_an_endpoint_cannot_form_an_address,
    private_endpoints_can_be_forbidden_even_through_dns,
    a_redirect_of_a_store_is_not_followed,
];

async fn an_endpoint_at_a_metadata_address_is_refused_when_it_is_saved(house: House) {
    let good = connector("http://127.0.0.1:9000");
    connectors::create(&house.engine, &house.admin, good).await.unwrap();
    for endpoint in [
        "http://169.254.169.254",
        "https://169.254.170.2:443",
        "http://[fd00:ec2::254]",
        "http://[::ffff:169.254.169.254]:80",
        "http://[64:ff9b::a9fe:a9fe]",
        "http://0.0.0.0:9000",
        "http://[::]:9000",
        "http://[fe80::1]",
        "http://255.255.255.255",
    ] {
        let mut other = connector(endpoint);
        other.identifier = "other".into();
        let made = connectors::create(&house.engine, &house.admin, other).await;
        let changed = connectors::replace(
            &house.engine,
            &house.admin,
            "aws",
            connector(endpoint),
            &Precondition::None,
        )
        .await;
        for refused in [made, changed] {
            let problem = refused.unwrap_err().problem();
            let said = problem.of("spec.endpoint").unwrap_or_default();
            assert!(said.contains("never connects"), "{endpoint}: {problem:?}");
        }
    }
}

/// Returns the message of a connection test whose endpoint is refused.
async fn refused_in_use(engine: &Engine, house: &House, endpoint: &str) -> String {
    let saved = connectors::replace(engine, &house.admin, "aws", connector(endpoint), &Precondition::None).await;
    saved.unwrap_or_else(|error| panic!("a name is looked at when it is used: {endpoint}: {error}"));
    let test = connectors::test(engine, &house.admin, "aws").await.unwrap();
    assert_eq!(test.status, Outcome::Failure, "{test:?}");
    let error = test.error.unwrap();
    assert!(
        error.hint.contains("endpoint") && error.explanation.contains("Nothing was sent"),
        "{error:?}"
    );
    error.message
}

async fn an_endpoint_that_resolves_to_a_metadata_address_is_refused_when_it_is_used(house: House) {
    let good = connector("http://127.0.0.1:9000");
    connectors::create(&house.engine, &house.admin, good).await.unwrap();
    // Names to a parser of URLs; to the system's resolver they are 169.254.169.254.
    for endpoint in ["http://169.254.43518", "http://2852039166:80"] {
        let said = refused_in_use(&house.engine, &house, endpoint).await;
        assert!(said.contains("169.254.169.254"), "{endpoint}: {said}");
    }
}

async fn a_bucket_name_before_an_endpoint_cannot_form_an_address(house: House) {
    let mut split = connector("http://254");
    split.spec.path_style = false;
    connectors::create(&house.engine, &house.admin, split).await.unwrap();
    let to = destination("169.254.169", json!({}));
    destinations::create(&house.engine, &house.admin, to).await.unwrap();
    let check = destinations::check_bucket(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    let said = format!("{check:?}");
    assert_eq!(check.status, Outcome::Failure, "{said}");
    assert!(said.contains("never connects"), "{said}");
}

async fn private_endpoints_can_be_forbidden_even_through_dns(mut house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    let by_name = store.endpoint.replace("127.0.0.1", "localhost");
    connectors::replace(
        &house.engine,
        &house.admin,
        "aws",
        connector(&by_name),
        &Precondition::None,
    )
    .await
    .unwrap();
    let test = connectors::test(&house.engine, &house.admin, "aws").await.unwrap();
    assert_eq!(test.status, Outcome::Success, "{test:?}");
    house.config.egress_policy = EgressPolicy { private: Some(false) };
    let closed = Engine::open(house.config.clone()).await.unwrap();
    let said = refused_in_use(&closed, &house, &by_name).await;
    assert!(said.contains("AUDITSTREAM_ENDPOINTS_PRIVATE"), "{said}");
    for endpoint in [store.endpoint.as_str(), "http://10.1.2.3", "https://[fd12::1]:9000"] {
        let refused = connectors::replace(&closed, &house.admin, "aws", connector(endpoint), &Precondition::None).await;
        let problem = refused.unwrap_err().problem();
        assert!(problem.of("spec.endpoint").is_some(), "{endpoint}: {problem:?}");
    }
    let hook = WebhookInput {
        url: by_name,
        secret: Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
        lag_limit_seconds: None,
    };
    alerts::put(&closed, &house.admin, hook, &Precondition::None)
        .await
        .unwrap();
    let test = alerts::test(&closed, &house.admin).await.unwrap();
    assert_eq!(test.status, Outcome::Failure, "{test:?}");
    assert!(test.detail.contains("AUDITSTREAM_ENDPOINTS_PRIVATE"), "{test:?}");
    closed.close().await;
}

/// Counts connections and sends each the same response.
async fn answering(answer: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let came = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&came);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut head = [0; 4096];
            let _ = socket.read(&mut head).await;
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    (url, came)
}

async fn a_redirect_of_a_store_is_not_followed(house: House) {
    let (inside, came_inside) =
        answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into()).await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"] {
        let (store, came) = answering(format!(
            "HTTP/1.1 {status}\r\nlocation: {inside}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        ))
        .await;
        let mut redirecting = connector(&store);
        redirecting.identifier = format!("redirecting{}", &status[..3]);
        let id = redirecting.identifier.clone();
        connectors::create(&house.engine, &house.admin, redirecting)
            .await
            .unwrap();
        let test = connectors::test(&house.engine, &house.admin, &id).await.unwrap();
        assert_eq!(test.status, Outcome::Failure, "{test:?}");
        assert_eq!(came.load(Ordering::SeqCst), 1, "{status}");
    }
    assert_eq!(came_inside.load(Ordering::SeqCst), 0);
}
