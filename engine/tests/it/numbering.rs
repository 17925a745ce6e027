//! Numbering that is closed: by a restore that several servers notice, until an operator confirms,
//! and while runs are in progress.

use std::time::Duration;

use auditstream_engine::trail::{BodyFormat, ingest};
use auditstream_engine::{Config, Engine, continuity, destinations, metrics};
use auditstream_model::{Code, IngestOutcome, SequenceGap, Status};
use auditstream_testkit::s3::{BUCKET, Fault, Store};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{House, events};
use crate::{on, on_both};

on_both![
    a_confirmation_needs_the_permission_and_every_bucket,
    a_run_that_closed_numbering_interrupts_resumes_without_a_tick,
];
on![
    servers,
    Postgres,
    two_servers_that_find_the_same_object_declare_one_restore,
    a_server_follows_a_restore_that_another_one_declared,
];

/// A destination whose bucket has an object that the database does not know.
async fn contradicted(house: &House) -> Store {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.send(&events()[..5]).await;
    house.streamed().await;
    let (key, bytes) = store.objects(BUCKET).pop_last().unwrap();
    let (folder, name) = key.rsplit_once('/').unwrap();
    let uid = name.rsplit('_').next().unwrap();
    let beyond = format!("{folder}/000000000900_1000-2000_{uid}");
    std::fs::write(store.path(BUCKET, &beyond), bytes).unwrap();
    store
}

/// Another server on the same database, which has not looked at the bucket yet.
async fn another(house: &House) -> (Engine, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        data_dir: Some(folder.path().to_owned()),
        streaming_enabled: false,
        ..house.config.clone()
    };
    (Engine::open(config).await.unwrap(), folder)
}

async fn gaps(house: &House) -> Vec<SequenceGap> {
    let item = destinations::overview(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    item.streaming_details.sequence_gaps
}

async fn number(house: &House, query: &'static str) -> i64 {
    let mut connection = house.connection().await;
    sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
}

async fn send_to(engine: &Engine, house: &House, id: &str) -> IngestOutcome {
    let mut event = events().remove(0);
    event["auditEventId"] = id.into();
    ingest(engine, &house.ingester, BodyFormat::Json, event.to_string().into())
        .await
        .unwrap()
}

async fn two_servers_that_find_the_same_object_declare_one_restore(mut house: House) {
    let _store = contradicted(&house).await;
    house.stop_streaming().await;
    let (one, _folder) = another(&house).await;
    let (other, _other_folder) = another(&house).await;
    let mut lock = house.connection().await;
    sqlx::raw_sql("BEGIN; SELECT * FROM installation FOR UPDATE")
        .execute(&mut lock)
        .await
        .unwrap();
    let deadline = Duration::from_secs(30);
    let looking = [one.clone(), other.clone()]
        .map(|engine| tokio::spawn(async move { continuity::look_at_buckets(&engine, deadline).await }));
    let waiting = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
                   WHERE NOT granted AND datname = current_database()";
    while number(&house, waiting).await < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sqlx::raw_sql("COMMIT").execute(&mut lock).await.unwrap();
    for looked in looking {
        looked.await.unwrap().unwrap();
    }
    assert_eq!(gaps(&house).await.len(), 1);
    assert_eq!(number(&house, "SELECT generation FROM installation").await, 2);
    let next = send_to(&other, &house, "after").await.first_sequence.unwrap();
    assert!(next > gaps(&house).await[0].last);
    one.close().await;
    other.close().await;
}

async fn a_server_follows_a_restore_that_another_one_declared(mut house: House) {
    let _store = contradicted(&house).await;
    house.stop_streaming().await;
    let (one, _folder) = another(&house).await;
    let (other, folder) = another(&house).await;
    let background = other.start();
    continuity::look_at_buckets(&one, Duration::from_secs(30))
        .await
        .unwrap();
    let marks = || -> serde_json::Value {
        let text = std::fs::read(folder.path().join("auditstream.marks")).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    while marks()["generation"] != 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let sent = send_to(&other, &house, "after").await;
    let last = sent.last_sequence.unwrap();
    assert!(last > gaps(&house).await[0].last);
    // Written when the database was compared again.
    while marks()["accounts"]["default"]["seen"].as_i64().unwrap() < last {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let again = send_to(&other, &house, "again").await;
    assert_eq!(again.first_sequence, Some(last + 1), "there is no second restore");
    assert_eq!(number(&house, "SELECT generation FROM installation").await, 2);
    background.stop().await;
    one.close().await;
    other.close().await;
}

async fn a_confirmation_needs_the_permission_and_every_bucket(mut house: House) {
    let store = contradicted(&house).await;
    house.stop().await;
    let mut connection = house.connection().await;
    sqlx::query("UPDATE connector SET spec = replace(spec, $1, $2)")
        .bind(store.endpoint.as_str())
        .bind("http://127.0.0.1:1")
        .execute(&mut connection)
        .await
        .unwrap();
    house.sql("UPDATE installation SET copied = 1").await;
    std::fs::remove_file(house.folder.path().join("auditstream.marks")).unwrap();
    let house = house.reopen().await;
    assert!(continuity::closed(&house.engine).is_some());
    let refused = continuity::confirm(&house.engine, &house.ingester, Some(5_000)).await;
    assert_eq!(refused.unwrap_err().problem().code, Code::Forbidden);
    let refused = continuity::confirm(&house.engine, &house.admin, None).await;
    let refused = refused.unwrap_err().problem();
    assert_eq!(refused.code, Code::Unavailable);
    assert!(refused.detail.contains("“siem”"), "{}", refused.detail);
    assert!(continuity::closed(&house.engine).is_some());
    let confirmed = continuity::confirm(&house.engine, &house.admin, Some(5_000))
        .await
        .unwrap();
    assert!(confirmed[0].1 > 5_000, "{confirmed:?}");
    assert_eq!(continuity::closed(&house.engine), None);
}

async fn a_run_that_closed_numbering_interrupts_resumes_without_a_tick(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    store.next(&[Fault::HoldRefusal]);
    house.send(&events()[..5]).await;
    let puts = store.puts.load(std::sync::atomic::Ordering::SeqCst);
    destinations::stream_now(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    store.reached(puts + 1).await;
    // Nothing can be declared meanwhile.
    let obstacle = house.folder.path().join("auditstream.marks.new");
    std::fs::create_dir_all(obstacle.join("full")).unwrap();
    house.sql("UPDATE account SET last_sequence = last_sequence - 5").await;
    let event = events().remove(6).to_string();
    let refused = ingest(&house.engine, &house.ingester, BodyFormat::Json, event.into()).await;
    assert_eq!(refused.unwrap_err().problem().code, Code::Unavailable);
    store.release.add_permits(1);
    // The failure would be an event, which has no number now.
    while !metrics::render(&house.engine)
        .await
        .contains("outcome=\"access_denied\"} 1")
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(continuity::closed(&house.engine).is_some());
    house.sql("UPDATE account SET last_sequence = last_sequence + 5").await;
    std::fs::remove_dir_all(&obstacle).unwrap();
    // A comparison that read the lower number may still declare a gap, which is passed.
    house.all_caught_up().await;
}
