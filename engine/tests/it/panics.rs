//! Rules 10 and 11: a panic is a failure like any other.

use std::time::Duration;

use auditstream_engine::destinations;
use auditstream_engine::trail::search;
use auditstream_model::{Batch, BatchStatus, EventFilter, ListQuery, Status};
use serde_json::json;

use crate::child::{Inside, Process, patience, say};
use crate::on_both;
use crate::support::{House, dense, events};
use auditstream_testkit::s3::{BUCKET, Store};

on_both![a_run_that_panics_fails_visibly_and_waits_for_the_next_tick,];

async fn a_run_that_panics_fails_visibly_and_waits_for_the_next_tick(mut house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.stop().await;
    let house = tokio::task::spawn_blocking(move || {
        let panics = ("AUDITSTREAM_FAILPOINT", "put.begun!".to_owned());
        let mut process = Process::start("panics::the_process", &house, &[panics]);
        assert!(process.says("finished", patience(house.on)));
        assert!(process.ends_well(patience(house.on)));
        house
    })
    .await
    .unwrap();
    let house = house.reopen().await;
    house.streamed().await;
    house.streamed().await;
    assert!(
        dense(&store.sequences(BUCKET)),
        "nothing was lost, nothing is there twice"
    );
    let filter = EventFilter {
        resource: Some("siem".into()),
        ..EventFilter::default()
    };
    let found = search(&house.engine, &house.admin, &filter).await.unwrap().events;
    let actions: Vec<_> = found.iter().map(|event| event.action.as_str()).collect();
    for action in ["STREAMING_FAILED", "STREAMING_RECOVERED"] {
        assert_eq!(
            actions.iter().filter(|found| **found == action).count(),
            1,
            "{actions:?}"
        );
    }
}

/// Panics whenever a PUT has begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the test above starts"]
async fn the_process() {
    let Some(inside) = Inside::open(Duration::from_secs(3600)).await else {
        return;
    };
    let background = inside.engine.start();
    let (engine, admin) = (&inside.engine, &inside.admin);
    inside.send(&events()).await;
    destinations::set_status(engine, admin, "siem", Status::Active)
        .await
        .unwrap();
    failed(&inside, 1).await;
    // Long enough for several passes of the scheduler.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(only_batch(&inside).await.attempts, 1, "it waits for its next time");
    destinations::stream_now(engine, admin, "siem").await.unwrap();
    failed(&inside, 2).await;
    background.stop().await;
    inside.engine.close().await;
    say("finished");
}

async fn only_batch(inside: &Inside) -> Batch {
    let mut batches = destinations::batches(&inside.engine, &inside.admin, "siem", &ListQuery::default())
        .await
        .unwrap();
    assert_eq!(batches.items.len(), 1);
    batches.items.remove(0)
}

/// Waits until the destination and its batch have failed in this many attempts.
async fn failed(inside: &Inside, attempts: i64) {
    for _ in 0..400 {
        let list = destinations::aggregate(&inside.engine, &inside.admin, &ListQuery::default())
            .await
            .unwrap();
        let item = &list.items[0].streaming_details;
        if let Some(failure) = &item.failure {
            let batch = only_batch(inside).await;
            if batch.attempts == attempts && batch.status == BatchStatus::Failed {
                assert_eq!(failure.code.as_str(), "internal");
                assert!(!failure.blocked);
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the panic is not reported");
}
