//! Where to stream, and what an admin does with it.
//!
//! - [`rows`]: a destination in the database
//! - [`change`]: create, replace, activate, pause, delete
//! - [`read`]: lists, cards, history
//! - [`repair`]: run now, skip, replay, send under a new name
//! - [`check`]: whether a bucket can be streamed to

mod bucket_check;
mod change;
mod list;
mod operations;
pub(crate) mod rows;

pub use bucket_check::{check_bucket, check_unsaved_bucket};
pub use change::{create, delete, delete_if, replace, replace_if, set_status};
pub use list::{aggregate, batches, cards, get, is_unique, list, overview};
pub use operations::{move_cursor, move_cursor_if, rename_batch, stream_now};
