//! A database that is full, locked or away for a while: it is reported, no acknowledged event is
//! lost (rule 1), and work resumes by itself.

use std::time::{Duration, Instant};

use auditstream_engine::database::{Database, DatabaseUrl, Limits};
use auditstream_engine::trail::{BodyFormat, ingest};
use auditstream_engine::{Engine, Precondition, access, connectors, key_rotation};
use auditstream_model::{ApiTokenInput, Code, IngestOutcome, Outcome, Problem, Scope, Status};
use futures::TryStreamExt as _;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};

use crate::support::{House, On, dense, events};
use crate::{on, on_both};
use auditstream_testkit::s3::{BUCKET, Store};

on_both![
    the_use_of_a_token_waits_for_no_write,
    a_locked_database_is_reported_and_work_resumes_afterwards,
    a_database_of_a_development_version_is_refused_with_the_way_out,
];
on!(
    sqlite_file,
    Sqlite,
    a_full_disk_is_reported_and_work_resumes_when_there_is_space,
);
on!(
    sqlite_log,
    Sqlite,
    the_write_ahead_log_is_bounded_while_reads_overlap,
    a_rotation_that_fails_leaves_no_data_key_in_memory,
);
on!(
    postgres_server,
    Postgres,
    lost_connections_are_opened_again,
    the_server_sets_no_limit_to_a_commit,
    a_server_that_became_a_standby_is_unavailable,
    text_that_postgresql_cannot_store_is_refused_by_name,
);

