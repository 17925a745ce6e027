//! The speed of ingest and streaming, next to the limits of the disk and the compressor of the same
//! machine in the same run. `make bench` runs it. `AUDITSTREAM_BENCH_EVENTS` sets the number of
//! streamed events (200,000).
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark is read by people"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use auditstream_engine::database::Limits;
use auditstream_engine::streaming::encode;
use auditstream_engine::trail::{BodyFormat, ingest};
use auditstream_engine::{
    Actor, AwsSettings, Clock, Config, EgressPolicy, Engine, MasterKey, Merging, Pacing, Retention, access, connectors,
    destinations,
};
use auditstream_model::{AccountName, ApiTokenInput, Compression, ListQuery, Scope, Status};
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use auditstream_testkit::events::NDJSON as EVENTS;
use auditstream_testkit::s3::{BUCKET, SECRET, Store};

/// Events of a large request.
const LARGE: usize = 10_000;
/// Requests with one event each, and how many are under way at once.
const SMALL: usize = 20_000;
const AT_ONCE: usize = 64;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let syncs = synced_appends(folder.path());
    line(
        "the disk: appends of 4 KiB, each synced",
        &format!("{} a second", whole(syncs)),
        "",
    );
    let disk = sequential_write(folder.path());
    line(
        "the disk: one large write, synced",
        &format!("{} MB/s", whole(disk)),
        "",
    );
    let content = lines(0, 15_000);
    let gzip = of(
        content.len(),
        &timed(|| encode::compress(content.as_bytes(), Compression::Gzip, None).unwrap()),
    );
    line("gzip on one core", &format!("{} MB/s", whole(gzip)), "");

    let engine = open(folder.path()).await;
    let admin = Actor::command_line(&engine, &AccountName::default_account())
        .await
        .unwrap();
    let input = ApiTokenInput {
        name: "bench".to_owned(),
        scopes: vec![Scope::Ingest],
        expires_in_days: None,
    };
    let token = access::create_token(&engine, &admin, &input).await.unwrap().token;
    let ingester = access::token(&engine, &token).await.unwrap().unwrap();

    let start = Instant::now();
    stream::iter(0..SMALL)
        .for_each_concurrent(AT_ONCE, async |index| send(&engine, &ingester, lines(index, 1)).await)
        .await;
    let rate = per_second(SMALL, start.elapsed());
    line(
        &format!("ingest: one event a request, {AT_ONCE} at once"),
        &format!("{} events/s", whole(rate)),
        &format!("{:.1} for each synced append that the disk can do", rate / syncs),
    );

    let total = std::env::var("AUDITSTREAM_BENCH_EVENTS").map_or(200_000, |text| text.parse().unwrap());
    let mut bytes = 0;
    let mut spent = Duration::ZERO;
    for first in (SMALL..SMALL + total).step_by(LARGE) {
        let body = lines(first, LARGE);
        bytes += body.len();
        let start = Instant::now();
        send(&engine, &ingester, body).await;
        spent += start.elapsed();
    }
    let megabytes = of(bytes, &spent);
    line(
        &format!("ingest: {LARGE} events a request, one at a time"),
        &format!(
            "{} events/s, {} MB/s",
            whole(per_second(total, spent)),
            whole(megabytes)
        ),
        &format!("{:.0} % of the disk's large write", 100.0 * megabytes / disk),
    );

    let background = engine.start();
    let store = Store::start().await;
    let connector = json!({"identifier": "aws", "name": "AWS", "spec": {"type": "AWS", "endpoint": store.endpoint,
        "path_style": true, "credentials": {"type": "MANUAL", "access_key": "AKIATEST", "secret_key": SECRET}}});
    connectors::create(&engine, &admin, from(connector)).await.unwrap();
    let destination = json!({"identifier": "siem", "name": "SIEM", "connector_ref": "aws",
        "spec": {"type": "AWS_S3", "bucket": BUCKET, "start_at": "oldest"}});
    destinations::create(&engine, &admin, from(destination)).await.unwrap();
    let start = Instant::now();
    destinations::set_status(&engine, &admin, "siem", Status::Active)
        .await
        .unwrap();
    while destinations::aggregate(&engine, &admin, &ListQuery::default())
        .await
        .unwrap()
        .items[0]
        .streaming_details
        .behind
        != Some(0)
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let spent = start.elapsed();
    let megabytes = of(bytes, &spent);
    line(
        &format!("streaming: a backlog of {} events, gzip", total + SMALL),
        &format!(
            "{} events/s, {} MB/s",
            whole(per_second(total + SMALL, spent)),
            whole(megabytes)
        ),
        &format!("{:.0} % of gzip on one core", 100.0 * megabytes / gzip),
    );
    background.stop().await;
    engine.close().await;
}

/// Appends of 4 KiB a second, each synced.
fn synced_appends(folder: &Path) -> f64 {
    const APPENDS: usize = 300;
    let mut file = File::create(folder.join("appends")).unwrap();
    let spent = timed(|| {
        for _ in 0..APPENDS {
            file.write_all(&[1; 4096]).unwrap();
            file.sync_data().unwrap();
        }
    });
    per_second(APPENDS, spent)
}

/// MB/s of one large write.
fn sequential_write(folder: &Path) -> f64 {
    let block = vec![1; 1 << 20];
    let mut file = File::create(folder.join("large")).unwrap();
    let spent = timed(|| {
        for _ in 0..256 {
            file.write_all(&block).unwrap();
        }
        file.sync_data().unwrap();
    });
    of(256 << 20, &spent)
}

async fn open(folder: &Path) -> Engine {
    let config = Config {
        database: folder.join("auditstream.db").into(),
        limits: Limits::default(),
        data_dir: None,
        master_key: MasterKey::load_or_create(&folder.join("master.key")).unwrap(),
        streaming_enabled: true,
        stream_interval: Duration::from_secs(3600),
        aws: AwsSettings::default(),
        egress_policy: EgressPolicy::default(),
        retention: Retention::default(),
        merging: Merging::default(),
        pacing: Pacing::default(),
        clock: Clock::default(),
        ids: auditstream_engine::IdSettings::default(),
    };
    Engine::open(config).await.unwrap()
}

async fn send(engine: &Engine, ingester: &Actor, body: String) {
    ingest(engine, ingester, BodyFormat::Ndjson, body.into()).await.unwrap();
}

/// Recorded events with new ids, one per line.
fn lines(first: usize, count: usize) -> String {
    let real: Vec<&str> = EVENTS.lines().collect();
    let with_id = |index: usize| {
        let mut event: Value = serde_json::from_str(real[index % real.len()]).unwrap();
        event["auditEventId"] = format!("bench-{index}").into();
        event.to_string() + "\n"
    };
    (first..first + count).map(with_id).collect()
}

fn from<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed()
}

fn per_second(count: usize, spent: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / spent.as_secs_f64()
}

/// MB/s.
fn of(bytes: usize, spent: &Duration) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap()) / 976.562_5 / spent.as_secs_f64()
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}

fn line(what: &str, figure: &str, limit: &str) {
    println!("{what:<48} {figure:<28} {limit}");
}
