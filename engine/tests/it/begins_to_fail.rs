//! Rules 11 and 15: when a destination begins to fail, and the changes that a run notices while it
//! waits for its next attempt.

use std::sync::atomic::Ordering;
use std::time::Duration;

use auditstream_engine::{Precondition, connectors, destinations};
use auditstream_model::{Backoff, Batch, BatchStatus, ConnectorInput, CredentialsInput, Status};
use serde_json::json;

use crate::on_both;
use crate::support::{House, connector, dense, destination, events};
use auditstream_testkit::s3::{BUCKET, Fault, Store};

on_both![
    a_failure_that_a_retry_cures_is_no_event_and_starts_none,
    a_destination_begins_to_fail_after_its_last_retry_and_recovers_once,
    a_destination_begins_to_fail_after_five_minutes_of_retries,
    a_waiting_run_notices_requests_pauses_and_edits,
    a_corrected_connector_starts_runs_of_its_active_destinations,
    idle_destinations_are_served_without_runs,
];

/// The longest backoff, ms.
const PATIENT: u64 = 600_000;

fn backoff(fixed_backoff: u64, retry_count: u32) -> Backoff {
    Backoff::FixedDelay {
        fixed_backoff,
        retry_count,
    }
}

/// The connector of the store, with this backoff and without its secret.
fn edited(endpoint: &str, backoff: Backoff) -> ConnectorInput {
    let mut input = connector(endpoint);
    input.spec.backoff = backoff;
    if let CredentialsInput::Manual { secret_key, .. } = &mut input.spec.credentials {
        *secret_key = None;
    }
    input
}

async fn ready(house: &House, backoff: Backoff) -> Store {
    let store = Store::start().await;
    house.connect(&store).await;
    set_backoff(house, &store, backoff).await;
    house.destination(BUCKET, json!({})).await;
    store
}

async fn set_backoff(house: &House, store: &Store, backoff: Backoff) {
    let input = edited(&store.endpoint, backoff);
    connectors::replace(&house.engine, &house.admin, "aws", input, &Precondition::None)
        .await
        .unwrap();
}

async fn number(house: &House, query: &'static str) -> i64 {
    let mut connection = house.connection().await;
    sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
}

/// Returns the number of events with this action.
async fn recorded(house: &House, action: &str) -> i64 {
    let stored = house.stored_events().await;
    let recorded = stored.iter().filter(|event| event.json()["auditAction"] == action);
    i64::try_from(recorded.count()).unwrap()
}

