//! Options of `auditstream verify`.

use std::path::PathBuf;

use auditstream_model::EpochMillis;
use clap::Args;

use super::values::moment;

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Folders with copies of buckets, as `aws s3 sync` makes them, or s3://BUCKET/PREFIX, which is
    /// read with this host's AWS identity. Give all buckets to which a destination has streamed.
    #[arg(required = true, value_name = "DIR|URL")]
    pub places: Vec<String>,
    /// Public key that signed the logs, or a file with it. Obtain it from the destination's page or
    /// from the operator, never from the bucket. Keys by which it was replaced follow from the
    /// logs. Can be repeated.
    #[arg(long, required = true, value_name = "VKEY")]
    pub key: Vec<String>,
    /// Checkpoint that was kept elsewhere: the log must continue it. Can be repeated.
    #[arg(long, value_name = "FILE")]
    pub expect: Vec<PathBuf>,
    /// Read only objects that were stated since: 2026-11-27, 2026-11-27T10:00:00Z, epoch
    /// milliseconds, or an age such as 24h or 7d. Statements are always all checked. [default: all]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<EpochMillis>,
    /// Also report objects that were overwritten or deleted in a bucket with versions.
    #[arg(long)]
    pub versions: bool,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}
