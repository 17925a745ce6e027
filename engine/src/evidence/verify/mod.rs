//! Verifies a copy of a bucket with nothing but a public key: no database, no settings.
//!
//! ```text
//! listing ─▶ log_files ─▶ checkpoints ─▶ signed_tree ─▶ statements ─▶ history
//!                │                            │              │
//!                └────────────────────────▶ tiles          object ─▶ events, diagnosis
//!                                                            │
//!                                                          extras, chain ─▶ report
//! ```
//!
//! In reading order:
//!
//! - [`Source`]: the copy, a folder or a bucket
//! - `log_files`: the names of files; `place`: keys in a copy of a part of the bucket
//! - `checkpoints`, `signed_tree`, `tiles`: whether the log is the signed one
//! - `statements`, `history`: whether its statements follow from one another
//! - `object`, `events`, `diagnosis`: whether an object is the stated one, and which line is not
//! - `extras`, `chain`: files that no statement names, and logs that continue one another
//! - [`Report`]: the result
//!
//! Memory does not grow with the size of objects, but by about a hundred bytes for each statement
//! and file.

mod chain;
mod checkpoints;
mod diagnosis;
mod events;
mod extras;
mod history;
mod log;
mod log_files;
mod object;
mod place;
mod pool;
mod report;
mod run;
mod s3;
mod signed_tree;
mod source;
mod statements;
mod tiles;
mod times;

use std::io;

use auditstream_model::EpochMillis;

pub use report::{Finding, Kind, Proven, Report, Severity, Totals};
pub use s3::S3Source;
pub use source::{Folder, Source};

use super::note::Verifier;

/// A public key.
type Key = [u8; 32];

/// What is verified, and against what.
pub struct Options<'o> {
    /// The copies.
    pub sources: &'o [Box<dyn Source>],
    /// The public keys that are trusted. Those by which they were replaced follow from the logs.
    pub keys: &'o [Verifier],
    /// Checkpoints that were kept elsewhere, with their names for people.
    pub expected: &'o [(String, Vec<u8>)],
    /// Reads only objects that were stated at this time or later. Statements are always all read.
    pub since: Option<EpochMillis>,
    /// Also reports overwritten and deleted versions.
    pub versions: bool,
    /// The current time, by which objects may have expired.
    pub now: EpochMillis,
    /// Called after each object with the work that was done so far.
    pub progress: &'o (dyn Fn(Totals) + Sync),
}

/// Verifies copies of buckets, on all cores.
///
/// # Errors
/// If a copy cannot be listed.
pub fn verify(options: &Options<'_>) -> io::Result<Report> {
    run::run(options)
}
