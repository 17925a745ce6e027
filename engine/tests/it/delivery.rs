//! Deliveries over slow and silent lines, with credentials that end early, and to places that are
//! edited while a PUT is in doubt (rules 5, 7, 10 and 16).

use std::time::{Duration, SystemTime};

use auditstream_engine::trail::search;
use auditstream_engine::{AwsSettings, Precondition, Timeouts, connectors, destinations};
use auditstream_model::{Backoff, Batch, ConnectorInput, EventFilter, Outcome, Status};
use auditstream_testkit::line::{Line, Quality};
use auditstream_testkit::s3::{BUCKET, NetworkFault, Proxy, Store};
use auditstream_testkit::sts::{ROLE, Sts};
use serde_json::json;

use crate::support::{House, On, connector, dense, destination, events};

/// Deadlines that pass within a test.
fn short() -> Timeouts {
    Timeouts {
        connect: Duration::from_millis(500),
        stall: Duration::from_millis(700),
        read: Duration::from_millis(700),
        whole: Duration::from_secs(2),
        slowest: 500_000,
    }
}

async fn house(timeouts: Timeouts) -> House {
    let settings = AwsSettings {
        timeouts,
        ..AwsSettings::default()
    };
    House::open_with(On::Sqlite, settings).await
}

/// A connector without retries.
fn impatient(endpoint: &str) -> ConnectorInput {
    let mut input = connector(endpoint);
    input.spec.backoff = Backoff::FixedDelay {
        fixed_backoff: 1,
        retry_count: 0,
    };
    input
}

async fn replace(house: &House, input: ConnectorInput) {
    connectors::replace(&house.engine, &house.admin, "aws", input, &Precondition::None)
        .await
        .unwrap();
}

/// Returns an event whose payload has about this number of bytes.
fn large(id: &str, bytes: usize) -> serde_json::Value {
    let mut event = events().remove(0);
    event["auditEventId"] = id.into();
    event["auditEventMetadata"]["filling"] = "x".repeat(bytes).into();
    event
}

async fn activate(house: &House, input: ConnectorInput, event: serde_json::Value) {
    connectors::create(&house.engine, &house.admin, input).await.unwrap();
    house.destination(BUCKET, json!({"compression": "none"})).await;
    house.send(&[event]).await;
    house.toggle(Status::Active).await;
}

async fn failed(house: &House, code: &str) -> Batch {
    house
        .settled(|item| {
            let failure = item.streaming_details.failure.as_ref();
            failure.is_some_and(|failure| failure.code.as_str() == code)
        })
        .await;
    house.batches().await.remove(0)
}

