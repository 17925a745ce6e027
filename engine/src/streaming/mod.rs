//! The scheduler, and how a batch gets into a bucket.
//!
//! A process may stop anywhere: the database decides what comes next. A batch is frozen before its
//! first PUT, each attempt is recorded before it is made, and the cursor moves only over events
//! that are known to be in the bucket.

mod ahead;
mod attempt;
mod content;
mod deliver;
mod doubt;
pub mod encode;
mod ends;
mod failure;
mod freeze;
pub(crate) mod history;
mod lease;
mod limits;
mod line;
mod objects;
mod observations;
mod outcome;
mod pass;
mod reconcile;
mod retry;
mod run;
mod run_slots;
pub(crate) mod schedule;
mod single_flight;
mod wait;
mod wanted;
