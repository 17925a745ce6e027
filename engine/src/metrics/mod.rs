//! What operators watch, in Prometheus' text format. Each engine counts for itself; what is known of destinations is read
//! from the database when it is asked for. No secret and no person's address is in it.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use auditstream_model::{IngestOutcome, Sequence};
use metrics::{Counter, Histogram, Key, Label, Level, Metadata, Recorder as _, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use sqlx::FromRow;

use crate::Engine;
use crate::database::now;
use crate::error::{Error, Result};
use crate::retention;

/// For how long what was read of the destinations is shown again.
const FRESH: Duration = Duration::from_secs(2);

/// Seconds that a commit or a PUT takes.
const SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];
/// Requests of one commit.
const GROUP: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0];

const META: Metadata<'static> = Metadata::new("auditstream", Level::INFO, None);

/// What was read of the destinations, and when.
type Known = (Instant, Arc<str>);

/// What an engine counts.
#[derive(Clone)]
pub(crate) struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    ingest_requests: Counter,
    ingest_events: Counter,
    ingest_duplicates: Counter,
    commit_seconds: Histogram,
    commit_requests: Histogram,
    put_seconds: Histogram,
    delivered_events: Counter,
    delivered_bytes: Counter,
    runs: Counter,
    takeovers: Counter,
    removed: Counter,
    retention_failures: Counter,
    destinations: Arc<Mutex<Option<Known>>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Everything at zero.
    pub(crate) fn new() -> Result<Self> {
        let of = |name: &str| Matcher::Full(name.to_owned());
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(of("auditstream_ingest_commit_seconds"), &SECONDS)
            .and_then(|it| it.set_buckets_for_metric(of("auditstream_put_seconds"), &SECONDS))
            .and_then(|it| it.set_buckets_for_metric(of("auditstream_ingest_commit_requests"), &GROUP))
            .map_err(|error| Error::Broken(error.to_string()))?;
        let recorder = builder.build_recorder();
        let counter = |name: &'static str, what: &'static str| {
            recorder.describe_counter(name.into(), None, what.into());
            recorder.register_counter(&Key::from_static_name(name), &META)
        };
        let histogram = |name: &'static str, unit, what: &'static str| {
            recorder.describe_histogram(name.into(), unit, what.into());
            recorder.register_histogram(&Key::from_static_name(name), &META)
        };
        recorder.describe_counter(
            "auditstream_ingest_refused_total".into(),
            None,
            "Ingest requests that were refused, by the code of the problem".into(),
        );
        recorder.describe_counter(
            "auditstream_put_total".into(),
            None,
            "PUTs to buckets, by outcome: delivered, unverified, or what went wrong".into(),
        );
        Ok(Self {
            ingest_requests: counter("auditstream_ingest_requests_total", "Ingest requests"),
            ingest_events: counter("auditstream_ingest_events_total", "Events that were stored"),
            ingest_duplicates: counter("auditstream_ingest_duplicates_total", "Events that were there already"),
            commit_seconds: histogram(
                "auditstream_ingest_commit_seconds",
                Some(Unit::Seconds),
                "Duration of the commits that store events",
            ),
            commit_requests: histogram(
                "auditstream_ingest_commit_requests",
                None,
                "Ingest requests that shared a commit",
            ),
            put_seconds: histogram(
                "auditstream_put_seconds",
                Some(Unit::Seconds),
                "Duration of PUTs to buckets",
            ),
            delivered_events: counter("auditstream_delivered_events_total", "Events that were confirmed"),
            delivered_bytes: counter(
                "auditstream_delivered_bytes_total",
                "Bytes that were confirmed, before compression",
            ),
            runs: counter("auditstream_runs_total", "Runs of the scheduler over one destination"),
            takeovers: counter(
                "auditstream_lease_takeovers_total",
                "Runs that were taken over from a server that stopped without a word",
            ),
            removed: counter(
                "auditstream_retention_removed_events_total",
                "Events that were removed because of their age",
            ),
            retention_failures: counter(
                "auditstream_retention_failures_total",
                "Times that old events of an account could not be removed",
            ),
            handle: recorder.handle(),
            recorder: Arc::new(recorder),
            destinations: Arc::default(),
        })
    }

    fn count(&self, name: &'static str, label: &'static str, value: &str) {
        let labels = vec![Label::new(label, value.to_owned())];
        self.recorder
            .register_counter(&Key::from_parts(name, labels), &META)
            .increment(1);
    }

    /// What became of an ingest request.
    pub(crate) fn ingested(&self, result: &Result<IngestOutcome>) {
        self.ingest_requests.increment(1);
        match result {
            Ok(outcome) => {
                self.ingest_events.increment(outcome.accepted.into());
                self.ingest_duplicates.increment(outcome.duplicates.into());
            }
            Err(error) => self.count(
                "auditstream_ingest_refused_total",
                "code",
                error.problem().code.as_str(),
            ),
        }
    }

    /// So many requests were committed together.
    pub(crate) fn committed(&self, requests: usize, took: Duration) {
        self.commit_seconds.record(took);
        self.commit_requests
            .record(f64::from(u32::try_from(requests).unwrap_or(u32::MAX)));
    }

    /// A PUT was answered, or was not.
    pub(crate) fn put(&self, outcome: &str, took: Duration) {
        self.put_seconds.record(took);
        self.count("auditstream_put_total", "outcome", outcome);
    }

    /// A batch was confirmed.
    pub(crate) fn delivered(&self, events: i64, bytes: i64) {
        self.delivered_events.increment(events.unsigned_abs());
        self.delivered_bytes.increment(bytes.unsigned_abs());
    }

    /// A run began; whether it was another server's before.
    pub(crate) fn run(&self, taken_over: bool) {
        self.runs.increment(1);
        self.takeovers.increment(taken_over.into());
    }

    /// Events were old enough.
    pub(crate) fn removed(&self, events: u64) {
        self.removed.increment(events);
    }

    /// Old events could not be removed.
    pub(crate) fn retention_failed(&self) {
        self.retention_failures.increment(1);
    }

    /// Folds what was measured into its buckets, so that it takes no memory while nobody asks.
    pub(crate) fn fold(&self) {
        self.handle.run_upkeep();
    }
}

