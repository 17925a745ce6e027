//! Rule 16: a background task that panics starts again, and its work continues. Each test runs a
//! process in which one task panics once.

use std::time::Duration;

use auditstream_engine::trail::{BodyFormat, ingest, search};
use auditstream_engine::{Pacing, Precondition, Retention, alerts, destinations, metrics};
use auditstream_model::{Code, EventFilter, ListQuery, Status, WebhookInput};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::child::{Inside, Process, database, patience, say};
use crate::support::{House, destination, events};
use crate::{on, on_both};
use auditstream_testkit::s3::{BUCKET, Store};

on_both![
    after_a_panic_of_the_scheduler_destinations_are_streamed,
    after_a_panic_of_the_writer_the_request_is_refused_and_the_next_is_stored,
    after_a_panic_of_a_commit_the_request_is_refused_and_the_next_is_stored,
    after_a_panic_of_retention_old_events_are_removed,
    after_a_panic_of_the_removal_of_batches_it_starts_again,
    after_a_panic_of_the_merging_of_segments_it_starts_again,
    after_a_panic_of_the_search_index_it_is_continued,
    after_a_panic_of_the_storing_of_last_uses_it_starts_again,
    after_a_panic_of_the_comparison_with_the_marks_it_starts_again,
    after_a_panic_of_the_webhook_worker_messages_are_sent,
    after_a_panic_of_the_lag_monitor_lag_is_reported,
    after_a_panic_of_the_upkeep_of_event_ids_it_starts_again,
];
on!(
    postgres_servers,
    Postgres,
    after_a_panic_of_the_heartbeat_it_is_renewed,
    after_a_panic_of_the_upkeep_of_partitions_it_starts_again,
);

async fn after_a_panic_of_the_scheduler_destinations_are_streamed(house: House) {
    survives(house, "scheduler.look!2").await;
}

async fn after_a_panic_of_the_writer_the_request_is_refused_and_the_next_is_stored(house: House) {
    survives(house, "writer.look!1").await;
}

async fn after_a_panic_of_a_commit_the_request_is_refused_and_the_next_is_stored(house: House) {
    survives(house, "writer.commit!1").await;
}

async fn after_a_panic_of_retention_old_events_are_removed(house: House) {
    survives(house, "retention.sweep!1").await;
}

async fn after_a_panic_of_the_removal_of_batches_it_starts_again(house: House) {
    survives(house, "batches.sweep!2").await;
}

async fn after_a_panic_of_the_merging_of_segments_it_starts_again(house: House) {
    survives(house, "merging.look!1").await;
}

async fn after_a_panic_of_the_search_index_it_is_continued(house: House) {
    survives(house, "index.look!2").await;
}

async fn after_a_panic_of_the_storing_of_last_uses_it_starts_again(house: House) {
    survives(house, "last_uses.flush!1").await;
}

async fn after_a_panic_of_the_comparison_with_the_marks_it_starts_again(house: House) {
    survives(house, "continuity.compare!1").await;
}

async fn after_a_panic_of_the_webhook_worker_messages_are_sent(house: House) {
    survives(house, "webhooks.send!1").await;
}

async fn after_a_panic_of_the_lag_monitor_lag_is_reported(house: House) {
    survives(house, "lag_monitor.check!1").await;
}

async fn after_a_panic_of_the_upkeep_of_event_ids_it_starts_again(house: House) {
    survives(house, "event_ids.look!1").await;
}

async fn after_a_panic_of_the_upkeep_of_partitions_it_starts_again(house: House) {
    survives(house, "partitions.look!1").await;
}

async fn after_a_panic_of_the_heartbeat_it_is_renewed(house: House) {
    survives(house, "heartbeat.renew!1").await;
}

