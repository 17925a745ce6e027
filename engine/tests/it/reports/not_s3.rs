//! Responses that are not S3's, and responses of S3 that mislead (rule 7).

use std::sync::{Arc, Mutex};

use auditstream_engine::{Precondition, connectors, destinations};
use auditstream_model::{BatchStatus, BucketCheck, ConnectionTest, ConnectorInput, Failure, Outcome, Status};
use auditstream_testkit::raw_http::Request;
use auditstream_testkit::responder::{Reply, Responder};
use auditstream_testkit::s3::{BUCKET, Store};
use serde_json::json;

use crate::support::{House, On, connector, dense, events};

/// An engine whose destination streams one event to `endpoint`.
pub(super) async fn house(input: ConnectorInput) -> House {
    let house = House::open(On::Sqlite).await;
    connectors::create(&house.engine, &house.admin, input).await.unwrap();
    house.destination(BUCKET, json!({})).await;
    house.send(&events()[..1]).await;
    house.toggle(Status::Active).await;
    house
}

pub(super) async fn replace_connector(house: &House, input: ConnectorInput) {
    connectors::replace(&house.engine, &house.admin, "aws", input, &Precondition::None)
        .await
        .unwrap();
}

pub(super) async fn failure(house: &House) -> Failure {
    let failing = house.settled(|item| item.streaming_details.failure.is_some()).await;
    failing.streaming_details.failure.unwrap()
}

pub(super) async fn test(house: &House) -> ConnectionTest {
    connectors::test(&house.engine, &house.admin, "aws").await.unwrap()
}

pub(super) async fn check(house: &House) -> BucketCheck {
    destinations::check_bucket(&house.engine, &house.admin, "siem")
        .await
        .unwrap()
}

/// Makes one attempt, and returns its failure.
async fn next_failure(house: &House) -> Failure {
    let before = house.batches().await[0].attempts;
    destinations::stream_now(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    for _ in 0..400 {
        let batch = house.batches().await.remove(0);
        if batch.attempts > before && batch.status == BatchStatus::Failed {
            return batch.error.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no attempt failed: {:?}", house.batches().await);
}

#[tokio::test]
async fn put_200_without_etag() {
    let page = Responder::start(|_| Reply::html(200, "Sign in")).await;
    let house = house(connector(&page.endpoint)).await;
    let shown = failure(&house).await;
    assert_eq!(shown.code.as_str(), "not_s3");
    assert!(shown.message.contains("not an answer of S3"), "{shown:?}");
    let batch = house.batches().await.remove(0);
    assert_eq!((batch.status, batch.attempts), (BatchStatus::Failed, 1), "{batch:?}");
    assert_eq!(batch.may_be_at.len(), 1, "it is in doubt: {batch:?}");
    for reply in [
        Reply::new(200, ""),
        Reply::new(200, "").with("etag", "\"\""),
        Reply::html(200, "Welcome").with("etag", "\"5f3c\""),
        Reply::new(204, "").with("x-amz-request-id", "1"),
    ] {
        let answer = reply.clone();
        page.respond(move |_| answer.clone());
        assert_eq!(next_failure(&house).await.code.as_str(), "not_s3", "{reply:?}");
    }
    // The event is still to be delivered.
    let store = Store::start().await;
    replace_connector(&house, connector(&store.endpoint)).await;
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
}

#[tokio::test]
async fn an_etag_with_the_checksum_of_other_bytes_is_not_a_delivery() {
    let other = Reply::new(200, "")
        .with("etag", "\"1\"")
        .with("x-amz-checksum-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    let server = Responder::start(move |_| other.clone()).await;
    let house = house(connector(&server.endpoint)).await;
    let shown = failure(&house).await;
    assert!(shown.message.contains("SHA-256"), "{shown:?}");
    assert_eq!(house.batches().await[0].may_be_at.len(), 1);
}

/// The object has the metadata that was sent with it, and other bytes.
#[tokio::test]
async fn after_a_wrong_checksum_the_stored_bytes_are_compared_and_not_the_metadata() {
    let digest = Arc::new(Mutex::new(None::<String>));
    let server = Responder::start(move |request: &Request| {
        let mut digest = digest.lock().unwrap();
        let found = Reply::new(200, "").with("etag", "\"1\"");
        match (request.method.as_str(), digest.clone()) {
            ("PUT", None) => {
                *digest = request.header("x-amz-meta-content-sha256").map(str::to_owned);
                found.with("x-amz-checksum-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
            }
            ("PUT", _) => Reply::error(412, "PreconditionFailed", "exists"),
            ("HEAD", Some(digest)) => found.with("x-amz-meta-content-sha256", &digest),
            ("GET", Some(_)) if !request.path.contains("list-type=") => Reply {
                body: "other bytes".to_owned(),
                ..found
            },
            _ => Reply::error(403, "AccessDenied", "no"),
        }
    })
    .await;
    let house = house(connector(&server.endpoint)).await;
    let shown = house
        .settled(|item| {
            let failure = item.streaming_details.failure.as_ref();
            failure.is_some_and(|failure| failure.blocked)
        })
        .await;
    let shown = shown.streaming_details.failure.unwrap();
    assert_eq!(shown.code.as_str(), "object_exists", "{shown:?}");
    assert_eq!(house.batches().await[0].verified, None);
}

/// A HEAD that a page answers must not prove that an object is ours, or another one's.
#[tokio::test]
async fn a_page_does_not_prove_whose_an_object_is() {
    let server = Responder::start(|request: &Request| match request.method.as_str() {
        "PUT" => Reply::error(412, "PreconditionFailed", "exists"),
        _ => Reply::html(200, "Sign in"),
    })
    .await;
    let house = house(connector(&server.endpoint)).await;
    let shown = failure(&house).await;
    assert_eq!((shown.code.as_str(), shown.blocked), ("not_s3", false), "{shown:?}");
}

#[tokio::test]
async fn each_misleading_answer_has_its_name_in_the_connection_test_and_when_streaming() {
    let server = Responder::start(|_| Reply::html(403, "Blocked by policy")).await;
    let house = house(connector(&server.endpoint)).await;
    assert_eq!(failure(&house).await.code.as_str(), "not_s3");
    let https = Reply::new(400, "Client sent an HTTP request to an HTTPS server.\n");
    let full = Reply::error(
        507,
        "XMinioStorageFull",
        "Storage backend has reached its minimum free drive threshold.",
    );
    let sso = Reply::new(302, "").with("location", "https://sso.example.com/login");
    let class = Reply::new(
        501,
        "<Error><Code>NotImplemented</Code><Message>not implemented</Message><Header>x-amz-storage-class</Header></Error>",
    );
    for (reply, code, word) in [
        (Reply::html(403, "Blocked by policy"), "not_s3", "web console"),
        (Reply::new(404, "404 page not found\n"), "not_s3", "web console"),
        (sso, "not_s3", "sign-in page"),
        (Reply::new(407, ""), "not_s3", "HTTPS_PROXY"),
        (https, "tls", "https://"),
        (full, "store_full", "quota"),
        (
            Reply::error(403, "QuotaExceeded", "Bucket quota exceeded"),
            "store_full",
            "quota",
        ),
        (class, "not_implemented", "storage class"),
    ] {
        let answer = reply.clone();
        server.respond(move |_| answer.clone());
        let found = test(&house).await;
        assert_eq!(found.status, Outcome::Failure, "{reply:?}");
        assert!(
            found.error.as_ref().unwrap().hint.contains(word),
            "{reply:?}: {found:?}"
        );
        if code == "not_s3" {
            assert_eq!(
                found.steps[1].status,
                Outcome::Failure,
                "the store was not reached: {found:?}"
            );
        }
        let shown = next_failure(&house).await;
        assert_eq!(shown.code.as_str(), code, "{reply:?}: {shown:?}");
        assert!(shown.hint.contains(word), "{reply:?}: {shown:?}");
        let batch = house.batches().await.remove(0);
        assert!(
            batch.may_be_at.is_empty(),
            "it is certain that nothing was stored: {batch:?}"
        );
        let checked = check(&house).await;
        assert_eq!(checked.status, Outcome::Failure, "{reply:?}");
        // The response to a HEAD request cannot name a header.
        assert!(
            code == "not_implemented" || checked.error.as_ref().unwrap().hint.contains(word),
            "{reply:?}: {checked:?}"
        );
    }
}

#[tokio::test]
async fn tls_against_plain_text_and_the_reverse_are_explained() {
    let store = Store::start().await;
    let https = store.endpoint.replace("http://", "https://");
    let house = house(connector(&https)).await;
    let shown = failure(&house).await;
    assert_eq!(shown.code.as_str(), "tls", "{shown:?}");
    assert!(shown.hint.contains("http://"), "{shown:?}");
    assert!(house.batches().await[0].may_be_at.is_empty(), "nothing was sent");
    let found = test(&house).await;
    assert!(found.error.unwrap().hint.contains("http://"));
    // A TLS server answers plain HTTP with an alert.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = [0; 64];
            let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut head).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, &[21, 3, 1, 0, 2, 2, 70]).await;
        }
    });
    replace_connector(&house, connector(&endpoint)).await;
    let found = test(&house).await;
    let error = found.error.unwrap();
    assert!(error.hint.contains("https://"), "{error:?}");
}

