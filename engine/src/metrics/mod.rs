//! Metrics for operators, in the Prometheus text format.
//!
//! Each engine counts its own work. The state of the destinations is read from the database when
//! the metrics are requested. No metric contains a secret or an email address.

mod destinations;
mod render;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use auditstream_model::IngestOutcome;
use metrics::{Counter, Histogram, Key, Label, Level, Metadata, Recorder as _, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

pub use self::render::render;

use crate::error::{Error, Result};

/// Upper bounds of the buckets for the duration of a commit or a PUT, in seconds.
const SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];
/// Upper bounds of the buckets for the number of requests in a commit.
const REQUESTS: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0];

const TASK_RESTARTS: &str = "auditstream_task_restarts_total";
const INGEST_REFUSED: &str = "auditstream_ingest_refused_total";
const PUT: &str = "auditstream_put_total";
const COMMIT_SECONDS: &str = "auditstream_ingest_commit_seconds";
const COMMIT_REQUESTS: &str = "auditstream_ingest_commit_requests";
const PUT_SECONDS: &str = "auditstream_put_seconds";

const METADATA: Metadata<'static> = Metadata::new("auditstream", Level::INFO, None);

/// The gauges of the destinations as text, and when they were read.
type RenderedGauges = (Instant, Arc<str>);

/// The counters and histograms of an engine. Cheap to clone.
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
    removed_events: Counter,
    retention_failures: Counter,
    destinations: Arc<Mutex<Option<RenderedGauges>>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Creates all metrics, at zero.
    pub(crate) fn new() -> Result<Self> {
        let recorder = recorder()?;
        let counter = |name: &'static str, help: &'static str| {
            recorder.describe_counter(name.into(), None, help.into());
            recorder.register_counter(&Key::from_static_name(name), &METADATA)
        };
        let histogram = |name: &'static str, unit, help: &'static str| {
            recorder.describe_histogram(name.into(), unit, help.into());
            recorder.register_histogram(&Key::from_static_name(name), &METADATA)
        };
        let seconds = Some(Unit::Seconds);
        Ok(Self {
            ingest_requests: counter("auditstream_ingest_requests_total", "Ingest requests"),
            ingest_events: counter("auditstream_ingest_events_total", "Stored events"),
            ingest_duplicates: counter("auditstream_ingest_duplicates_total", "Events that were already stored"),
            commit_seconds: histogram(COMMIT_SECONDS, seconds, "Duration of the commits that store events"),
            commit_requests: histogram(COMMIT_REQUESTS, None, "Ingest requests stored by one commit"),
            put_seconds: histogram(PUT_SECONDS, seconds, "Duration of PUTs to buckets"),
            delivered_events: counter(
                "auditstream_delivered_events_total",
                "Events whose delivery is confirmed",
            ),
            delivered_bytes: counter(
                "auditstream_delivered_bytes_total",
                "Bytes whose delivery is confirmed, before compression",
            ),
            runs: counter("auditstream_runs_total", "Runs of the scheduler over one destination"),
            takeovers: counter(
                "auditstream_lease_takeovers_total",
                "Runs taken over from a server that ended unexpectedly",
            ),
            removed_events: counter(
                "auditstream_retention_removed_events_total",
                "Events removed because of their age",
            ),
            retention_failures: counter(
                "auditstream_retention_failures_total",
                "Failed attempts to remove the old events of an account",
            ),
            handle: recorder.handle(),
            recorder: Arc::new(recorder),
            destinations: Arc::default(),
        })
    }

    /// Counts an ingest request and its events.
    pub(crate) fn ingested(&self, result: &Result<IngestOutcome>) {
        self.ingest_requests.increment(1);
        match result {
            Ok(outcome) => {
                self.ingest_events.increment(outcome.accepted.into());
                self.ingest_duplicates.increment(outcome.duplicates.into());
            }
            Err(error) => self.count(INGEST_REFUSED, "code", error.code().as_str()),
        }
    }

    /// Records a commit that stored the events of `requests` ingest requests.
    pub(crate) fn committed(&self, requests: usize, took: Duration) {
        self.commit_seconds.record(took);
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        self.commit_requests.record(f64::from(requests));
    }

    /// Records a PUT, with or without a response.
    pub(crate) fn put(&self, outcome: &str, took: Duration) {
        self.put_seconds.record(took);
        self.count(PUT, "outcome", outcome);
    }

    /// Counts a batch whose delivery is confirmed.
    pub(crate) fn delivered(&self, events: i64, bytes: i64) {
        self.delivered_events.increment(events.unsigned_abs());
        self.delivered_bytes.increment(bytes.unsigned_abs());
    }

    /// Counts a run, and whether it was taken over from another server.
    pub(crate) fn run(&self, taken_over: bool) {
        self.runs.increment(1);
        self.takeovers.increment(taken_over.into());
    }

    /// Counts runs that had nothing to send.
    pub(crate) fn idle_runs(&self, runs: u64) {
        self.runs.increment(runs);
    }

    /// Counts events that were removed because of their age.
    pub(crate) fn removed(&self, events: u64) {
        self.removed_events.increment(events);
    }

    /// Counts a failed attempt to remove old events.
    pub(crate) fn retention_failed(&self) {
        self.retention_failures.increment(1);
    }

    /// Returns the counter of the restarts of a background task.
    pub(crate) fn task_restarts(&self, task: &'static str) -> Counter {
        let key = Key::from_parts(TASK_RESTARTS, vec![Label::new("task", task)]);
        self.recorder.register_counter(&key, &METADATA)
    }

    /// Adds the recorded durations to their buckets, so that their memory stays bounded between
    /// requests.
    pub(crate) fn fold(&self) {
        self.handle.run_upkeep();
    }

    fn count(&self, name: &'static str, label: &'static str, value: &str) {
        let labels = vec![Label::new(label, value.to_owned())];
        self.recorder
            .register_counter(&Key::from_parts(name, labels), &METADATA)
            .increment(1);
    }
}

/// Creates a recorder with the buckets of the histograms and the counters that have labels.
fn recorder() -> Result<PrometheusRecorder> {
    let of = |name: &str| Matcher::Full(name.to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(of(COMMIT_SECONDS), &SECONDS)
        .and_then(|it| it.set_buckets_for_metric(of(PUT_SECONDS), &SECONDS))
        .and_then(|it| it.set_buckets_for_metric(of(COMMIT_REQUESTS), &REQUESTS))
        .map_err(|error| Error::Broken(error.to_string()))?;
    let recorder = builder.build_recorder();
    recorder.describe_counter(
        INGEST_REFUSED.into(),
        None,
        "Refused ingest requests, by error code".into(),
    );
    recorder.describe_counter(
        TASK_RESTARTS.into(),
        None,
        "Restarts of background tasks that ended unexpectedly, by task".into(),
    );
    recorder.describe_counter(
        PUT.into(),
        None,
        "PUTs to buckets, by outcome: delivered, unverified or a failure code".into(),
    );
    Ok(recorder)
}
