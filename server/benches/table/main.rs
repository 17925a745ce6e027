//! The figures of ingest, storage, search and streaming of the built binary, next to the limits of
//! the machine in the same run, on both databases. `make bench` runs it and writes BENCHMARKS.md;
//! `make bench-quick` takes about two minutes and writes no file; `make bench-large` fills a trail.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark is read by people"
)]

mod events;
mod large;
mod limits;
mod process;
mod report;
mod rounds;
mod store;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use auditstream_testkit::postgres;

use events::Source;
use process::On;
use report::Report;
use rounds::Plan;

/// The number of times that a full run measures each trail. The databases take turns.
const ROUNDS: usize = 3;

const WHOLE: Plan = Plan {
    events: 1_000_000,
    small: 50_000,
    paced_seconds: 60,
    same_destinations: 100,
    idle_destinations: 1_000,
    idle_seconds: 60,
};
const QUICK: Plan = Plan {
    events: 80_000,
    small: 5_000,
    paced_seconds: 5,
    same_destinations: 10,
    idle_destinations: 100,
    idle_seconds: 10,
};

#[tokio::main]
async fn main() {
    let is_quick = std::env::var_os("AUDITSTREAM_BENCH_QUICK").is_some();
    let plan = if is_quick { QUICK } else { WHOLE };
    postgres::synced();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let start = now - 4 * 3_600_000;
    let source = Source::new(start);
    if let Some(events) = std::env::var_os("AUDITSTREAM_BENCH_LARGE") {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-large");
        large::run(events.to_str().unwrap().parse().unwrap(), &folder, start).await;
        return;
    }
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = || tempfile::tempdir_in(temporary).unwrap();
    let mut report = Report::default();
    for _ in 0..if is_quick { 1 } else { ROUNDS } {
        limits::machine(&mut report, folder().path(), &source).await;
        for on in On::BOTH {
            rounds::trail(&mut report, on, plan, &folder(), &source).await;
        }
    }
    for on in On::BOTH {
        rounds::idle(&mut report, on, plan, &folder(), &source).await;
    }
    if !is_quick {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../BENCHMARKS.md");
        report.write(&file, "make bench", plan.events);
    }
}