/// Waits until the only destination has reached the tick after `tick`, and returns it.
async fn next_tick(house: &House, tick: i64) -> i64 {
    for _ in 0..2400 {
        let last = number(house, "SELECT last_tick FROM streaming_destination").await;
        if last > tick {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("there was no tick");
}

/// The store refuses each first attempt. Nothing of it may become an event: two events would be
/// sent at the next tick, be refused, and become two more.
async fn a_failure_that_a_retry_cures_is_no_event_and_starts_none(mut house: House) {
    house.config.stream_interval = Duration::from_millis(200);
    let house = house.reopen().await;
    let store = ready(&house, backoff(1, 3)).await;
    house.toggle(Status::Active).await;
    house.settled(|item| item.streaming_details.behind == Some(0)).await;
    store.next(&[Fault::Refuse, Fault::Pass]);
    let sent = house.send(&events()[..1]).await;
    let mut tick = 0;
    for _ in 0..10 {
        store.next(&[Fault::Refuse, Fault::Pass]);
        tick = next_tick(&house, tick).await;
    }
    house.settled(|item| item.streaming_details.behind == Some(0)).await;
    for action in ["STREAMING_FAILED", "STREAMING_RECOVERED"] {
        assert_eq!(recorded(&house, action).await, 0, "{action}");
    }
    assert_eq!(
        number(&house, "SELECT last_sequence FROM account").await,
        sent.last_sequence.unwrap()
    );
    let newest = house.batches().await.remove(0);
    assert_eq!((newest.status, newest.attempts), (BatchStatus::Success, 2));
    assert!(dense(&store.sequences(BUCKET)));
}

async fn a_destination_begins_to_fail_after_its_last_retry_and_recovers_once(house: House) {
    let store = ready(&house, backoff(1, 2)).await;
    house.send(&events()).await;
    store.next(&[Fault::Refuse; 3]);
    house.toggle(Status::Active).await;
    let item = house.settled(|item| item.streaming_details.failure.is_some()).await;
    assert_eq!(item.streaming_details.status, Some(BatchStatus::Failed));
    assert_eq!(house.batches().await[0].attempts, 3, "not before the last retry");
    house.streamed().await;
    for action in ["STREAMING_FAILED", "STREAMING_RECOVERED"] {
        assert_eq!(recorded(&house, action).await, 1, "{action}");
    }
}

async fn a_destination_begins_to_fail_after_five_minutes_of_retries(house: House) {
    let store = ready(&house, backoff(PATIENT, 20)).await;
    house.send(&events()).await;
    store.next(&[Fault::Refuse; 3]);
    house.toggle(Status::Active).await;
    let item = house
        .settled(|item| item.streaming_details.status == Some(BatchStatus::Failed))
        .await;
    assert!(item.streaming_details.failure.is_none(), "retries are left");
    destinations::stream_now(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    attempted(&house, 2).await;
    assert_eq!(recorded(&house, "STREAMING_FAILED").await, 0, "retries are left");
    house
        .sql("UPDATE streaming_batch SET failing_since = failing_since - 300000")
        .await;
    destinations::stream_now(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    house.settled(|item| item.streaming_details.failure.is_some()).await;
    assert_eq!(recorded(&house, "STREAMING_FAILED").await, 1);
    house.streamed().await;
    assert_eq!(recorded(&house, "STREAMING_RECOVERED").await, 1);
}

/// Waits until the newest batch has failed in this many attempts.
async fn attempted(house: &House, attempts: i64) {
    for _ in 0..600 {
        let batches = house.batches().await;
        let done = |newest: &Batch| newest.attempts == attempts && newest.status == BatchStatus::Failed;
        if batches.first().is_some_and(done) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there was no attempt {attempts}: {:?}", house.batches().await);
}

/// Each wait would last ten minutes.
async fn a_waiting_run_notices_requests_pauses_and_edits(house: House) {
    let store = ready(&house, backoff(PATIENT, 20)).await;
    house.send(&events()).await;
    store.next(&[Fault::Refuse; 4]);
    house.toggle(Status::Active).await;
    attempted(&house, 1).await;
    destinations::stream_now(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    attempted(&house, 2).await;
    let mut input = destination(BUCKET, json!({}));
    input.description = "edited".into();
    input.status = Some(Status::Active);
    destinations::replace(&house.engine, &house.admin, "siem", input, &Precondition::None)
        .await
        .unwrap();
    attempted(&house, 3).await;
    house.toggle(Status::Inactive).await;
    for _ in 0..600 {
        if number(
            &house,
            "SELECT count(*) FROM streaming_destination WHERE lease_replica IS NOT NULL",
        )
        .await
            == 0
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        number(
            &house,
            "SELECT count(*) FROM streaming_destination WHERE lease_replica IS NULL"
        )
        .await,
        1,
        "the paused run ended"
    );
    assert_eq!(store.puts.load(Ordering::SeqCst), 3);
    house.toggle(Status::Active).await;
    attempted(&house, 4).await;
    set_backoff(&house, &store, backoff(1, 1)).await;
    house.settled(|item| item.streaming_details.behind == Some(0)).await;
    assert!(dense(&store.sequences(BUCKET)));
}

async fn a_corrected_connector_starts_runs_of_its_active_destinations(house: House) {
    let store = Store::start().await;
    let mut wrong = connector(&store.endpoint);
    if let CredentialsInput::Manual { secret_key, .. } = &mut wrong.spec.credentials {
        *secret_key = Some("wrong".into());
    }
    connectors::create(&house.engine, &house.admin, wrong).await.unwrap();
    house.destination(BUCKET, json!({})).await;
    house.another_destination("paused", "aws").await;
    destinations::set_status(&house.engine, &house.admin, "paused", Status::Inactive)
        .await
        .unwrap();
    house.send(&events()).await;
    house.toggle(Status::Active).await;
    house.settled(|item| item.streaming_details.failure.is_some()).await;
    let requested = "SELECT runs_requested FROM streaming_destination WHERE identifier = 'paused'";
    let before = number(&house, requested).await;
    connectors::replace(
        &house.engine,
        &house.admin,
        "aws",
        connector(&store.endpoint),
        &Precondition::None,
    )
    .await
    .unwrap();
    house
        .settled(|item| item.streaming_details.status == Some(BatchStatus::Success))
        .await;
    assert_eq!(
        number(&house, requested).await,
        before,
        "a paused destination runs later"
    );
}

/// Rule 17: the epoch counts claims. Ticks without events claim nothing, and are recorded.
async fn idle_destinations_are_served_without_runs(mut house: House) {
    house.config.stream_interval = Duration::from_millis(200);
    let house = house.reopen().await;
    let _store = ready(&house, backoff(1, 1)).await;
    house.toggle(Status::Active).await;
    house.all_caught_up().await;
    let released = "SELECT count(*) FROM streaming_destination \
                    WHERE lease_replica IS NULL AND runs_served = runs_requested";
    while number(&house, released).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let epoch = number(&house, "SELECT epoch FROM streaming_destination").await;
    let streamed_at = number(&house, "SELECT last_streamed_at FROM streaming_destination").await;
    let mut tick = 0;
    for _ in 0..4 {
        tick = next_tick(&house, tick).await;
    }
    assert_eq!(number(&house, "SELECT epoch FROM streaming_destination").await, epoch);
    assert!(number(&house, "SELECT last_streamed_at FROM streaming_destination").await > streamed_at);
    house.send(&events()).await;
    house.settled(|item| item.streaming_details.behind == Some(0)).await;
    assert!(house.batches().await.len() >= 2);
}