/// Sends events that can be compressed by half.
async fn send(house: &House, name: &str, count: usize) -> Result<IngestOutcome, Problem> {
    let mut event = events().remove(0);
    let one = |number| {
        event["auditEventId"] = format!("{name}-{number}").into();
        let noise: [u128; 64] = rand::random();
        let noise: String = noise.iter().map(|number| format!("{number:032x}")).collect();
        event["auditEventMetadata"]["noise"] = noise.into();
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
    house
        .sql("CREATE TABLE filler AS SELECT zeroblob(600000) AS content")
        .await;
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
    house.sql("DROP TABLE filler").await;
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

/// Reads without a pause between two reads, until the channel closes.
async fn keep_reading(database: Database, mut stop: tokio::sync::watch::Receiver<()>) {
    while stop.has_changed().is_ok() {
        let mut rows = sqlx::query("SELECT content FROM filler").fetch(database.read());
        rows.try_next().await.unwrap();
        tokio::select! {
            _ = stop.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
}

async fn the_write_ahead_log_is_bounded_while_reads_overlap(mut house: House) {
    house.stop().await;
    let limits = Limits {
        wal_bytes: 1 << 20,
        ..Limits::default()
    };
    let file = house.folder.path().join("auditstream.db");
    let database = Database::open(&DatabaseUrl::Sqlite(file.clone()), &limits)
        .await
        .unwrap();
    let write = async |statement: &'static str| {
        let mut tx = database.write().await.unwrap();
        let automatic: i64 = sqlx::query_scalar("PRAGMA wal_autocheckpoint")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        assert_eq!(automatic, 0, "no commit makes a checkpoint");
        sqlx::query(statement).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    write("CREATE TABLE filler (content BLOB)").await;
    let fill = "INSERT INTO filler WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) \
                SELECT randomblob(2000) FROM n";
    write(fill).await;
    let (stop, stopped) = tokio::sync::watch::channel(());
    let readers: Vec<_> = (0..3)
        .map(|_| tokio::spawn(keep_reading(database.clone(), stopped.clone())))
        .collect();
    for _ in 0..4 {
        write(fill).await;
    }
    let log = || {
        std::fs::metadata(house.folder.path().join("auditstream.db-wal"))
            .unwrap()
            .len()
    };
    assert!(log() > 3 << 20, "the log has grown: {}", log());
    let deadline = Instant::now() + Duration::from_secs(60);
    while log() > 2 << 20 {
        assert!(Instant::now() < deadline, "the log never begins anew: {}", log());
        write("INSERT INTO filler VALUES (randomblob(2000))").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(stop);
    for reader in readers {
        reader.await.unwrap();
    }
    database.close().await;
}

async fn a_rotation_that_fails_leaves_no_data_key_in_memory(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    house
        .sql("CREATE TRIGGER refuse BEFORE INSERT ON audit_event BEGIN SELECT RAISE(ABORT, 'refused by the test'); END")
        .await;
    key_rotation::rotate(&house.engine, &house.admin, None)
        .await
        .unwrap_err();
    house.sql("DROP TRIGGER refuse").await;
    // Another server creates a data key with the same id.
    let other = Engine::open(house.config.clone()).await.unwrap();
    key_rotation::rotate(&other, &house.admin, None).await.unwrap();
    let connector = crate::support::connector(&store.endpoint);
    let replaced = connectors::replace(&house.engine, &house.admin, "aws", connector, &Precondition::None);
    replaced.await.unwrap();
    let test = connectors::test(&other, &house.admin, "aws").await.unwrap();
    assert_eq!(test.status, Outcome::Success, "{test:?}");
}

/// PostgreSQL reports a commit that it stopped waiting for as successful.
async fn the_server_sets_no_limit_to_a_commit(house: House) {
    house
        .sql(
            "CREATE TABLE seen (statement_timeout TEXT); \
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO seen VALUES (current_setting('statement_timeout')); RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER note AFTER UPDATE ON account DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION note()",
        )
        .await;
    send(&house, "committed", 3).await.unwrap();
    streaming(&house).await;
    let mut connection = house.connection().await;
    let seen: Vec<(String,)> = sqlx::query_as("SELECT DISTINCT statement_timeout FROM seen")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(seen, [("0".to_owned(),)], "while they commit");
}

async fn a_server_that_became_a_standby_is_unavailable(house: House) {
    house
        .sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'read-only' USING ERRCODE = '25006'; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await;
    let refused = send(&house, "standby", 3).await.unwrap_err();
    assert_eq!(refused.code, Code::Unavailable, "{refused:?}");
    house.sql("DROP TRIGGER refuse ON audit_event").await;
    assert_eq!(send(&house, "primary", 3).await.unwrap().accepted, 3);
}

async fn text_that_postgresql_cannot_store_is_refused_by_name(house: House) {
    let refused = connectors::get(&house.engine, &house.admin, "a\0b")
        .await
        .unwrap_err()
        .problem();
    assert_eq!(refused.code, Code::InvalidFields, "{refused:?}");
    assert!(refused.detail.contains("U+0000"), "{refused:?}");
}

async fn the_use_of_a_token_waits_for_no_write(house: House) {
    let input = ApiTokenInput {
        name: "used".into(),
        scopes: vec![Scope::Read],
        expires_in_days: None,
    };
    let made = access::create_token(&house.engine, &house.admin, &input).await.unwrap();
    let mut foreign = house.connection().await;
    let lock = match house.on {
        On::Sqlite => "BEGIN IMMEDIATE",
        On::Postgres => "BEGIN; LOCK TABLE api_token IN EXCLUSIVE MODE",
    };
    foreign.execute(lock).await.unwrap();
    let used = tokio::time::timeout(Duration::from_secs(5), access::token(&house.engine, &made.token)).await;
    assert!(used.expect("the request waits for a write").unwrap().is_some());
    let last_used = async |engine: &Engine| {
        let tokens = access::tokens(engine, &house.admin).await.unwrap();
        tokens.into_iter().find(|token| token.name == "used").unwrap().last_used
    };
    let noted = last_used(&house.engine).await;
    assert!(noted.is_some());
    foreign.execute("ROLLBACK").await.unwrap();
    foreign.close().await.unwrap();
    house.engine.close().await;
    let other = Engine::open(house.config.clone()).await.unwrap();
    assert_eq!(last_used(&other).await, noted, "it was stored when the server stopped");
}