/// The upload takes longer than any deadline without progress, and lands at the first attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_that_moves_delivers_a_batch_at_the_first_attempt() {
    let store = Store::start().await;
    let line = Line::start(&store.endpoint, Quality::Slow(200_000)).await;
    let patience = Duration::from_secs(4);
    let house = house(Timeouts {
        connect: patience,
        stall: patience,
        read: patience,
        whole: patience,
        slowest: 50_000,
    })
    .await;
    let began = std::time::Instant::now();
    activate(&house, impatient(&line.endpoint), large("large", 1_000_000)).await;
    house.streamed().await;
    assert!(began.elapsed() > patience, "the line was not slow");
    assert_eq!(house.batches().await[0].attempts, 1);
    assert_eq!(store.objects(BUCKET).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_stalls_in_an_upload_is_named_as_too_slow_and_recovers() {
    let store = Store::start().await;
    let line = Line::start(&store.endpoint, Quality::Slow(20_000)).await;
    let house = house(Timeouts {
        whole: Duration::from_millis(500),
        slowest: 8_000_000,
        ..short()
    })
    .await;
    activate(&house, impatient(&line.endpoint), large("large", 1_000_000)).await;
    let batch = failed(&house, "network").await;
    let failure = batch.error.unwrap();
    assert!(failure.hint.contains("too slow"), "{failure:?}");
    line.quality.send_replace(Quality::Fast);
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
}

/// Rule 16: a silent line to the store ends each call within its deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_line_to_the_store_is_given_up_and_everything_recovers() {
    let store = Store::start().await;
    let line = Line::start(&store.endpoint, Quality::Fast).await;
    let house = house(short()).await;
    activate(&house, impatient(&line.endpoint), events().remove(0)).await;
    house.streamed().await;
    line.quality.send_replace(Quality::Silent);
    house.send(&[large("silent", 100)]).await;
    destinations::stream_now(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    let batch = failed(&house, "network").await;
    assert!(batch.error.unwrap().message.contains("timed out"));
    assert_eq!(batch.may_be_at.len(), 1, "the store may have received it");
    let tested = connectors::test(&house.engine, &house.admin, "aws").await.unwrap();
    assert_eq!(tested.steps[1].status, Outcome::Failure, "{tested:?}");
    let checked = destinations::check_bucket(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    assert_eq!(checked.status, Outcome::Failure);
    line.quality.send_replace(Quality::Fast);
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
}

/// Rule 16, for STS. A call of STS stores nothing, so that nothing is in doubt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_line_to_sts_is_given_up_and_everything_recovers() {
    let store = Store::start().await;
    let sts = Sts::start(&store.keys).await;
    let line = Line::start(&sts.endpoint, Quality::Silent).await;
    let settings = AwsSettings {
        timeouts: short(),
        sts_endpoint: Some(line.endpoint.clone()),
        ..AwsSettings::default()
    };
    let house = House::open_with(On::Sqlite, settings).await;
    let mut input = impatient(&store.endpoint);
    input.spec.cross_account = Some(serde_json::from_value(json!({"role_arn": ROLE})).unwrap());
    activate(&house, input, events().remove(0)).await;
    let shown = connectors::get(&house.engine, &house.admin, "aws").await.unwrap();
    sts.trust(ROLE, &shown.external_id);
    let batch = failed(&house, "network").await;
    assert!(batch.error.unwrap().hint.contains("STS"));
    assert_eq!((batch.attempts, batch.may_be_at.len()), (0, 0), "nothing was sent");
    line.quality.send_replace(Quality::Fast);
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
}

/// The credentials end at the store before their expiry: after a suspend, or by a late clock.
#[tokio::test]
async fn credentials_that_the_store_refuses_are_renewed_before_anything_is_noted() {
    let store = Store::start().await;
    let sts = Sts::start(&store.keys).await;
    let settings = AwsSettings {
        sts_endpoint: Some(sts.endpoint.clone()),
        ..AwsSettings::default()
    };
    let house = House::open_with(On::Sqlite, settings).await;
    let mut input = impatient(&store.endpoint);
    input.spec.cross_account = Some(serde_json::from_value(json!({"role_arn": ROLE})).unwrap());
    connectors::create(&house.engine, &house.admin, input).await.unwrap();
    let shown = connectors::get(&house.engine, &house.admin, "aws").await.unwrap();
    sts.trust(ROLE, &shown.external_id);
    house.destination(BUCKET, json!({})).await;
    house.send(&events()[..1]).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    let end = |store: &Store| {
        let mut keys = store.keys.lock().unwrap();
        for (_, key) in keys.iter_mut().filter(|(name, _)| name.starts_with("ASIA")) {
            key.expires = Some(SystemTime::now() - Duration::from_secs(1));
        }
    };
    end(&store);
    house.send(&events()[1..2]).await;
    house.streamed().await;
    assert_eq!(house.batches().await[0].attempts, 2, "once more, with new credentials");
    assert_eq!(sts.calls("AssumeRole"), 2);
    end(&store);
    let checked = destinations::check_bucket(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    assert_eq!(checked.status, Outcome::Success, "{checked:?}");
    for action in ["STREAMING_FAILED", "STREAMING_RECOVERED"] {
        let filter = EventFilter {
            action: Some(action.into()),
            ..EventFilter::default()
        };
        let found = search(&house.engine, &house.admin, &filter).await.unwrap().events;
        assert!(found.is_empty(), "{action}");
    }
    let keys = store.keys.lock().unwrap();
    let session = format!("{ROLE}/auditstream@default.aws");
    assert!(
        keys.values().any(|key| key.arn == session),
        "CloudTrail shows who wrote"
    );
}

#[tokio::test]
async fn a_connection_that_was_refused_leaves_nothing_in_doubt() {
    let store = Store::start().await;
    let proxy = Proxy::start(&store).await;
    let house = house(Timeouts::default()).await;
    activate(&house, impatient("http://127.0.0.1:1"), large("large", 900_000)).await;
    let batch = failed(&house, "network").await;
    assert!(batch.may_be_at.is_empty(), "{batch:?}");
    replace(&house, impatient(&proxy.endpoint)).await;
    house.streamed().await;
    proxy.next(&[NetworkFault::ResetAfter]);
    house.send(&[large("sent", 900_000)]).await;
    destinations::stream_now(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    let batch = failed(&house, "network").await;
    assert_eq!(batch.may_be_at.len(), 1, "it was sent: {batch:?}");
    house.streamed().await;
}

/// B is the place of the edit, A the one at which the response was lost.
#[tokio::test]
async fn after_an_edit_a_batch_says_where_else_its_object_may_be() {
    let store = Store::start().await;
    let proxy = Proxy::start(&store).await;
    let house = house(Timeouts::default()).await;
    proxy.next(&[NetworkFault::LostAnswer]);
    activate(&house, impatient(&proxy.endpoint), large("large", 900_000)).await;
    let batch = failed(&house, "network").await;
    let first = format!("{}/{BUCKET}/{}", proxy.endpoint, batch.key);
    assert_eq!(batch.may_be_at, [first.as_str()]);
    let mut input = destination(BUCKET, json!({"compression": "none", "prefix": "new/"}));
    input.status = None;
    destinations::replace(&house.engine, &house.admin, "siem", input, &Precondition::None)
        .await
        .unwrap();
    house.streamed().await;
    let moved = house.batches().await.pop().unwrap();
    assert_eq!((moved.may_be_at, moved.verified), (vec![first], Some(true)));
    assert!(store.objects(BUCKET).contains_key(&format!("new/{}", moved.key)));
    assert!(store.objects(BUCKET).contains_key(&moved.key), "it is there twice");
}

/// That a PUT was in doubt elsewhere proves nothing about an object that cannot be read here.
#[tokio::test]
async fn a_doubt_does_not_move_with_an_edit() {
    let store = Store::start().await;
    let proxy = Proxy::start(&store).await;
    let house = house(Timeouts::default()).await;
    proxy.next(&[NetworkFault::LostAnswer]);
    activate(&house, impatient(&proxy.endpoint), large("large", 900_000)).await;
    let batch = failed(&house, "network").await;
    let path = store.path(BUCKET, &format!("new/{}", batch.key));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "another writer's").unwrap();
    proxy.state.lock().unwrap().denied = vec!["HEAD", "GET"];
    let mut input = destination(BUCKET, json!({"compression": "none", "prefix": "new/"}));
    input.status = None;
    destinations::replace(&house.engine, &house.admin, "siem", input, &Precondition::None)
        .await
        .unwrap();
    let blocked = failed(&house, "object_exists").await;
    assert_eq!(blocked.verified, None, "{blocked:?}");
}
