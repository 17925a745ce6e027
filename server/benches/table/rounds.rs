//! The measurements of one server with one database.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _};
use tempfile::TempDir;

use crate::events::{COMMON_WORD, RARE_PRINCIPAL, RARE_WORD, Source};
use crate::limits;
use crate::process::{On, Server};
use crate::report::{Figure, Report};
use crate::store::Store;

/// Sizes of the measurements.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Events of the trail; a multiple of 8,000.
    pub events: usize,
    /// Requests with one event.
    pub small: usize,
    pub paced_seconds: usize,
    pub same_destinations: usize,
    pub idle_destinations: usize,
    pub idle_seconds: u64,
}

const LARGE: usize = 500;
const LARGE_AT_ONCE: usize = 16;
const SMALL_AT_ONCE: usize = 64;
const SEARCHES_AT_ONCE: usize = 8;
/// Events of the server itself, such as that of a new destination, wait for the next tick.
const OWN: i64 = 500;
/// Events a second while the index is measured.
const PACE: usize = 15_000;
/// The events that the index lacks even when it is up to date: they wait for others.
const UNINDEXED: f64 = 2_000.0;

/// Measures a trail: ingest, size, search, streaming.
pub async fn trail(report: &mut Report, on: On, plan: Plan, folder: &TempDir, source: &Source) {
    let server = Server::start(on, folder.path(), &[]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    report.add(Figure::Idle, Some(on), server.memory());
    limits::database(report, on, &bare(&server), source).await;
    let bytes = ingest_large(report, &server, plan, source).await;
    size(report, &server, bytes).await;
    searches(report, &server).await;
    stream(report, &server, plan, bytes).await;
    ingest_small(report, &server, plan, source).await;
    paced(report, &server, plan, source).await;
    latency(report, &server, plan, source).await;
    searches_without_index(report, &server).await;
}

/// The address of a database next to the server's, for the bare insert.
fn bare(server: &Server) -> String {
    match server.on {
        On::Sqlite => format!("sqlite://{}?mode=rwc", server.folder.join("bare.db").display()),
        On::Postgres => auditstream_testkit::postgres::database(),
    }
}

fn per_million(seconds: f64, events: usize) -> f64 {
    seconds * 1e6 / events as f64
}

async fn ingest_large(report: &mut Report, server: &Server, plan: Plan, source: &Source) -> f64 {
    let on = Some(server.on);
    let (before, start) = (server.cpu(), Instant::now());
    let requests = plan.events / LARGE;
    stream::iter(0..requests)
        .for_each_concurrent(LARGE_AT_ONCE, async |request| {
            server.send(source.lines(request * LARGE, LARGE)).await;
        })
        .await;
    let rate = plan.events as f64 / start.elapsed().as_secs_f64();
    report.add(Figure::LargeCpu, on, per_million(server.cpu() - before, plan.events));
    report.add(Figure::LargeRate, on, rate);
    if let Some(bare) = report.median(Figure::BareInsert, on) {
        report.add(Figure::LargeRateOfInsert, on, 100.0 * rate / bare);
    }
    indexed(server).await;
    report.add(
        Figure::LargeCpuIndexed,
        on,
        per_million(server.cpu() - before, plan.events),
    );
    let sample = source.lines(0, 10_000).len() as f64 / 10_000.0;
    sample * plan.events as f64
}

/// Waits until the search index has reached the end of the trail, and nothing is left to merge.
async fn indexed(server: &Server) {
    while server.unindexed().await > UNINDEXED {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    loop {
        let before = server.cpu();
        tokio::time::sleep(Duration::from_secs(2)).await;
        if server.cpu() - before < 0.1 {
            return;
        }
    }
}

/// The bytes that the tables take, in groups: those of the search index, and all others.
async fn size(report: &mut Report, server: &Server, events: f64) {
    let url = match server.on {
        On::Sqlite => format!("{}?mode=ro", server.database),
        On::Postgres => server.database.clone(),
    };
    let sql = match server.on {
        On::Sqlite => {
            "SELECT CAST(sum(CASE WHEN name LIKE '%search_%' THEN pgsize ELSE 0 END) AS REAL),
                    CAST(sum(pgsize) AS REAL) FROM dbstat"
        }
        On::Postgres => {
            "SELECT sum(CASE WHEN relname LIKE 'search_%' THEN pg_total_relation_size(oid) ELSE 0 END)::float8,
                    sum(pg_total_relation_size(oid))::float8
             FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace = 'public'::regnamespace"
        }
    };
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    let (index, all): (f64, f64) = sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    report.add(Figure::Bytes, Some(server.on), (all - index) / events);
    report.add(Figure::BytesWithIndex, Some(server.on), all / events);
}

const SEARCHES: [(Figure, &str, &str); 5] = [
    (Figure::RarePrincipal, "principal", RARE_PRINCIPAL),
    (Figure::AbsentPrincipal, "principal", "absent.principal@example.com"),
    (Figure::RareWord, "q", RARE_WORD),
    (Figure::AbsentWord, "q", "xylophonist"),
    (Figure::CommonWord, "q", COMMON_WORD),
];

pub async fn searches(report: &mut Report, server: &Server) {
    const TIMES: usize = 5;
    for (figure, parameter, value) in SEARCHES {
        for _ in 0..TIMES {
            let (_, spent) = server.search(&format!("{parameter}={value}&limit=50")).await;
            report.add(figure, Some(server.on), spent.as_secs_f64() * 1e3);
        }
    }
}

/// Measures searches just after the index was dropped.
async fn searches_without_index(report: &mut Report, server: &Server) {
    server.call(Method::POST, "/v1/search-index/rebuild", None).await;
    let mut slowest = 0.0_f64;
    for (_, parameter, value) in SEARCHES {
        let (_, spent) = server.search(&format!("{parameter}={value}&limit=50")).await;
        slowest = slowest.max(spent.as_secs_f64() * 1e3);
    }
    report.add(Figure::BehindSearch, Some(server.on), slowest);
}

/// Measures the latency of ingest while eight searches run that look for a part of a word, next to
/// the latency without them.
async fn latency(report: &mut Report, server: &Server, plan: Plan, source: &Source) {
    const REQUESTS: usize = 200;
    let median = async |first: usize| {
        let mut spent = Vec::new();
        for request in 0..REQUESTS {
            let lines = source.lines(first + request, 1);
            let start = Instant::now();
            server.send(lines).await;
            spent.push(start.elapsed());
        }
        spent.sort_unstable();
        spent[REQUESTS / 2].as_secs_f64()
    };
    let first = plan.events + plan.small + plan.paced_seconds * PACE;
    let alone = median(first).await;
    let searching = stream::iter(0..).for_each_concurrent(SEARCHES_AT_ONCE, async |_: u64| {
        server.try_search("q=zzqqzz").await;
    });
    let during = tokio::select! {
        () = searching => unreachable!("the searches have no end"),
        during = median(first + REQUESTS) => during,
    };
    report.add(Figure::SearchLatency, Some(server.on), during / alone);
}

async fn create_connector(server: &Server, store: &Store) {
    let connector = json!({"identifier": "aws", "name": "AWS", "spec": {"type": "AWS", "endpoint": store.endpoint,
        "region": "us-east-1", "path_style": true,
        "credentials": {"type": "MANUAL", "access_key": "AKIATEST", "secret_key": "secret"}}});
    server.call(Method::POST, "/v1/connectors", Some(connector)).await;
}

fn destination(name: &str, format: &str, start_at: &str, status: &str) -> Option<Value> {
    Some(
        json!({"identifier": name, "name": name, "connector_ref": "aws", "status": status,
        "spec": {"type": "AWS_S3", "bucket": "bench", "prefix": format!("{name}/"), "format": format,
                 "start_at": start_at}}),
    )
}

async fn create_destination(server: &Server, name: &str, format: &str, start_at: &str) {
    let body = destination(name, format, start_at, "ACTIVE");
    server.call(Method::POST, "/v1/streaming-destinations", body).await;
}

async fn remove(server: &Server, name: &str, format: &str) {
    let path = format!("/v1/streaming-destinations/{name}");
    let body = destination(name, format, "oldest", "INACTIVE");
    server.call(Method::PUT, &path, body).await;
    server.call(Method::DELETE, &path, None).await;
}

/// Waits until every destination has received the backlog. Returns the processor time and the time
/// since the call.
async fn drain(server: &Server) -> (f64, f64) {
    let (before, start) = (server.cpu(), Instant::now());
    loop {
        let page = server
            .call(Method::GET, "/v1/streaming-destinations/aggregate?limit=100", None)
            .await;
        let items = page["items"]
            .as_array()
            .or(page.as_array())
            .cloned()
            .unwrap_or_default();
        let is_done = |item: &Value| {
            item["streaming_details"]["behind"]
                .as_i64()
                .is_some_and(|behind| behind < OWN)
        };
        if !items.is_empty() && items.iter().all(is_done) {
            return (server.cpu() - before, start.elapsed().as_secs_f64());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn stream(report: &mut Report, server: &Server, plan: Plan, bytes: f64) {
    let on = Some(server.on);
    let store = Store::start().await;
    create_connector(server, &store).await;
    server.forget_peak();
    create_destination(server, "one", "ndjson", "oldest").await;
    let (cpu, one) = drain(server).await;
    report.add(Figure::StreamPeak, on, server.peak());
    report.add(Figure::StreamCpu, on, cpu * f64::from(512 << 20) / bytes);
    let rate = bytes / 1e6 / one;
    report.add(Figure::StreamRate, on, rate);
    if let Some(compressor) = report.median(Figure::Compressor, None) {
        report.add(Figure::StreamOfCompressor, on, 100.0 * rate / compressor);
    }
    remove(server, "one", "ndjson").await;

    create_destination(server, "lines", "ndjson", "oldest").await;
    create_destination(server, "array", "json_array", "oldest").await;
    let (_, two) = drain(server).await;
    report.add(Figure::StreamTwo, on, 2.0 * one / two);
    remove(server, "lines", "ndjson").await;
    remove(server, "array", "json_array").await;

    let names = || (0..plan.same_destinations).map(|number| format!("same{number}"));
    for name in names() {
        create_destination(server, &name, "ndjson", "oldest").await;
    }
    let objects = store.received.objects.load(Ordering::Relaxed);
    let (all, _) = drain(server).await;
    assert!(
        store.received.objects.load(Ordering::Relaxed) > objects,
        "nothing was streamed"
    );
    report.add(Figure::StreamHundred, on, all / cpu);
    for name in names() {
        remove(server, &name, "ndjson").await;
    }
}

async fn ingest_small(report: &mut Report, server: &Server, plan: Plan, source: &Source) {
    let (before, start) = (server.cpu(), Instant::now());
    stream::iter(0..plan.small)
        .for_each_concurrent(SMALL_AT_ONCE, async |request| {
            server.send(source.lines(plan.events + request, 1)).await;
        })
        .await;
    let on = Some(server.on);
    report.add(Figure::SmallCpu, on, per_million(server.cpu() - before, plan.small));
    report.add(Figure::SmallRate, on, plan.small as f64 / start.elapsed().as_secs_f64());
}

/// Sends events at a fixed rate, and measures how many the index lacks at the end.
async fn paced(report: &mut Report, server: &Server, plan: Plan, source: &Source) {
    let first = plan.events + plan.small;
    let start = tokio::time::Instant::now();
    let per_second = PACE / LARGE;
    stream::iter(0..plan.paced_seconds * per_second)
        .for_each_concurrent(LARGE_AT_ONCE, async |request| {
            let due = Duration::from_secs_f64(request as f64 / per_second as f64);
            tokio::time::sleep_until(start + due).await;
            server.send(source.lines(first + request * LARGE, LARGE)).await;
        })
        .await;
    let behind = server.unindexed().await;
    report.add(Figure::Behind, Some(server.on), behind / PACE as f64);
}

/// Measures a server whose destinations have nothing to receive.
pub async fn idle(report: &mut Report, on: On, plan: Plan, folder: &TempDir, source: &Source) {
    let server = Server::start(on, folder.path(), &["--stream-interval", "10s"]);
    let store = Store::start().await;
    create_connector(&server, &store).await;
    server.send(source.lines(0, LARGE)).await;
    for number in 0..plan.idle_destinations {
        create_destination(&server, &format!("idle{number}"), "ndjson", "now").await;
    }
    tokio::time::sleep(Duration::from_secs(15)).await;
    let (before, start) = (server.cpu(), Instant::now());
    tokio::time::sleep(Duration::from_secs(plan.idle_seconds)).await;
    let share = (server.cpu() - before) / start.elapsed().as_secs_f64();
    report.add(Figure::Destinations, Some(on), 100.0 * share);
}
