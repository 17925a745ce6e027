//! The table of figures, and its file.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::process::On;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Figure {
    Bytes,
    BytesWithIndex,
    LargeCpu,
    LargeCpuIndexed,
    LargeRate,
    LargeRateOfInsert,
    SmallCpu,
    SmallRate,
    Behind,
    StreamCpu,
    StreamRate,
    StreamOfCompressor,
    StreamTwo,
    StreamHundred,
    StreamPeak,
    Idle,
    RarePrincipal,
    AbsentPrincipal,
    RareWord,
    AbsentWord,
    CommonWord,
    BehindSearch,
    SearchLatency,
    Destinations,
    DiskSyncs,
    DiskWrite,
    BareInsert,
    Compressor,
    CompressorCpu,
    Puts,
    LookUp,
}

use Figure::*;

/// Each figure with its name, unit and target.
const ROWS: [(Figure, &str, &str, &str); 31] = [
    (
        Bytes,
        "database bytes per byte of event, without the search index",
        "×",
        "≤ 0.35 / ≤ 0.45",
    ),
    (BytesWithIndex, "the same with the search index", "×", "≤ 0.45 / ≤ 0.60"),
    (
        LargeCpu,
        "ingest, 16 connections × 500 events: CPU for a million until answered",
        "s",
        "≤ 18",
    ),
    (LargeCpuIndexed, "the same until everything is indexed", "s", "≤ 40"),
    (LargeRate, "the same: rate", "events/s", ""),
    (
        LargeRateOfInsert,
        "the same, next to a bare insert of the same bytes",
        "%",
        "",
    ),
    (
        SmallCpu,
        "ingest, 64 connections × 1 event: CPU for a million",
        "s",
        "≤ 120",
    ),
    (SmallRate, "the same: rate", "events/s", ""),
    (Behind, "how far the index is behind at 15,000 events/s", "s", "≤ 60"),
    (
        StreamCpu,
        "streaming a backlog, gzip 6: CPU for 512 MiB",
        "s",
        "≤ compressor + 1.8, at most 4.5",
    ),
    (StreamRate, "the same: rate", "MB/s", ""),
    (
        StreamOfCompressor,
        "the same, next to the compressor alone on one core",
        "%",
        "≥ 90",
    ),
    (
        StreamTwo,
        "two destinations that want different bytes, next to one",
        "×",
        "≥ 1.6",
    ),
    (
        StreamHundred,
        "100 destinations that want the same bytes: CPU next to one",
        "×",
        "≤ 2",
    ),
    (StreamPeak, "peak memory while streaming", "MiB", "≤ 128"),
    (Idle, "idle memory", "MiB", "≤ 40"),
    (RarePrincipal, "search: a rare principal", "ms", "≤ 20"),
    (AbsentPrincipal, "search: an absent principal", "ms", "≤ 20"),
    (RareWord, "search: a rare word", "ms", "≤ 100"),
    (AbsentWord, "search: an absent word", "ms", "≤ 50"),
    (CommonWord, "search: a common word, first page", "ms", "≤ 100"),
    (
        BehindSearch,
        "the slowest of these while the index is dropped",
        "ms",
        "≤ 2,000",
    ),
    (
        SearchLatency,
        "latency of ingest while eight searches look for a part of a word, next to without",
        "×",
        "≤ 2",
    ),
    (
        Destinations,
        "1,000 idle destinations at 10 s: share of a core",
        "%",
        "≤ 2",
    ),
    (DiskSyncs, "limit: appends of 4 KiB, each synced", "1/s", ""),
    (DiskWrite, "limit: one large write, synced", "MB/s", ""),
    (
        BareInsert,
        "limit: a bare insert of the same bytes, 500 rows a commit",
        "events/s",
        "",
    ),
    (Compressor, "limit: the compressor alone on one core", "MB/s", ""),
    (CompressorCpu, "limit: the compressor alone, CPU for 512 MiB", "s", ""),
    (Puts, "limit: PUTs of ready-made objects", "MB/s", ""),
    (LookUp, "limit: a look-up by primary key", "µs", ""),
];

/// The samples of all figures.
#[derive(Debug, Default)]
pub struct Report {
    samples: HashMap<(Figure, Option<On>), Vec<f64>>,
}

impl Report {
    /// Adds a sample and prints it.
    pub fn add(&mut self, figure: Figure, on: Option<On>, value: f64) {
        let (_, name, unit, _) = ROWS.iter().find(|row| row.0 == figure).unwrap();
        let database = on.map_or("", On::name);
        println!("{database:<11} {name:<75} {} {unit}", short(value));
        self.samples.entry((figure, on)).or_default().push(value);
    }

    /// The median of the samples so far.
    pub fn median(&self, figure: Figure, on: Option<On>) -> Option<f64> {
        let mut sorted = self.samples.get(&(figure, on))?.clone();
        sorted.sort_by(f64::total_cmp);
        Some(sorted[sorted.len() / 2])
    }

    /// Writes the table, with the machine, the commit and the command.
    pub fn write(&self, file: &Path, command: &str, events: usize) {
        let mut out = String::from("# Benchmarks\n\n");
        let _ = writeln!(
            out,
            "Written by `{command}` on {} with {} processors, {}; commit {}. {events} events of about 940 bytes, \
             recorded ones with new ids. Medians; in parentheses the smallest and the largest sample. Every commit is \
             synced. The load generator, the store and PostgreSQL share the processors with the server.\n",
            first_line("uname", &["-srm"]),
            std::thread::available_parallelism().map_or(1, usize::from),
            processor(),
            first_line("git", &["rev-parse", "--short", "HEAD"]),
        );
        out.push_str("| figure | unit | target | SQLite | PostgreSQL |\n| --- | --- | --- | --- | --- |\n");
        for (figure, name, unit, target) in ROWS {
            let cell = |on| self.cell(figure, on);
            let (sqlite, postgres) = match cell(None) {
                Some(both) => (both, String::new()),
                None => (
                    cell(Some(On::Sqlite)).unwrap_or_else(|| "–".to_owned()),
                    cell(Some(On::Postgres)).unwrap_or_else(|| "–".to_owned()),
                ),
            };
            let _ = writeln!(out, "| {name} | {unit} | {target} | {sqlite} | {postgres} |");
        }
        std::fs::write(file, out).unwrap();
    }

    fn cell(&self, figure: Figure, on: Option<On>) -> Option<String> {
        let samples = self.samples.get(&(figure, on))?;
        let median = short(self.median(figure, on)?);
        if samples.len() == 1 {
            return Some(median);
        }
        let low = samples.iter().copied().fold(f64::INFINITY, f64::min);
        let high = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(format!("{median} ({}–{})", short(low), short(high)))
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    model
        .unwrap_or("unknown")
        .trim_start_matches(['\t', ':', ' '])
        .to_owned()
}
