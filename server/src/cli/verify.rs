//! `auditstream verify`

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use auditstream_engine::evidence::note::Verifier;
use auditstream_engine::evidence::verify::{Folder, Options, Report, S3Source, Severity, Source, Totals, verify};
use auditstream_model::EpochMillis;
use jiff::Timestamp;

use super::output::{Progress, print_block};
use crate::configuration::Verify;
use crate::fatal::Fatal;

/// The exit code if something is wrong with a copy.
const WRONG: u8 = 1;
/// The exit code if something could not be verified.
const UNPROVEN: u8 = 2;

/// Runs the command.
pub async fn run(options: Verify) -> Result<(), Fatal> {
    let keys = options
        .key
        .iter()
        .map(|key| read_key(key))
        .collect::<Result<Vec<_>, _>>()?;
    let mut expected = Vec::new();
    for file in &options.expect {
        let bytes = fs::read(file).map_err(|error| cannot_read(file, &error))?;
        expected.push((file.display().to_string(), bytes));
    }
    let mut sources = Vec::new();
    for place in &options.places {
        sources.push(open(place).await?);
    }
    let (since, versions) = (options.since, options.versions);
    let work = move || check(&sources, &keys, &expected, since, versions);
    let report = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Fatal::internal())??;
    let text = if options.json { json(&report) } else { text(&report) };
    print_block(&text)?;
    match report.verdict {
        Severity::Note => Ok(()),
        Severity::Unproven => Err(cannot_verify("not everything could be verified")),
        Severity::Wrong => {
            let kinds = report
                .counts
                .iter()
                .filter(|(kind, _)| kind.severity() == Severity::Wrong);
            let faults: u64 = kinds.map(|(_, count)| count).sum();
            Err(Fatal::new(format!("the copy is not what the server wrote: {faults} fault(s)")).with_exit_code(WRONG))
        }
    }
}

async fn open(place: &str) -> Result<Box<dyn Source>, Fatal> {
    if place.starts_with("s3://") {
        let source = S3Source::open(place).await;
        let source = source.ok_or_else(|| cannot_verify(format!("{place} is not s3://BUCKET/PREFIX")))?;
        return Ok(Box::new(source));
    }
    if !Path::new(place).is_dir() {
        return Err(cannot_verify(format!("there is no folder {place}")));
    }
    Ok(Box::new(Folder::new(place)))
}

/// Reads a vkey, or a file with one.
fn read_key(text: &str) -> Result<Verifier, Fatal> {
    let file = Path::new(text);
    let text = if file.is_file() {
        fs::read_to_string(file).map_err(|error| cannot_read(file, &error))?
    } else {
        text.to_owned()
    };
    Verifier::parse(&text).map_err(|error| cannot_verify(format!("invalid --key: {error}")))
}

fn check(
    sources: &[Box<dyn Source>],
    keys: &[Verifier],
    expected: &[(String, Vec<u8>)],
    since: Option<EpochMillis>,
    versions: bool,
) -> Result<Report, Fatal> {
    let line = Mutex::new(Progress::new());
    let begin = Instant::now();
    let progress = |done: Totals| {
        let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
        line.show(|| shown(&done, begin));
    };
    let report = verify(&Options {
        sources,
        keys,
        expected,
        since,
        versions,
        now: Timestamp::now().as_millisecond(),
        progress: &progress,
    });
    line.lock().unwrap_or_else(PoisonError::into_inner).clear();
    report.map_err(|error| cannot_verify(format!("the copy cannot be listed: {error}")))
}

fn shown(done: &Totals, begin: Instant) -> String {
    const MIB: u64 = 1 << 20;
    let seconds = begin.elapsed().as_secs().max(1);
    format!(
        "{} objects, {} events, {} MiB, {} MiB/s",
        done.objects,
        done.events,
        done.bytes / MIB,
        done.bytes / MIB / seconds
    )
}

fn json(report: &Report) -> String {
    // A report consists of texts and numbers.
    serde_json::to_string(report).unwrap_or_default() + "\n"
}

fn text(report: &Report) -> String {
    let time = |ms: i64| Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| format!("{time:.0}"));
    let mut lines: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let named = lines.len() as u64;
    let all: u64 = report.counts.values().sum();
    if all > named {
        lines.push(format!("and {} more", all - named));
    }
    for log in &report.logs {
        let state = if log.closed { "closed" } else { "open" };
        let until = time(log.until);
        lines.push(format!(
            "{}: {} statements, sequences {} to {}, until {until}, {state}, root {}",
            log.origin, log.size, log.first, log.last, log.root
        ));
    }
    let totals = report.totals;
    let verdict = match report.verdict {
        Severity::Note => "proven",
        Severity::Unproven => "NOT PROVEN",
        Severity::Wrong => "WRONG",
    };
    lines.push(format!(
        "{verdict}: {} events in {} objects",
        totals.events, totals.objects
    ));
    lines.join("\n") + "\n"
}

fn cannot_read(file: &Path, error: &std::io::Error) -> Fatal {
    cannot_verify(format!("cannot read {}: {error}", file.display()))
}

fn cannot_verify(why: impl Into<String>) -> Fatal {
    Fatal::new(why).with_exit_code(UNPROVEN)
}
