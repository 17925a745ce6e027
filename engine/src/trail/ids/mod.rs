//! The ids of an account's events, by which duplicates are recognised.
//!
//! The table `event_id` has a row for each event: the digest of its id, the digest of its content,
//! and its sequence. Ids are random, so that an index over all of them would be read and written
//! everywhere. Therefore the rows are divided into generations of consecutive sequences: new rows
//! go to the newest generation, whose part of the index stays in memory, and a complete generation
//! has a filter, which excludes nearly every new id without a look at the rows. A row whose event
//! retention has removed counts as absent.
//!
//! - `sql`: the texts of the statements
//! - `look_up`: finds the rows of ids
//! - `remove`: removes the rows of ids
//! - `insert`: the statements that insert rows
//! - `stored_filters`: the table `event_id_filter`
//! - `upkeep`: the background task that loads and builds filters and removes old rows
//!
//! The filters in memory are in [`id_filters`](crate::id_filters).

mod insert;
mod look_up;
mod remove;
mod sql;
mod stored_filters;
mod upkeep;

pub(crate) use insert::{insert, insert_if_new};
pub(crate) use look_up::{Trail, look_up, sequence_of};
pub use sql::explained;
pub(crate) use upkeep::start;
