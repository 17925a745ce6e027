//! Rule 18: the forger makes one change to a copy of a bucket, and the verification finds and names
//! it.
//!
//! `AUDITSTREAM_SEED` is the first seed, `AUDITSTREAM_FORGERIES` the number of changes.

mod author;
mod changes;
mod copies;
mod foreign;

use auditstream_engine::evidence::note::Verifier;
use auditstream_engine::evidence::verify::{Finding, Kind, Options, Report, Severity, Source, verify};

use author::{Author, Bucket, eventful};

fn verify_with(bucket: &Bucket, keys: &[Verifier], expected: &[(String, Vec<u8>)], now: i64) -> Report {
    let sources: Vec<Box<dyn Source>> = vec![Box::new(bucket.clone())];
    verify(&Options {
        sources: &sources,
        keys,
        expected,
        since: None,
        versions: false,
        now,
        progress: &|_| {},
    })
    .unwrap()
}

fn verified(bucket: &Bucket, author: &Author) -> Report {
    verify_with(bucket, &[author.key()], &[], author.time)
}

/// The findings that say that something is wrong or unproven.
fn faults(report: &Report) -> Vec<&Finding> {
    let is_fault = |finding: &&Finding| finding.kind.severity() > Severity::Note;
    report.findings.iter().filter(is_fault).collect()
}

fn count(report: &Report, kind: Kind) -> u64 {
    report.counts.get(&kind).copied().unwrap_or(0)
}

fn named(findings: &[&Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

/// Two destinations in one bucket.
fn two_destinations() -> (Author, Author, Bucket) {
    let (one, two) = (eventful("siem"), eventful("archive"));
    let mut bucket = one.bucket.clone();
    bucket.files.extend(two.bucket.files.clone());
    (one, two, bucket)
}
