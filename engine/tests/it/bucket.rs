//! The bucket check, and the repairs when an object already exists.

use std::io::{Read as _, Write as _};

use auditstream_engine::Precondition;
use auditstream_engine::destinations;
use auditstream_engine::trail::search;
use auditstream_model::{BucketCheck, BucketCheckInput, Code, EventFilter, Outcome, SpecInput, Status};
use serde_json::json;

use crate::faults::house;
use crate::support::{House, connector, dense, destination, events};
use auditstream_testkit::s3::Proxy;
use auditstream_testkit::s3::{BUCKET, Fault, SECRET, Store};

async fn check(house: &House) -> BucketCheck {
    destinations::check_bucket(&house.engine, &house.admin, "siem")
        .await
        .unwrap()
}

async fn remembered(house: &House) -> Option<bool> {
    house.settled(|_| true).await.streaming_details.conditional_writes
}

fn of(check: &BucketCheck, name: &str) -> (Outcome, String) {
    let step = check.steps.iter().find(|step| step.name.contains(name)).unwrap();
    (step.status, step.detail.clone())
}

async fn scene() -> (House, Store, Proxy) {
    let store = Store::start().await;
    let proxy = Proxy::start(&store).await;
    let house = house(&proxy.endpoint).await;
    house.destination(BUCKET, json!({"prefix": "siem/"})).await;
    (house, store, proxy)
}

#[tokio::test]
async fn a_working_bucket_passes_every_step_and_is_left_empty() {
    let (house, store, _proxy) = scene().await;
    assert_eq!(remembered(&house).await, None);
    let found = check(&house).await;
    assert_eq!(found.status, Outcome::Success, "{found:?}");
    assert!(found.steps.iter().all(|step| step.status == Outcome::Success));
    assert_eq!((found.conditional_writes, found.policy), (Some(true), None));
    assert_eq!(remembered(&house).await, Some(true));
    assert!(store.objects(BUCKET).is_empty());
    let filter = EventFilter {
        action: Some("TEST".into()),
        ..EventFilter::default()
    };
    let audited = search(&house.engine, &house.admin, &filter).await.unwrap().events;
    assert_eq!(audited.len(), 1, "the check is an audit event");
    assert!(audited[0].json.contains("siem") && !audited[0].json.contains(SECRET));
}

