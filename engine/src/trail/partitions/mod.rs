//! The partitions of the trail on PostgreSQL, one for each month of receipt.
//!
//! ```text
//!   append ─▶ the month of receipt, if it has partitions; else 0
//!   task ───▶ creates those of the next months
//!        ───▶ moves rows from partition 0 to their month, in steps
//!        ───▶ completes what was interrupted: detaching, dropping
//!   retention ─▶ detaches and drops the partitions of months without events
//! ```
//!
//! Partition 0 is an ordinary one. A default partition would be scanned whenever another one is
//! attached, and PostgreSQL refuses to detach one concurrently next to it. An event is never
//! refused because its partition is missing.
//!
//! A unique index cannot span partitions, so that the keys contain the month. That ids and
//! sequences are unique follows from the account's lock, under which events are numbered.
//!
//! - `ranges`: which sequences were received in which month
//! - `tables`: creates, detaches and drops partitions
//! - `ahead`: creates them before they are needed
//! - `moves`: moves rows from one partition to another
//! - `upkeep`: the background task

mod ahead;
mod moves;
mod ranges;
mod tables;
mod upkeep;

pub(crate) use ahead::prepare;
pub(crate) use moves::{IdPlace, Moved, set_aside, set_ids_aside};
pub(crate) use ranges::{begin_range, ranges, read_ranges};
pub(crate) use tables::{creation, drop_month, live_accounts, oldest};
pub(crate) use upkeep::start;
