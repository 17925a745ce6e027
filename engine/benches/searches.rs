//! The latency of ingest while eight searches run that find nothing, next to the latency without
//! them, on both databases. `make bench` runs it. The aim is a ratio of at most 2.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark is read by people"
)]

use std::time::{Duration, Instant};

use auditstream_engine::database::{DatabaseUrl, Limits, PostgresUrl};
use auditstream_engine::trail::{BodyFormat, ingest, search};
use auditstream_engine::{
    Actor, AwsSettings, Config, EgressPolicy, Engine, MasterKey, Merging, Pacing, Retention, access,
};
use auditstream_model::{AccountName, ApiTokenInput, EventFilter, Scope};
use serde_json::Value;

use auditstream_testkit::events::NDJSON as EVENTS;
use auditstream_testkit::postgres;

/// Events of each account before the measurement.
const STORED: usize = 60_000;
const SEARCHES_OF_ACCOUNT: usize = 4;
/// Requests with one event each, one at a time.
const REQUESTS: usize = 400;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let key = || MasterKey::load_or_create(&folder.path().join("master.key")).unwrap();
        let file = DatabaseUrl::Sqlite(folder.path().join("auditstream.db"));
        measure("SQLite", open(file, key()).await).await;
        let url = DatabaseUrl::Postgres(PostgresUrl::parse(&postgres::database()).unwrap());
        measure("PostgreSQL", open(url, key()).await).await;
    });
}

async fn open(database: DatabaseUrl, master_key: MasterKey) -> Engine {
    let config = Config {
        database,
        limits: Limits::default(),
        data_dir: None,
        master_key,
        streaming_enabled: true,
        stream_interval: Duration::from_secs(3600),
        aws: AwsSettings::default(),
        egress_policy: EgressPolicy::default(),
        retention: Retention::default(),
        merging: Merging::default(),
        pacing: Pacing::default(),
        clock: auditstream_engine::Clock::default(),
        ids: auditstream_engine::IdSettings::default(),
    };
    Engine::open(config).await.unwrap()
}

async fn measure(database: &str, engine: Engine) {
    let other = AccountName::parse("other").unwrap();
    access::create_account(&engine, &other).await.unwrap();
    let mut searchers = Vec::new();
    let mut ingester = None;
    for account in [AccountName::default_account(), other] {
        let admin = Actor::command_line(&engine, &account).await.unwrap();
        let sender = token(&engine, &admin, "ingest", Scope::Ingest).await;
        for first in (0..STORED).step_by(10_000) {
            send(&engine, &sender, lines("stored", account.as_str(), first, 10_000)).await;
        }
        for number in 0..SEARCHES_OF_ACCOUNT {
            searchers.push(token(&engine, &admin, &format!("read {number}"), Scope::Read).await);
        }
        ingester = Some(sender);
    }
    let ingester = ingester.unwrap();
    let alone = latency(&engine, &ingester, "alone").await;
    let searches: Vec<_> = searchers
        .into_iter()
        .map(|searcher| tokio::spawn(search_for_ever(engine.clone(), searcher)))
        .collect();
    let together = latency(&engine, &ingester, "together").await;
    let mut finished = 0;
    for search in searches {
        search.abort();
        finished += usize::from(!search.await.unwrap_err().is_cancelled());
    }
    assert_eq!(finished, 0, "a search failed");
    println!(
        "{:<48} {:<28} {:.2} times the latency without them",
        format!("ingest during eight searches, {database}"),
        format!("{:.2} ms, {:.2} ms alone", millis(together), millis(alone)),
        millis(together) / millis(alone)
    );
    engine.close().await;
}

/// Searches the whole trail for a text that no event has, again and again.
async fn search_for_ever(engine: Engine, searcher: Actor) {
    let mut filter = EventFilter {
        q: Some("no événement has this".to_owned()),
        ..EventFilter::default()
    };
    loop {
        // A full queue refuses; the client tries again.
        match search(&engine, &searcher, &filter).await {
            Ok(page) => filter.cursor = page.next,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Returns the median time of a request with one event.
async fn latency(engine: &Engine, ingester: &Actor, name: &str) -> Duration {
    let mut times = Vec::with_capacity(REQUESTS);
    for number in 0..REQUESTS {
        let body = lines(name, "other", number, 1);
        let start = Instant::now();
        send(engine, ingester, body).await;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[REQUESTS / 2]
}

async fn token(engine: &Engine, admin: &Actor, name: &str, scope: Scope) -> Actor {
    let input = ApiTokenInput {
        name: name.to_owned(),
        scopes: vec![scope],
        expires_in_days: None,
    };
    let created = access::create_token(engine, admin, &input).await.unwrap();
    access::token(engine, &created.token).await.unwrap().unwrap()
}

async fn send(engine: &Engine, ingester: &Actor, body: String) {
    ingest(engine, ingester, BodyFormat::Ndjson, body.into()).await.unwrap();
}

/// Recorded events with new ids, one per line; each has an escape, so that its text is unescaped.
fn lines(name: &str, account: &str, first: usize, count: usize) -> String {
    let recorded: Vec<&str> = EVENTS.lines().collect();
    let with_id = |index: usize| {
        let mut event: Value = serde_json::from_str(recorded[index % recorded.len()]).unwrap();
        event["auditEventId"] = format!("{name}-{index}").into();
        event["auditResourceScope"]["accountIdentifier"] = account.into();
        event["auditEventMetadata"]["said"] = "a \"quoted\" text".into();
        event.to_string() + "\n"
    };
    (first..first + count).map(with_id).collect()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
