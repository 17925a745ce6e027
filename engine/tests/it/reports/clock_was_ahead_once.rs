//! Times written while a clock was ahead do not rule for decades.

use auditstream_model::Status;
use serde_json::json;
use sqlx::Connection as _;

use crate::on_both;
use crate::support::{House, events};
use auditstream_testkit::s3::{BUCKET, Store};

on_both![clock_was_ahead_once,];

/// 40 years, in ms.
const AHEAD: i64 = 40 * 365 * 86_400_000;

async fn clock_was_ahead_once(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    let today = house.batches().await[0].key.clone();
    let day = |key: &str| key.split('/').find(|part| part.starts_with("dt=")).map(str::to_owned);
    let mut connection = house.connection().await;
    for statement in [
        "UPDATE streaming_batch SET created = created + $1",
        "UPDATE account SET last_received = last_received + $1",
    ] {
        sqlx::query(statement)
            .bind(AHEAD)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let house = house.restart().await;
    house.send(&events()).await;
    house.streamed().await;
    let next = house.batches().await[0].key.clone();
    assert_ne!(next, today);
    assert!(day(&next) < Some("dt=2060".to_owned()), "{next}");
    let received: i64 = sqlx::query_scalar("SELECT max(last_received) - min(received) FROM audit_segment")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    assert!(received < AHEAD / 2, "received today");
}