#[tokio::test]
async fn wrong_key_told_valid() {
    let server = Responder::start(|_| Reply::error(403, "AccessDenied", "Forbidden: Invalid signature")).await;
    let house = house(connector(&server.endpoint)).await;
    let found = test(&house).await;
    assert_eq!(found.status, Outcome::Failure, "{found:?}");
    assert!(found.error.unwrap().hint.contains("secret key"));
    assert_eq!(failure(&house).await.code.as_str(), "credentials");
    // A store that says the same to everything proves nothing.
    server.respond(|_| Reply::error(403, "AccessDenied", "Access Denied."));
    let found = test(&house).await;
    assert!(!format!("{found:?}").contains("are valid"), "{found:?}");
    assert!(format!("{found:?}").contains("bucket check"), "{found:?}");
    // One that tells a wrong signature apart proves that the key is right.
    let seen = std::sync::atomic::AtomicUsize::new(0);
    server.respond(move |_| match seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Reply::error(403, "AccessDenied", "Access Denied."),
        _ => Reply::error(403, "SignatureDoesNotMatch", "no"),
    });
    let found = test(&house).await;
    assert_eq!(found.status, Outcome::Success, "{found:?}");
    assert!(format!("{found:?}").contains("are valid"), "{found:?}");
}

#[tokio::test]
async fn virtual_host_hint() {
    let store = Store::start().await;
    let mut input = connector(&store.endpoint.replace("127.0.0.1", "localhost"));
    input.spec.path_style = false;
    let house = house(input).await;
    assert_eq!(
        test(&house).await.status,
        Outcome::Success,
        "the list of buckets names no bucket"
    );
    let shown = failure(&house).await;
    assert!(shown.hint.contains("path style"), "{shown:?}");
    let error = check(&house).await.error.unwrap();
    assert!(error.hint.contains("path style"), "{error:?}");
}
