//! Rule 11: one destination never delays another, nor ingest.

use std::time::{Duration, Instant};

use auditstream_engine::connectors;
use auditstream_model::limits::STREAMING_RUNS;
use auditstream_model::{Backoff, BatchStatus, Status};
use serde_json::json;

use crate::on_both;
use crate::support::{House, connector, destination, events};
use auditstream_testkit::s3::{BUCKET, Store};

on_both![
    unresponsive_destinations_delay_neither_others_nor_ingest,
    destinations_in_backoff_release_their_run_slots,
];

/// An endpoint that accepts and counts connections and never responds.
async fn silence() -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let accepted = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
    let count = accepted.clone();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push(socket);
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    });
    (endpoint, accepted)
}

async fn unresponsive_destinations_delay_neither_others_nor_ingest(house: House) {
    const SILENT: usize = 8;
    let (endpoint, accepted) = silence().await;
    let store = Store::start().await;
    house.connect(&store).await;
    let mut silent = connector(&endpoint);
    silent.identifier = "silent".into();
    connectors::create(&house.engine, &house.admin, silent).await.unwrap();
    house.send(&events()).await;
    for number in 0..SILENT {
        house.another_destination(&format!("silent{number}"), "silent").await;
    }
    while accepted.load(std::sync::atomic::Ordering::SeqCst) < SILENT {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    auditstream_engine::destinations::create(&house.engine, &house.admin, {
        let mut served = destination(BUCKET, json!({}));
        served.status = Some(Status::Active);
        served
    })
    .await
    .unwrap();
    let asked = Instant::now();
    house.settled(|item| item.streaming_details.behind == Some(0)).await;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let asked = Instant::now();
    let mut event = events().remove(0);
    event["auditEventId"] = "meanwhile".into();
    assert_eq!(house.send(&[event]).await.accepted, 1);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

async fn destinations_in_backoff_release_their_run_slots(house: House) {
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let store = Store::start().await;
    house.connect(&store).await;
    let mut patient = connector(&gone);
    patient.identifier = "patient".into();
    patient.spec.backoff = Backoff::FixedDelay {
        fixed_backoff: 600_000,
        retry_count: 20,
    };
    connectors::create(&house.engine, &house.admin, patient).await.unwrap();
    house.send(&events()).await;
    for number in 0..STREAMING_RUNS {
        house.another_destination(&format!("patient{number}"), "patient").await;
    }
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house
        .settled(|item| item.streaming_details.status == Some(BatchStatus::Success))
        .await;
}