/// Everything, as text. When the database does not answer it says so in `auditstream_database_up`, and leaves out what it
/// would have read there.
pub async fn render(engine: &Engine) -> String {
    let metrics = engine.metrics();
    let mut text = metrics.handle.render();
    let mut one = |name: &str, kind: &str, what: &str, labels: &str, value: u64| {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "# HELP {name} {what}\n# TYPE {name} {kind}\n{name}{labels} {value}\n"
        );
    };
    let errors = crate::database::errors::counted();
    one(
        "auditstream_database_errors_total",
        "counter",
        "Errors of the database",
        "",
        errors,
    );
    one(
        "auditstream_ingest_queue_bytes",
        "gauge",
        "Bytes of events that wait to be written",
        "",
        engine.writer().waiting_bytes() as u64,
    );
    one(
        "auditstream_build_info",
        "gauge",
        "What runs here",
        concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}"),
        1,
    );
    let known = metrics
        .destinations
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
        .filter(|(at, _)| at.elapsed() < FRESH);
    let read = match known {
        Some((_, known)) => Ok(known),
        None => destinations(engine).await.map(Arc::<str>::from),
    };
    one(
        "auditstream_database_up",
        "gauge",
        "Whether the database answers",
        "",
        read.is_ok().into(),
    );
    match read {
        Ok(read) => {
            text.push_str(&read);
            let mut known = metrics.destinations.lock().unwrap_or_else(PoisonError::into_inner);
            if known.as_ref().is_none_or(|(at, _)| at.elapsed() >= FRESH) {
                *known = Some((Instant::now(), read));
            }
        }
        Err(error) => tracing::warn!(%error, "the destinations cannot be read for the metrics"),
    }
    text
}

#[derive(FromRow)]
struct Row {
    id: i64,
    account_id: i64,
    account: String,
    identifier: String,
    status: String,
    cursor: Option<Sequence>,
    last_streamed_at: Option<i64>,
    failing: i64,
    last_sequence: Sequence,
    /// When the first event that waits was received.
    waiting_since: Option<i64>,
}

/// The gauges of all destinations. Names of accounts and identifiers need no escaping.
async fn destinations(engine: &Engine) -> Result<String> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT d.id, d.account_id, a.name AS account, d.identifier, d.status, d.cursor, d.last_streamed_at, \
         CAST(CASE WHEN d.failure IS NULL THEN 0 ELSE 1 END AS BIGINT) AS failing, a.last_sequence, \
         (SELECT received FROM audit_event e WHERE e.account_id = d.account_id AND e.sequence = d.cursor + 1) AS waiting_since \
         FROM streaming_destination d JOIN account a ON a.id = d.account_id ORDER BY a.name, d.identifier",
    )
    .fetch_all(engine.database().read())
    .await?;
    let mut gauges: [(&str, &str, String); 7] = [
        ("active", "Whether it is ACTIVE", String::new()),
        ("failing", "Whether its last attempt failed", String::new()),
        ("lag_events", "Events that it has yet to receive", String::new()),
        (
            "lag_seconds",
            "Seconds since the first event that waits for it was received",
            String::new(),
        ),
        (
            "last_streamed_timestamp_seconds",
            "When a run last succeeded, with or without events",
            String::new(),
        ),
        (
            "held_back_events",
            "Events older than the retention that are kept for it alone",
            String::new(),
        ),
        ("held_back_bytes", "Bytes of these", String::new()),
    ];
    for row in rows {
        let held = retention::retained_for(engine, row.account_id, row.id, row.cursor).await?;
        let whole = |value: i64| (value, 0);
        let seconds = |ms: i64| (ms / 1000, ms % 1000);
        let values = [
            Some(whole((row.status == "ACTIVE").into())),
            Some(whole(row.failing)),
            row.cursor.map(|cursor| whole(row.last_sequence - cursor)),
            row.cursor
                .map(|_| seconds(row.waiting_since.map_or(0, |since| now() - since).max(0))),
            row.last_streamed_at.map(seconds),
            Some(whole(held.map_or(0, |held| held.events))),
            Some(whole(held.map_or(0, |held| held.bytes))),
        ];
        for ((name, _, lines), value) in gauges.iter_mut().zip(values) {
            if let Some((value, thousandths)) = value {
                let _ = writeln!(
                    lines,
                    "auditstream_destination_{name}{{account=\"{}\",destination=\"{}\"}} {value}.{thousandths:03}",
                    row.account, row.identifier
                );
            }
        }
    }
    let mut text = String::new();
    for (name, what, lines) in gauges.into_iter().filter(|(.., lines)| !lines.is_empty()) {
        let _ = writeln!(
            text,
            "# HELP auditstream_destination_{name} {what}\n# TYPE auditstream_destination_{name} gauge\n{lines}"
        );
    }
    Ok(text)
}
