//! Rules 5 to 8, 10, 12 and 15.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use auditstream_engine::Precondition;
use auditstream_engine::trail::search;
use auditstream_engine::{connectors, destinations, trail};
use auditstream_model::{AggregateItem, Backoff, BatchStatus, Code, CredentialsInput, EventFilter, ListQuery, Status};
use serde_json::json;

use crate::on_both;
use crate::support::{House, connector, dense, destination, events};
use auditstream_testkit::s3::{BUCKET, Fault, SECRET, Store, lines};

async fn ready(house: &House, spec: serde_json::Value) -> Store {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, spec).await;
    store
}

fn later_event() -> serde_json::Value {
    let mut event = events().remove(0);
    event["auditEventId"] = "later".into();
    event
}

on_both![
    every_event_lands_once_valid_and_in_order,
    streaming_from_now_begins_with_the_activation_itself,
    a_paused_destination_resumes_where_it_stopped,
    a_pause_never_waits_for_the_store_and_no_put_starts_after_it,
    a_failing_destination_keeps_its_events_and_shows_the_failure_until_it_recovers,
    an_existing_object_with_our_content_counts_as_delivered,
    an_existing_object_with_other_content_blocks_visibly,
    a_mistyped_bucket_is_corrected_by_editing,
    a_cursor_moved_by_another_writer_is_left_alone,
    the_key_shows_format_and_compression,
    a_batch_closes_at_its_byte_limit,
    every_change_is_an_audit_event,
    a_recreated_identifier_starts_from_the_beginning,
    with_streaming_disabled_nothing_is_shown_or_sent,
    an_interrupted_run_resumes_at_the_next_start,
    a_skip_still_reports_the_recovery,
    a_missing_event_stops_its_destination_visibly,
    an_unreadable_row_stops_its_destination_visibly,
    a_clock_that_is_set_back_does_not_stop_the_ticks,
];