async fn survives(mut house: House, point: &'static str) {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.stop().await;
    let finished = tokio::task::spawn_blocking(move || {
        let failpoint = ("AUDITSTREAM_FAILPOINT", point.to_owned());
        let mut process = Process::start("supervision::the_process", &house, &[failpoint]);
        process.says("finished", patience(house.on)) && process.ends_well(patience(house.on))
    });
    assert!(finished.await.unwrap(), "{point}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the tests above start"]
async fn the_process() {
    let Some(inside) = Inside::open_with(|config| {
        config.pacing = Pacing {
            every: Duration::from_millis(50),
            watch: Duration::from_millis(50),
            ..config.pacing
        };
        config.retention = Retention {
            keep: Duration::from_secs(86_400),
            every: Duration::from_millis(50),
            settle: Duration::ZERO,
            confirm_above: 100,
            ..config.retention
        };
    })
    .await
    else {
        return;
    };
    let background = inside.engine.start();
    let point = std::env::var("AUDITSTREAM_FAILPOINT").unwrap();
    match point.split('.').next().unwrap() {
        "scheduler" => {
            restarted(&inside, "scheduler").await;
            streams(&inside).await;
        }
        "heartbeat" => {
            restarted(&inside, "heartbeat").await;
            let before = heartbeat().await;
            until("the heartbeat is renewed", async || heartbeat().await > before).await;
            streams(&inside).await;
        }
        "writer" => {
            refused_once(&inside).await;
            streams(&inside).await;
        }
        "retention" => {
            restarted(&inside, "retention").await;
            old_events_are_removed(&inside).await;
        }
        "batches" => restarted(&inside, "batches").await,
        "merging" => restarted(&inside, "merging").await,
        "index" => restarted(&inside, "index").await,
        "last_uses" => restarted(&inside, "last_uses").await,
        "continuity" => restarted(&inside, "continuity").await,
        "partitions" => restarted(&inside, "partitions").await,
        "event_ids" => restarted(&inside, "event_ids").await,
        "webhooks" => {
            restarted(&inside, "webhooks").await;
            is_notified(&inside).await;
        }
        "lag_monitor" => {
            restarted(&inside, "lag_monitor").await;
            is_notified(&inside).await;
        }
        other => panic!("no scene for {other}"),
    }
    background.stop().await;
    inside.engine.close().await;
    say("finished");
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    for _ in 0..1200 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never came true: {what}");
}

async fn restarted(inside: &Inside, task: &str) {
    let line = format!("auditstream_task_restarts_total{{task=\"{task}\"}} 1");
    until(&line, async || metrics::render(&inside.engine).await.contains(&line)).await;
}

/// Sends events and waits until the destination has received everything.
async fn streams(inside: &Inside) {
    inside.send(&events()).await;
    destinations::set_status(&inside.engine, &inside.admin, "siem", Status::Active)
        .await
        .unwrap();
    until("everything is delivered", async || {
        let list = destinations::aggregate(&inside.engine, &inside.admin, &ListQuery::default()).await;
        let details = list.unwrap().items.remove(0).streaming_details;
        details.behind == Some(0) && details.failure.is_none()
    })
    .await;
}

async fn refused_once(inside: &Inside) {
    let mut other = events().remove(0);
    other["auditEventId"] = "refused".into();
    let body = json!([other]).to_string();
    let refused = ingest(&inside.engine, &inside.ingester, BodyFormat::Json, body.clone().into()).await;
    let problem = refused.unwrap_err().problem();
    assert_eq!(problem.code, Code::Unavailable);
    assert!(problem.detail.contains("could not be written"), "{}", problem.detail);
    let stored = ingest(&inside.engine, &inside.ingester, BodyFormat::Json, body.into()).await;
    assert_eq!(stored.unwrap().accepted, 1, "nothing of the first was stored");
}

async fn old_events_are_removed(inside: &Inside) {
    inside.send(&events()).await;
    let mut connection = AnyConnection::connect(&database()).await.unwrap();
    for statement in [
        "UPDATE audit_segment SET received = 1, last_received = 1",
        "DELETE FROM streaming_destination",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    until("old events are removed", async || {
        let filter = EventFilter::default();
        let found = search(&inside.engine, &inside.admin, &filter).await;
        found.unwrap().events.is_empty()
    })
    .await;
}

/// Reads the newest heartbeat of any server, epoch ms.
async fn heartbeat() -> i64 {
    let mut connection = AnyConnection::connect(&database()).await.unwrap();
    sqlx::query_scalar("SELECT max(heartbeat) FROM replica")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

/// Lets a destination fail and lag, and waits until a receiver is notified that it lags.
async fn is_notified(inside: &Inside) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let webhook = WebhookInput {
        url: format!("http://{}/", listener.local_addr().unwrap()),
        secret: Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
        lag_limit_seconds: Some(1),
    };
    alerts::put(&inside.engine, &inside.admin, webhook, &Precondition::None)
        .await
        .unwrap();
    let mut absent = destination("no-such-bucket", json!({}));
    absent.status = Some(Status::Active);
    destinations::replace(&inside.engine, &inside.admin, "siem", absent, &Precondition::None)
        .await
        .unwrap();
    inside.send(&events()).await;
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            socket.read_buf(&mut request).await.unwrap();
        }
        let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        socket.write_all(answer).await.unwrap();
        let text = String::from_utf8(request).unwrap();
        let body: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
        if body["type"] == "streaming_destination.behind" {
            return;
        }
    }
}
