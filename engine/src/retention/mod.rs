//! Removes events that are older than the retention.
//!
//! A sweep removes the oldest events of each account in small steps, so that ingest is not delayed
//! and the trail never has a gap. It retains the events that a destination has yet to receive,
//! including those of its current batch, even if the destination is paused. A destination that was
//! never active retains none.
//!
//! The time of receipt never decreases along the trail (see `trail::append`). The oldest events are
//! therefore the first by sequence, and the time needs no index.

mod retained;
mod retained_cache;
mod settings;
mod sweep;

pub(crate) use self::retained::retained_for;
pub use self::retained::{Retained, retained};
pub(crate) use self::retained_cache::RetainedCache;
pub use self::settings::Retention;
pub(crate) use self::sweep::start;
