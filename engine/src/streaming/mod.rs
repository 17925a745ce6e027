//! The scheduler, and how a batch gets into a bucket.
//!
//! - [`schedule`]: when runs begin
//! - [`lease`]: which server streams which destination
//! - [`limits`]: the memory and the slots that runs share
//! - [`run`]: one pass over one destination
//! - [`freeze`]: the next batch
//! - [`content`]: the events of a batch, encoded; [`encode`] has the formats and compressions
//! - [`attempt`]: one recorded attempt to deliver a batch
//! - [`reconcile`]: the conditional PUT, and whose object it is when one exists
//! - [`outcome`]: moves the cursor, or records the failure
//! - [`failure`]: the reason why a batch was not delivered
//!
//! A process may stop anywhere: the database decides what comes next. A batch is frozen before its
//! first PUT, each attempt is recorded before it is made, and the cursor moves only over events
//! that are known to be in the bucket.

mod attempt;
mod content;
pub mod encode;
mod failure;
mod freeze;
mod lease;
mod limits;
mod outcome;
mod reconcile;
mod run;
pub(crate) mod schedule;

pub use schedule::next_tick;
