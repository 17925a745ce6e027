//! High-water marks: the numbers that may have been given out, kept outside of the database.
//!
//! A database that was restored from a backup, or a standby that took over before it had received
//! everything, cannot know that it is older than the numbers that were given out from it. Each
//! server therefore keeps a small file with two marks per account:
//!
//! | mark | written | proves |
//! | --- | --- | --- |
//! | `reserved` | before the first number of a block of [`BLOCK`] is given out | no number beyond it was given out by this server |
//! | `seen` | within seconds after a commit | every number up to it was given out |
//!
//! `reserved` beyond the newest event is normal: the rest of a block is used after a restart, so
//! there is no gap. `seen` beyond the newest event means that the database is older. Then numbering
//! continues beyond `reserved`; `continuity` decides that and declares the gap.

mod file;
mod numbering;

use auditstream_model::Sequence;

pub(crate) use file::{Found, Marks, MarksFile, Server, sync_folder};
pub(crate) use numbering::{BeyondCursor, Numbering, write};

/// The numbers that are reserved at once, and the distance between the highest mark and the first
/// number after a restore.
pub(crate) const BLOCK: Sequence = 100_000;
