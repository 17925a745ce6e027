//! Rules 5 to 8, 10, 12 and 15.

use std::sync::atomic::Ordering;
use std::time::Duration;

use auditstream_engine::trail::search;
use auditstream_engine::{destinations, trail};
use auditstream_model::{BatchStatus, Code, EventFilter, ListQuery, Status};
use serde_json::json;

use crate::support::{BUCKET, Fault, House, Store, connector, dense, destination, events};

async fn ready(spec: serde_json::Value) -> (House, Store) {
    let (house, store) = (House::open().await, Store::start().await);
    house.connect(&store).await;
    house.destination(BUCKET, spec).await;
    (house, store)
}

#[tokio::test]
async fn every_event_lands_once_valid_and_in_order() {
    let (house, store) = ready(json!({})).await;
    house.send(&events()).await;
    assert!(
        store.objects(BUCKET).is_empty(),
        "inactive by default: nothing is written"
    );
    house.toggle(Status::Active).await;
    house.streamed().await;
    let landed = store.events(BUCKET);
    assert!(dense(&store.sequences(BUCKET)));
    let schema = serde_json::from_str(include_str!("payload.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for event in &landed {
        assert!(schema.is_valid(event), "{event}");
    }
    for sent in events() {
        let mut found = landed
            .iter()
            .find(|event| event["auditEventId"] == sent["auditEventId"])
            .cloned()
            .unwrap();
        for added in ["sequence", "batchId"] {
            assert!(
                found["auditEventMetadata"]
                    .as_object_mut()
                    .unwrap()
                    .remove(added)
                    .is_some()
            );
        }
        assert_eq!(found, sent, "what is streamed is what was ingested");
    }
}

#[tokio::test]
async fn streaming_from_now_begins_with_the_activation_itself() {
    let (house, store) = ready(json!({"start_at": "now"})).await;
    house.send(&events()[..5]).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    let landed = store.events(BUCKET);
    assert_eq!(
        landed[0]["auditEventMetadata"]["difference"],
        json!({"old": {"status": "INACTIVE"}, "new": {"status": "ACTIVE"}})
    );
    assert!(
        !landed
            .iter()
            .any(|event| event["auditEventId"] == events()[0]["auditEventId"])
    );
}

#[tokio::test]
async fn a_paused_destination_continues_where_it_stopped() {
    let (house, store) = ready(json!({})).await;
    house.send(&events()[..10]).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    house.toggle(Status::Inactive).await;
    let before = (store.objects(BUCKET), store.puts.load(Ordering::SeqCst));
    house.send(&events()[10..20]).await;
    let refused = destinations::stream_now(&house.engine, &house.admin, "siem")
        .await
        .unwrap_err()
        .problem();
    assert_eq!(refused.code, Code::Conflict);
    assert_eq!((store.objects(BUCKET), store.puts.load(Ordering::SeqCst)), before);
    let house = house.restart().await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
    let pause = json!({"old": {"status": "ACTIVE"}, "new": {"status": "INACTIVE"}});
    assert!(
        store
            .events(BUCKET)
            .iter()
            .any(|event| event["auditEventMetadata"]["difference"] == pause),
        "the pause itself is delivered"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_never_waits_for_the_store_and_nothing_begins_after_it() {
    let (house, store) = ready(json!({})).await;
    store.next(&[Fault::Hold]);
    house.send(&events()).await;
    house.toggle(Status::Active).await;
    while store.puts.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::timeout(Duration::from_secs(5), house.toggle(Status::Inactive))
        .await
        .expect("the pause waited for the store");
    store.release.add_permits(1);
    house.send(&[later_event()]).await;
    let held = house
        .settled(|item| item.streaming_details.status == Some(BatchStatus::Success))
        .await;
    assert!(held.streaming_details.behind.unwrap() > 0);
    assert_eq!(store.puts.load(Ordering::SeqCst), 1);
    house.toggle(Status::Active).await;
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
}

fn later_event() -> serde_json::Value {
    let mut event = events().remove(0);
    event["auditEventId"] = "later".into();
    event
}

#[tokio::test]
async fn a_destination_that_fails_keeps_its_events_and_says_so_until_it_recovers() {
    let (house, store) = ready(json!({})).await;
    store.next(&[Fault::Deny]);
    house.send(&events()).await;
    house.toggle(Status::Active).await;
    let failing = house.settled(|item| item.streaming_details.failure.is_some()).await;
    let failure = failing.streaming_details.failure.unwrap();
    assert_eq!(failure.code, "access_denied");
    assert!(failure.hint.contains("s3:PutObject"));
    assert_eq!(
        destinations::cards(&house.engine, &house.admin)
            .await
            .unwrap()
            .failure_info_card
            .count,
        1
    );
    assert!(store.objects(BUCKET).is_empty());
    house.streamed().await;
    // The recovery's own event waits for the next run.
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
    let actions: Vec<_> = store
        .events(BUCKET)
        .iter()
        .map(|event| event["auditAction"].as_str().unwrap().to_owned())
        .collect();
    for action in ["STREAMING_FAILED", "STREAMING_RECOVERED"] {
        assert_eq!(actions.iter().filter(|found| *found == action).count(), 1, "{action}");
    }
}

#[tokio::test]
async fn an_object_that_is_there_with_our_content_is_delivered_once() {
    let (house, store) = ready(json!({})).await;
    store.next(&[Fault::LoseAnswer, Fault::Refuse]);
    house.send(&events()).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    let batches = destinations::batches(&house.engine, &house.admin, "siem", &ListQuery::default())
        .await
        .unwrap();
    let first = batches.items.last().unwrap();
    assert_eq!((first.attempts, first.verified), (3, Some(true)));
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
}

#[tokio::test]
async fn an_object_that_is_there_with_other_content_blocks_visibly() {
    let (house, store) = ready(json!({})).await;
    store.next(&[Fault::Deny]);
    house.send(&events()).await;
    house.toggle(Status::Active).await;
    house.settled(|item| item.streaming_details.failure.is_some()).await;
    let key = destinations::batches(&house.engine, &house.admin, "siem", &ListQuery::default())
        .await
        .unwrap()
        .items[0]
        .key
        .clone();
    let path = store.path(BUCKET, &key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "somebody else's").unwrap();
    destinations::stream_now(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    let blocked = house
        .settled(|item| {
            item.streaming_details
                .failure
                .as_ref()
                .is_some_and(|failure| failure.blocked)
        })
        .await;
    assert_eq!(blocked.streaming_details.failure.unwrap().code, "object_exists");
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "somebody else's",
        "it was not overwritten"
    );
    std::fs::remove_file(&path).unwrap();
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
}

#[tokio::test]
async fn a_mistyped_bucket_is_mended_by_editing_it() {
    let (house, store) = (House::open().await, Store::start().await);
    house.connect(&store).await;
    house.destination("audit-lgos", json!({"prefix": "siem/"})).await;
    house.send(&events()).await;
    house.toggle(Status::Active).await;
    let failing = house.settled(|item| item.streaming_details.failure.is_some()).await;
    assert_eq!(failing.streaming_details.failure.unwrap().code, "no_such_bucket");
    let mut mended = destination(BUCKET, json!({}));
    mended.status = Status::Active;
    destinations::replace(&house.engine, &house.admin, "siem", mended)
        .await
        .unwrap();
    house.streamed().await;
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
    assert!(
        store
            .objects(BUCKET)
            .keys()
            .all(|key| key.starts_with("siem/account=default/dt="))
    );
}

#[tokio::test]
async fn a_cursor_moved_meanwhile_is_not_moved_again() {
    let (house, store) = ready(json!({})).await;
    store.next(&[Fault::Hold]);
    house.send(&events()).await;
    house.toggle(Status::Active).await;
    while store.puts.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.toggle(Status::Inactive).await;
    destinations::move_cursor(&house.engine, &house.admin, "siem", 0)
        .await
        .unwrap();
    store.release.add_permits(1);
    while store.objects(BUCKET).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.toggle(Status::Active).await;
    house.streamed().await;
    let of_new_life: Vec<i64> = {
        let mut sequences = store.sequences(BUCKET);
        sequences.sort_unstable();
        sequences.dedup();
        sequences
    };
    assert!(dense(&of_new_life), "the answer that came late moved no cursor");
    let uids: std::collections::BTreeSet<_> = store
        .objects(BUCKET)
        .keys()
        .map(|key| key.rsplit('_').next().unwrap().to_owned())
        .collect();
    assert_eq!(uids.len(), 2, "a replay has keys of its own");
}

#[tokio::test]
async fn formats_and_compressions_are_told_by_the_key() {
    for (format, compression, ending) in [
        ("ndjson", "zstd", ".ndjson.zst"),
        ("json_array", "none", ".json"),
        ("json_array", "gzip", ".json.gz"),
    ] {
        let (house, store) = ready(json!({"format": format, "compression": compression})).await;
        house.send(&events()[..4]).await;
        house.toggle(Status::Active).await;
        house.streamed().await;
        let objects = store.objects(BUCKET);
        assert!(objects.keys().all(|key| key.ends_with(ending)), "{objects:?}");
        if ending == ".json" {
            let array: Vec<serde_json::Value> = serde_json::from_slice(objects.values().next().unwrap()).unwrap();
            assert!(array.len() >= 4);
        }
    }
}

#[tokio::test]
async fn a_batch_closes_at_its_bytes() {
    let (house, store) = ready(json!({"compression": "none"})).await;
    for number in 0..20 {
        let mut event = later_event();
        event["auditEventId"] = format!("large {number}").into();
        event["auditEventMetadata"]["filling"] = "x".repeat(1_000_000).into();
        house.send(&[event]).await;
    }
    house.toggle(Status::Active).await;
    house.streamed().await;
    let objects = store.objects(BUCKET);
    assert_eq!(objects.len(), 2);
    assert!(objects.values().all(|object| object.len() <= 16 << 20));
    assert!(dense(&store.sequences(BUCKET)));
}

#[tokio::test]
async fn every_change_is_an_audit_event() {
    let (house, store) = ready(json!({})).await;
    house.toggle(Status::Active).await;
    house.toggle(Status::Inactive).await;
    destinations::move_cursor(&house.engine, &house.admin, "siem", 0)
        .await
        .unwrap();
    let refused = destinations::create(&house.engine, &house.admin, destination(BUCKET, json!({})))
        .await
        .unwrap_err()
        .problem();
    assert_eq!(refused.code, Code::DuplicateField);
    destinations::delete(&house.engine, &house.admin, "siem").await.unwrap();
    let filter = EventFilter {
        resource: Some("siem".into()),
        ..EventFilter::default()
    };
    let mut actions: Vec<String> = search(&house.engine, &house.admin, &filter)
        .await
        .unwrap()
        .events
        .into_iter()
        .map(|event| event.action)
        .collect();
    actions.reverse();
    assert_eq!(actions, ["CREATE", "UPDATE", "UPDATE", "UPDATE", "DELETE"]);
    let all = search(
        &house.engine,
        &house.admin,
        &EventFilter {
            limit: Some(100),
            ..EventFilter::default()
        },
    )
    .await
    .unwrap();
    assert!(
        all.events
            .iter()
            .all(|event| !event.json.contains(crate::support::SECRET))
    );
    drop(store);
}

#[tokio::test]
async fn the_same_identifier_made_again_starts_afresh() {
    let (house, store) = ready(json!({})).await;
    house.send(&events()[..3]).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    let active = destinations::delete(&house.engine, &house.admin, "siem")
        .await
        .unwrap_err()
        .problem();
    assert!(active.detail.contains("cannot be deleted because it is active"));
    house.toggle(Status::Inactive).await;
    destinations::delete(&house.engine, &house.admin, "siem").await.unwrap();
    house.destination(BUCKET, json!({})).await;
    let view = destinations::aggregate(&house.engine, &house.admin, &ListQuery::default())
        .await
        .unwrap();
    assert_eq!(view.items[0].streaming_details.cursor, None);
    assert_eq!(view.items[0].streaming_details.last_streamed_at, None);
    let unknown = destinations::create(&house.engine, &house.admin, {
        let mut other = destination(BUCKET, json!({}));
        other.identifier = "other".into();
        other.connector_ref = "nowhere".into();
        other
    });
    assert!(unknown.await.unwrap_err().problem().of("connector_ref").is_some());
    drop(store);
}

#[tokio::test]
async fn switched_off_nothing_is_seen_and_nothing_is_sent() {
    let (house, store) = ready(json!({})).await;
    house.engine.close().await;
    let off = auditstream_engine::Config {
        streaming_enabled: false,
        ..crate::support::config(house.folder.path())
    };
    let engine = auditstream_engine::Engine::open(off).await.unwrap();
    let background = engine.start();
    let refused = destinations::set_status(&engine, &house.admin, "siem", Status::Active)
        .await
        .unwrap_err()
        .problem();
    assert_eq!((refused.code, refused.status), (Code::FeatureDisabled, 404));
    assert!(
        trail::search(&engine, &house.admin, &EventFilter::default())
            .await
            .is_ok()
    );
    background.stop().await;
    assert_eq!(store.puts.load(Ordering::SeqCst), 0);
    assert!(connector("http://x").parse().is_ok());
}
