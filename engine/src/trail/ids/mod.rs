//! The ids of an account's events, by which duplicates are recognised.
//!
//! The table `event_id` has a row for each event: the digest of its id, the digest of its content,
//! and its sequence. Ids are random, so that an index over all of them would be read and written
//! everywhere. Therefore the rows are divided into generations of consecutive sequences: new rows
//! go to the newest generation, whose part of the index stays in memory, and a complete generation
//! has a filter, which excludes nearly every new id without a look at the rows. A row whose event
//! retention has removed counts as absent.
//!
//! - `table`: the statements that look up and remove rows
//! - `insert`: the statements that insert rows
//! - `stored_filters`: the table `event_id_filter`
//! - `upkeep`: the background task that loads and builds filters and removes old rows
//!
//! The filters in memory are in [`id_filters`](crate::id_filters).

mod insert;
mod stored_filters;
mod table;
mod upkeep;

pub(crate) use insert::{insert, insert_if_new};
pub use table::explained;
pub(crate) use table::{Trail, look_up, sequence_of};
pub(crate) use upkeep::start;
