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
mod options;
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

pub use options::Options;
pub use report::{Finding, Kind, Proven, Report, Severity, Totals};
pub use s3::S3Source;
pub use source::{Folder, Source};

/// Verifies copies of buckets, on all cores.
///
/// # Errors
/// If a copy cannot be listed.
pub fn verify(options: &Options<'_>) -> io::Result<Report> {
    run::run(options)
}