async fn every_event_lands_once_valid_and_in_order(house: House) {
    let store = ready(&house, json!({})).await;
    house.send(&events()).await;
    assert!(
        store.objects(BUCKET).is_empty(),
        "inactive by default: nothing is written"
    );
    house.toggle(Status::Active).await;
    house.streamed().await;
    let landed = store.events(BUCKET);
    assert!(dense(&store.sequences(BUCKET)));
    let schema = serde_json::from_str(auditstream_testkit::events::PAYLOAD_SCHEMA).unwrap();
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

async fn streaming_from_now_begins_with_the_activation_itself(house: House) {
    let store = ready(&house, json!({"start_at": "now"})).await;
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

async fn a_paused_destination_resumes_where_it_stopped(house: House) {
    let store = ready(&house, json!({})).await;
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

async fn a_pause_never_waits_for_the_store_and_no_put_starts_after_it(house: House) {
    let store = ready(&house, json!({})).await;
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

async fn a_failing_destination_keeps_its_events_and_shows_the_failure_until_it_recovers(house: House) {
    let store = ready(&house, json!({})).await;
    store.next(&[Fault::Deny]);
    house.send(&events()).await;
    house.toggle(Status::Active).await;
    let failing = house.settled(|item| item.streaming_details.failure.is_some()).await;
    let failure = failing.streaming_details.failure.unwrap();
    assert_eq!(failure.code.as_str(), "access_denied");
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
    // The event of the recovery waits for the next run.
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

async fn an_existing_object_with_our_content_counts_as_delivered(house: House) {
    let store = ready(&house, json!({})).await;
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

async fn an_existing_object_with_other_content_blocks_visibly(house: House) {
    let store = ready(&house, json!({})).await;
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
    std::fs::write(&path, "another writer's").unwrap();
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
    assert_eq!(
        blocked.streaming_details.failure.unwrap().code.as_str(),
        "object_exists"
    );
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "another writer's",
        "it was not overwritten"
    );
    std::fs::remove_file(&path).unwrap();
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
}

async fn a_mistyped_bucket_is_corrected_by_editing(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination("audit-lgos", json!({"prefix": "siem/"})).await;
    house.send(&events()).await;
    house.toggle(Status::Active).await;
    let failing = house.settled(|item| item.streaming_details.failure.is_some()).await;
    assert_eq!(
        failing.streaming_details.failure.unwrap().code.as_str(),
        "no_such_bucket"
    );
    let mut corrected = destination(BUCKET, json!({}));
    corrected.status = Some(Status::Active);
    destinations::replace(&house.engine, &house.admin, "siem", corrected, &Precondition::None)
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

async fn a_cursor_moved_by_another_writer_is_left_alone(house: House) {
    let store = ready(&house, json!({})).await;
    store.next(&[Fault::Hold]);
    house.send(&events()).await;
    house.toggle(Status::Active).await;
    while store.puts.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.toggle(Status::Inactive).await;
    destinations::move_cursor(&house.engine, &house.admin, "siem", 0, &Precondition::None)
        .await
        .unwrap();
    store.release.add_permits(1);
    while store.objects(BUCKET).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.toggle(Status::Active).await;
    house.streamed().await;
    let mut lives: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (key, object) in store.objects(BUCKET) {
        let uid = key.rsplit('_').next().unwrap().to_owned();
        let sequences = lines(&key, &object)
            .iter()
            .map(|event| event["auditEventMetadata"]["sequence"].as_i64().unwrap())
            .collect::<Vec<_>>();
        lives.entry(uid).or_default().extend(sequences);
    }
    assert_eq!(lives.len(), 2, "a replay has separate keys");
    let last = store.sequences(BUCKET).into_iter().max().unwrap();
    let whole: Vec<i64> = (1..=last).collect();
    assert!(
        lives.values().any(|sequences| *sequences == whole),
        "the answer that came late moved the cursor: {lives:?}"
    );
}

async fn the_key_shows_format_and_compression(house: House) {
    for (format, compression, ending) in [
        ("ndjson", "zstd", ".ndjson.zst"),
        ("json_array", "none", ".json"),
        ("json_array", "gzip", ".json.gz"),
    ] {
        let house = House::open(house.on).await;
        let store = ready(&house, json!({"format": format, "compression": compression})).await;
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

async fn a_batch_closes_at_its_byte_limit(house: House) {
    let store = ready(&house, json!({"compression": "none"})).await;
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

async fn every_change_is_an_audit_event(house: House) {
    let store = ready(&house, json!({})).await;
    house.toggle(Status::Active).await;
    house.toggle(Status::Inactive).await;
    destinations::move_cursor(&house.engine, &house.admin, "siem", 0, &Precondition::None)
        .await
        .unwrap();
    let refused = destinations::create(&house.engine, &house.admin, destination(BUCKET, json!({})))
        .await
        .unwrap_err()
        .problem();
    assert_eq!(refused.code, Code::DuplicateField);
    destinations::delete(&house.engine, &house.admin, "siem", &Precondition::None)
        .await
        .unwrap();
    connectors::test(&house.engine, &house.admin, "aws").await.unwrap();
    let actions = async |resource: &str| {
        let filter = EventFilter {
            resource: Some(resource.to_owned()),
            ..EventFilter::default()
        };
        let found = search(&house.engine, &house.admin, &filter).await.unwrap();
        let oldest_first = found.events.into_iter().rev();
        oldest_first.map(|event| event.action).collect::<Vec<_>>()
    };
    assert_eq!(
        actions("siem").await,
        ["CREATE", "UPDATE", "UPDATE", "UPDATE", "DELETE"]
    );
    assert_eq!(actions("aws").await, ["CREATE", "TEST"]);
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
    assert!(all.events.iter().all(|event| !event.json.contains(SECRET)));
    drop(store);
}

async fn a_recreated_identifier_starts_from_the_beginning(house: House) {
    let store = ready(&house, json!({})).await;
    house.send(&events()[..3]).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    let active = destinations::delete(&house.engine, &house.admin, "siem", &Precondition::None)
        .await
        .unwrap_err()
        .problem();
    assert!(active.detail.contains("cannot be deleted because it is active"));
    house.toggle(Status::Inactive).await;
    destinations::delete(&house.engine, &house.admin, "siem", &Precondition::None)
        .await
        .unwrap();
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

async fn with_streaming_disabled_nothing_is_shown_or_sent(house: House) {
    let store = ready(&house, json!({})).await;
    let mut house = house;
    house.stop().await;
    let off = auditstream_engine::Config {
        streaming_enabled: false,
        ..house.config.clone()
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
}

/// Rule 10: after a restart the run does not wait for the next tick, which is an hour away here.
async fn an_interrupted_run_resumes_at_the_next_start(house: House) {
    let store = ready(&house, json!({})).await;
    let mut patient = connector(&store.endpoint);
    patient.spec.backoff = Backoff::FixedDelay {
        fixed_backoff: 600_000,
        retry_count: 3,
    };
    if let CredentialsInput::Manual { secret_key, .. } = &mut patient.spec.credentials {
        *secret_key = None;
    }
    connectors::replace(&house.engine, &house.admin, "aws", patient, &Precondition::None)
        .await
        .unwrap();
    store.next(&[Fault::Refuse]);
    house.send(&events()).await;
    house.toggle(Status::Active).await;
    house
        .settled(|item| item.streaming_details.status == Some(BatchStatus::Failed))
        .await;
    let house = house.restart().await;
    house
        .settled(|item| item.streaming_details.status == Some(BatchStatus::Success))
        .await;
    assert!(dense(&store.sequences(BUCKET)));
}

/// Rules 10 and 15: a reported failure is followed by a reported recovery.
async fn a_skip_still_reports_the_recovery(house: House) {
    let store = ready(&house, json!({})).await;
    store.next(&[Fault::Deny]);
    let sent = house.send(&events()).await;
    house.toggle(Status::Active).await;
    house.settled(|item| item.streaming_details.failure.is_some()).await;
    house.toggle(Status::Inactive).await;
    destinations::move_cursor(
        &house.engine,
        &house.admin,
        "siem",
        sent.last_sequence.unwrap(),
        &Precondition::None,
    )
    .await
    .unwrap();
    house.toggle(Status::Active).await;
    house.settled(|item| item.streaming_details.failure.is_none()).await;
    house.streamed().await;
    let events = store.events(BUCKET);
    let recovered = events
        .iter()
        .filter(|event| event["auditAction"] == "STREAMING_RECOVERED");
    assert_eq!(recovered.count(), 1);
}

/// Rule 10: a batch that cannot be built stops its destination visibly.
async fn a_missing_event_stops_its_destination_visibly(house: House) {
    let store = ready(&house, json!({})).await;
    house.send(&events()).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    house.toggle(Status::Inactive).await;
    let mut connection = house.connection().await;
    sqlx::query("DELETE FROM audit_segment WHERE last_sequence > $1")
        .bind(store.sequences(BUCKET).len() as i64)
        .execute(&mut connection)
        .await
        .unwrap();
    drop(connection);
    house.toggle(Status::Active).await;
    let item = house.settled(|item| item.streaming_details.failure.is_some()).await;
    let failure = item.streaming_details.failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.blocked), ("cannot_build", true));
    assert!(
        failure.message.contains("missing from the trail"),
        "{}",
        failure.message
    );
}

async fn an_unreadable_row_stops_its_destination_visibly(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination("no-such-bucket", json!({})).await;
    house.toggle(Status::Active).await;
    house.settled(|item| item.streaming_details.failure.is_some()).await;
    house.sql("UPDATE streaming_batch SET format = 'nonsense'").await;
    destinations::stream_now(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    let blocked = |item: &AggregateItem| {
        let failure = item.streaming_details.failure.as_ref();
        failure.is_some_and(|failure| failure.code.as_str() == "cannot_build" && failure.blocked)
    };
    house.settled(blocked).await;
}

async fn a_clock_that_is_set_back_does_not_stop_the_ticks(mut house: House) {
    house.config.stream_interval = Duration::from_secs(1);
    let house = house.reopen().await;
    let _store = ready(&house, json!({})).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    // Its last run was four years ahead, and no run is requested.
    house
        .sql("UPDATE streaming_destination SET last_tick = last_tick + 126230400000, runs_served = runs_requested")
        .await;
    house.send(&events()).await;
    house.settled(|item| item.streaming_details.behind == Some(0)).await;
}