#[tokio::test]
async fn a_denied_action_is_reported_with_the_policy_that_allows_it() {
    let (house, store, proxy) = scene().await;
    let deny = |methods: &[&'static str]| proxy.state.lock().unwrap().denied = methods.to_vec();
    deny(&["PUT"]);
    let found = check(&house).await;
    assert_eq!(found.status, Outcome::Failure);
    assert_eq!(found.missing_actions, ["s3:PutObject"]);
    assert_eq!(
        (of(&found, "Write an").0, of(&found, "Read").0),
        (Outcome::Failure, Outcome::Skipped)
    );
    let statement: serde_json::Value = serde_json::from_str(found.policy.as_ref().unwrap()).unwrap();
    assert_eq!(statement["Statement"][0]["Resource"], "arn:aws:s3:::audit-logs/siem/*");
    assert!(found.error.unwrap().hint.contains("s3:PutObject"));
    assert_eq!(remembered(&house).await, None, "it did not come that far");
    deny(&["GET"]);
    let found = check(&house).await;
    assert_eq!(found.missing_actions, ["s3:GetObject"]);
    assert_eq!(
        (of(&found, "Read").0, of(&found, "only if").0),
        (Outcome::Failure, Outcome::Success)
    );
    deny(&["DELETE"]);
    let found = check(&house).await;
    assert_eq!(found.status, Outcome::Success, "the probe may stay: {found:?}");
    assert!(of(&found, "Delete").1.contains("s3:DeleteObject"));
    assert_eq!(store.objects(BUCKET).len(), 1);
    let again = check(&house).await;
    assert_eq!(
        again.status,
        Outcome::Success,
        "a probe that stayed is no fault: {again:?}"
    );
}

#[tokio::test]
async fn a_store_that_ignores_the_condition_is_detected_and_remembered() {
    let (house, _store, proxy) = scene().await;
    proxy.state.lock().unwrap().ignores_condition = true;
    let found = check(&house).await;
    assert_eq!(found.conditional_writes, Some(false));
    assert_eq!(of(&found, "only if").0, Outcome::Failure);
    assert_eq!(remembered(&house).await, Some(false));
    destinations::replace(
        &house.engine,
        &house.admin,
        "siem",
        destination("other-bucket", json!({})),
        &Precondition::None,
    )
    .await
    .unwrap();
    assert_eq!(remembered(&house).await, None, "another bucket may be another store's");
}

/// Rule 7: each of the two waits for the store while the other one runs.
#[tokio::test]
async fn two_concurrent_checks_of_one_prefix_do_not_interfere() {
    let store = Store::start().await;
    let house = house(&store.endpoint).await;
    house.destination(BUCKET, json!({"prefix": "siem/"})).await;
    // The first PUT writes the probe; the second writes it again with a condition.
    for held in [&[Fault::HoldAnswer][..], &[Fault::Pass, Fault::Hold]] {
        store.next(held);
        let before = store.puts.load(std::sync::atomic::Ordering::SeqCst);
        let one = async {
            let found = check(&house).await;
            (found, remembered(&house).await)
        };
        let other = async {
            store.reached(before + held.len()).await;
            let found = check(&house).await;
            let then = remembered(&house).await;
            store.release.add_permits(1);
            (found, then)
        };
        let (one, other) = tokio::join!(one, other);
        for (found, remembered) in [one, other] {
            assert_eq!(found.status, Outcome::Success, "{found:?}");
            assert_eq!((found.conditional_writes, remembered), (Some(true), Some(true)));
        }
        assert!(store.objects(BUCKET).is_empty(), "nothing is left");
    }
}

#[tokio::test]
async fn a_bucket_in_another_region_or_missing_is_reported() {
    let (house, _store, proxy) = scene().await;
    proxy.state.lock().unwrap().region = Some("eu-central-1".into());
    let found = check(&house).await;
    assert_eq!(found.status, Outcome::Success, "{found:?}");
    assert!(of(&found, "region").1.contains("eu-central-1"));
    assert!(
        proxy
            .state
            .lock()
            .unwrap()
            .regions
            .iter()
            .all(|region| region == "eu-central-1")
    );
    proxy.state.lock().unwrap().region = None;
    let unsaved = BucketCheckInput {
        connector_ref: "aws".into(),
        spec: SpecInput {
            bucket: "no-such-bucket".into(),
            ..SpecInput::default()
        },
    };
    let found = destinations::check_unsaved_bucket(&house.engine, &house.admin, unsaved.clone())
        .await
        .unwrap();
    assert_eq!(
        (of(&found, "region").0, of(&found, "Write an").0),
        (Outcome::Failure, Outcome::Skipped)
    );
    let nonsense = BucketCheckInput {
        connector_ref: "nowhere".into(),
        ..unsaved
    };
    let refused = destinations::check_unsaved_bucket(&house.engine, &house.admin, nonsense).await;
    assert!(refused.unwrap_err().problem().of("connector_ref").is_some());
}

#[tokio::test]
async fn wrong_credentials_and_an_unreachable_store_are_distinguished() {
    let (house, _store, proxy) = scene().await;
    let mut wrong = connector(&proxy.endpoint);
    wrong.spec.credentials =
        serde_json::from_value(json!({"type": "MANUAL", "access_key": "AKIATEST", "secret_key": "wrong"})).unwrap();
    auditstream_engine::connectors::replace(&house.engine, &house.admin, "aws", wrong, &Precondition::None)
        .await
        .unwrap();
    let found = check(&house).await;
    assert_eq!(
        (of(&found, "Reach").0, of(&found, "credentials").0),
        (Outcome::Success, Outcome::Failure)
    );
    auditstream_engine::connectors::replace(
        &house.engine,
        &house.admin,
        "aws",
        connector("http://127.0.0.1:1"),
        &Precondition::None,
    )
    .await
    .unwrap();
    let found = check(&house).await;
    assert_eq!(
        (of(&found, "Reach").0, of(&found, "credentials").0),
        (Outcome::Failure, Outcome::Skipped)
    );
}

#[tokio::test]
async fn an_object_of_another_compressor_version_with_the_same_content_is_delivered() {
    for keeps_metadata in [true, false] {
        let store = Store::start().await;
        let house = house(&store.endpoint).await;
        house.destination(BUCKET, json!({})).await;
        store.next(&[Fault::LoseAnswer]);
        house.send(&events()).await;
        house.toggle(Status::Active).await;
        house.settled(|item| item.streaming_details.failure.is_some()).await;
        let (key, bytes) = store.objects(BUCKET).pop_first().unwrap();
        let mut content = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_slice())
            .read_to_end(&mut content)
            .unwrap();
        let mut other = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(1));
        other.write_all(&content).unwrap();
        let other = other.finish().unwrap();
        assert_ne!(other, bytes);
        std::fs::write(store.path(BUCKET, &key), &other).unwrap();
        if !keeps_metadata {
            store.forget_metadata();
        }
        house.streamed().await;
        assert_eq!(store.objects(BUCKET)[&key], other, "it was not written again");
        let batches = house.batches().await;
        let first = batches.last().unwrap();
        assert_eq!(
            (first.verified, first.attempts),
            (Some(true), 2),
            "metadata: {keeps_metadata}"
        );
        house.streamed().await;
        assert!(dense(&store.sequences(BUCKET)));
    }
}

