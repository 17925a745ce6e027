//! The state of a pass over a destination, which the steps of its batches share.

use tokio::sync::watch;

use super::ahead::Ahead;
use super::lease::Lease;
use super::run_slots::RunSlot;
use crate::Engine;
use crate::destinations::rows::{self, DestinationRow};
use crate::error::Result;

/// A pass over a destination, with all that its batches need.
pub(super) struct Pass<'a> {
    pub(super) engine: &'a Engine,
    pub(super) lease: Lease,
    pub(super) slot: &'a mut RunSlot,
    pub(super) stopping: watch::Receiver<bool>,
    /// The objects after the current batch.
    pub(super) ahead: Option<Ahead>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Batch,
    Stop,
    /// The run has ended, and its last transaction released the lease.
    Ended,
}

/// Returns `None` once the destination has been paused, moved, or claimed by another server.
pub(super) async fn still_ours(engine: &Engine, lease: Lease) -> Result<Option<DestinationRow>> {
    let row = rows::by_id(engine, lease.destination_id).await?;
    Ok(row.filter(|row| row.is_active() && row.epoch == lease.epoch))
}
