//! Where to stream, and what an admin does with it.
//!
//! - [`rows`]: a destination in the database
//! - [`change`]: create, replace, activate, pause, delete
//! - [`read`]: lists, cards, history
//! - [`repair`]: run now, skip, replay, send under a new name
//! - [`check`]: whether a bucket can be streamed to

mod change;
mod check;
mod read;
mod repair;
pub(crate) mod rows;

pub use change::{create, delete, delete_if, replace, replace_if, set_status};
pub use check::{check_bucket, check_unsaved_bucket};
pub use read::{aggregate, batches, cards, get, is_unique, list, overview};
pub use repair::{move_cursor, move_cursor_if, rename_batch, stream_now};
