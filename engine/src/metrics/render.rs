use std::fmt::Write as _;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::{Metrics, destinations};
use crate::Engine;
use crate::database::errors;
use crate::error::Result;

/// How long the gauges of the destinations are reused.
const FRESH: Duration = Duration::from_secs(2);

/// Renders all metrics. If the database cannot be read, `auditstream_database_up` is 0 and the
/// gauges of the destinations are missing.
pub async fn render(engine: &Engine) -> String {
    let mut text = engine.metrics().handle.render();
    let mut add = |name: &str, kind: &str, help: &str, labels: &str, value: u64| {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels} {value}\n"
        );
    };
    add(
        "auditstream_database_errors_total",
        "counter",
        "Errors of the database",
        "",
        errors::counted(),
    );
    add(
        "auditstream_ingest_queue_bytes",
        "gauge",
        "Bytes of events that wait to be written",
        "",
        engine.writer().waiting_bytes() as u64,
    );
    let ids = engine.database().id_filters().usage();
    add(
        "auditstream_id_filter_bytes",
        "gauge",
        "Memory for the filters of event ids",
        "",
        ids.bytes as u64,
    );
    add(
        "auditstream_id_filters_missing",
        "gauge",
        "Complete generations of event ids whose filter is not in memory",
        "",
        ids.without as u64,
    );
    add(
        "auditstream_clock_fault",
        "gauge",
        "Whether the clock of the server is in doubt, so that it removes no old events",
        "",
        engine.watched_clock().is_in_doubt().into(),
    );
    add(
        "auditstream_build_info",
        "gauge",
        "The version of the server",
        concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}"),
        1,
    );
    let destinations = destinations(engine).await;
    add(
        "auditstream_database_up",
        "gauge",
        "Whether the database responds",
        "",
        destinations.is_ok().into(),
    );
    match destinations {
        Ok(gauges) => text.push_str(&gauges),
        Err(error) => tracing::warn!(%error, "the destinations cannot be read for the metrics"),
    }
    text
}

/// The gauges of the destinations, at most [`FRESH`] old.
async fn destinations(engine: &Engine) -> Result<Arc<str>> {
    let metrics = engine.metrics();
    if let Some(gauges) = fresh(metrics) {
        return Ok(gauges);
    }
    let gauges: Arc<str> = destinations::render(engine).await?.into();
    let mut cached = metrics.destinations.lock().unwrap_or_else(PoisonError::into_inner);
    *cached = Some((Instant::now(), Arc::clone(&gauges)));
    Ok(gauges)
}

fn fresh(metrics: &Metrics) -> Option<Arc<str>> {
    let cached = metrics.destinations.lock().unwrap_or_else(PoisonError::into_inner);
    let (at, gauges) = cached.as_ref()?;
    (at.elapsed() < FRESH).then(|| Arc::clone(gauges))
}
