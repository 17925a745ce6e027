//! The copies to verify, and the keys and checkpoints to compare them with.

use auditstream_model::EpochMillis;

use super::super::note::Verifier;
use super::report::Totals;
use super::source::Source;

/// A public key.
pub(super) type Key = [u8; 32];

/// The copies to verify, and the keys and checkpoints to compare them with.
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
