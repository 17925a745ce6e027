//! A database that is full, locked or away for a while: it is reported, no acknowledged event is
//! lost (rule 1), and work resumes by itself.

use std::time::{Duration, Instant};

use auditstream_engine::Engine;
use auditstream_engine::trail::{BodyFormat, ingest};
use auditstream_model::{Code, IngestOutcome, Problem, Status};
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};

use crate::support::{House, On, dense, events};
use crate::{on, on_both};
use auditstream_testkit::s3::{BUCKET, Store};

on_both![
    a_locked_database_is_reported_and_work_resumes_afterwards,
    a_database_of_a_development_version_is_refused_with_the_way_out,
];
on!(
    sqlite_file,
    Sqlite,
    a_full_disk_is_reported_and_work_resumes_when_there_is_space,
);
on!(postgres_server, Postgres, lost_connections_are_opened_again,);

async fn send(house: &House, name: &str, count: usize) -> Result<IngestOutcome, Problem> {
    let mut event = events().remove(0);
    let one = |number| {
        event["auditEventId"] = format!("{name}-{number}").into();
        event.clone()
    };
    let body: Vec<Value> = (0..count).map(one).collect();
    let body = serde_json::to_vec(&body).unwrap();
    ingest(&house.engine, &house.ingester, BodyFormat::Json, body.into())
        .await
        .map_err(|error| error.problem())
}

async fn streaming(house: &House) -> Store {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    store
}

fn delivered(store: &Store, name: &str) -> usize {
    let events = store.events(BUCKET);
    let of = |event: &&Value| event["auditEventId"].as_str().unwrap().starts_with(name);
    events.iter().filter(of).count()
}

async fn a_locked_database_is_reported_and_work_resumes_afterwards(mut house: House) {
    house.config.limits.busy = Duration::from_millis(300);
    let house = house.reopen().await;
    let store = streaming(&house).await;
    send(&house, "before", 5).await.unwrap();
    let mut foreign = house.connection().await;
    let lock = match house.on {
        On::Sqlite => "BEGIN IMMEDIATE",
        On::Postgres => "BEGIN; LOCK TABLE account, streaming_destination IN ACCESS EXCLUSIVE MODE",
    };
    foreign.execute(lock).await.unwrap();
    for number in 0..3 {
        let asked = Instant::now();
        let refused = send(&house, &format!("during-{number}"), 5).await.unwrap_err();
        assert_eq!(refused.code, Code::Unavailable, "{refused:?}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    }
    let unready = house.engine.ready().await.unwrap_err();
    assert_eq!(unready.problem().code, Code::Unavailable);
    foreign.execute("ROLLBACK").await.unwrap();
    foreign.close().await.unwrap();
    assert_eq!(send(&house, "after", 5).await.unwrap().accepted, 5);
    house.engine.ready().await.unwrap();
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
    let counts = ["before", "during", "after"].map(|name| delivered(&store, name));
    assert_eq!(counts, [5, 0, 5], "what was acknowledged, and nothing else");
}

async fn a_full_disk_is_reported_and_work_resumes_when_there_is_space(mut house: House) {
    house.config.limits.sqlite_pages = Some(400);
    let house = house.reopen().await;
    let store = streaming(&house).await;
    let mut acknowledged = 0;
    let refused = loop {
        match send(&house, &format!("event-{acknowledged}"), 20).await {
            Ok(outcome) => acknowledged += usize::try_from(outcome.accepted).unwrap(),
            Err(problem) => break problem,
        }
        assert!(acknowledged < 100_000, "it is never full");
    };
    assert_eq!(refused.code, Code::Unavailable, "{refused:?}");
    assert!(refused.detail.contains("full"), "{refused:?}");
    assert!(acknowledged > 100, "{acknowledged}");
    for number in 0..3 {
        let again = send(&house, &format!("full-{number}"), 400).await.unwrap_err();
        assert!(again.detail.contains("full"), "{again:?}");
    }
    let unready = house.engine.ready().await.unwrap_err();
    assert_eq!(unready.problem().code, Code::Unavailable);
    // Space becomes available.
    house.sql("DROP INDEX audit_event_time").await;
    assert_eq!(send(&house, "after", 20).await.unwrap().accepted, 20);
    house.engine.ready().await.unwrap();
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
    assert_eq!(
        (
            delivered(&store, "event"),
            delivered(&store, "full"),
            delivered(&store, "after")
        ),
        (acknowledged, 0, 20)
    );
}

async fn lost_connections_are_opened_again(house: House) {
    let store = streaming(&house).await;
    let mut acknowledged = 0;
    for round in 0..5 {
        house
            .sql(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await;
        match send(&house, &format!("event-{round}"), 5).await {
            Ok(outcome) => acknowledged += usize::try_from(outcome.accepted).unwrap(),
            Err(problem) => assert_eq!(problem.code, Code::Unavailable, "{problem:?}"),
        }
    }
    assert_eq!(send(&house, "after", 5).await.unwrap().accepted, 5);
    house.streamed().await;
    assert!(delivered(&store, "event") >= acknowledged && delivered(&store, "after") == 5);
    assert!(dense(&store.sequences(BUCKET)));
}

async fn a_database_of_a_development_version_is_refused_with_the_way_out(mut house: House) {
    house.stop().await;
    house
        .sql(match house.on {
            On::Sqlite => "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1",
            On::Postgres => "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 1",
        })
        .await;
    let refusal = Engine::open(house.config.clone()).await.unwrap_err().to_string();
    for part in [
        "development version from before the first release",
        "another shape",
        "export them",
        "For the demo, remove data/demo.",
    ] {
        assert!(refusal.contains(part), "{refusal}");
    }
}
