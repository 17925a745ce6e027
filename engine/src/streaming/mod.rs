//! The scheduler, and how a batch gets into a bucket.
//!
//! - [`schedule`]: when runs begin
//! - [`lease`]: which server streams which destination
//! - [`budget`]: how many bytes all runs hold
//! - [`run`]: one pass over one destination
//! - [`plan`]: freezes the next batch
//! - [`encode`]: a batch's content and its compressed form
//! - [`upload`]: one conditional PUT, and what its answer means
//! - [`confirm`]: moves the cursor, or notes the failure
//! - [`failure`]: what went wrong, in words that a person can act on; [`explain`] has the table
//!
//! Any of it may stop anywhere: what is in the database decides what comes next. A batch is frozen before its first PUT,
//! each attempt is recorded before it is made, and the cursor moves only over what the bucket is known to hold.

pub mod encode;
mod freeze;
mod lease;
mod limits;
mod outcome;
mod run;
pub(crate) mod schedule;
pub(crate) mod upload;

pub(crate) use limits::Budget;
pub use schedule::next_tick;
