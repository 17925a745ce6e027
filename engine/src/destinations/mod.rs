//! Where to stream, and what an admin does with it.
//!
//! - [`rows`]: a destination in the database
//! - [`list`]: one destination or a page of them, and the objects of one
//! - [`overview`]: the same with their connectors and the state of their streaming
//! - [`change`]: create, replace, activate, pause, delete
//! - [`operations`]: run now, skip, replay, send under a new name
//! - [`bucket_check`]: whether a bucket can be streamed to
//! - [`authorize`]: the check with which each of them begins
//! - [`object_key`]: the keys of the objects

mod authorize;
mod bucket_check;
mod change;
mod list;
pub(crate) mod object_key;
mod operations;
mod overview;
pub(crate) mod rows;

pub use bucket_check::{check_bucket, check_unsaved_bucket};
pub use change::{create, delete, replace, set_status};
pub use list::{batches, cards, get, is_unique, list};
pub use operations::{move_cursor, rename_batch, stream_now};
pub use overview::{aggregate, overview};