#[tokio::test]
async fn a_blocked_batch_is_sent_under_a_new_name() {
    let store = Store::start().await;
    let house = house(&store.endpoint).await;
    house.destination(BUCKET, json!({})).await;
    store.next(&[Fault::Deny]);
    house.send(&events()).await;
    house.toggle(Status::Active).await;
    house.settled(|item| item.streaming_details.failure.is_some()).await;
    let rename = async |number| destinations::rename_batch(&house.engine, &house.admin, "siem", number).await;
    let frozen = house.batches().await.remove(0);
    let denied = rename(frozen.number).await.unwrap_err().problem();
    assert_eq!(denied.code, Code::Conflict, "it fails, but no object has its name");
    let path = store.path(BUCKET, &frozen.key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "another writer's").unwrap();
    destinations::stream_now(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    house
        .settled(|item| {
            item.streaming_details
                .failure
                .as_ref()
                .is_some_and(|failure| failure.blocked)
        })
        .await;
    rename(frozen.number).await.unwrap();
    // The run continues by itself.
    house.settled(|item| item.streaming_details.failure.is_none()).await;
    house.streamed().await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "another writer's");
    std::fs::remove_file(&path).unwrap();
    assert!(dense(&store.sequences(BUCKET)));
    let all = house.batches().await;
    let renamed = all.iter().find(|batch| batch.number == frozen.number).unwrap();
    assert_eq!(
        (renamed.first_sequence, renamed.last_sequence, renamed.created),
        (frozen.first_sequence, frozen.last_sequence, frozen.created)
    );
    let uid = |key: &str| key.rsplit('_').next().unwrap().to_owned();
    assert_ne!(uid(&renamed.key), uid(&frozen.key));
    assert_eq!(
        uid(&all[0].key),
        uid(&frozen.key),
        "later batches keep the destination's own"
    );
    assert_eq!(rename(frozen.number).await.unwrap_err().problem().code, Code::Conflict);
    assert_eq!(rename(99).await.unwrap_err().problem().code, Code::NotFound);
}
