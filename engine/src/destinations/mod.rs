//! Where to stream, and what an admin does with it.

mod authorize;
mod bucket_check;
mod change;
mod list;
pub(crate) mod object_key;
mod operations;
mod overview;
pub(crate) mod rows;
pub(crate) mod ticks;

pub use bucket_check::{check_bucket, check_unsaved_bucket};
pub use change::{create, delete, replace, set_status};
pub use list::{batches, cards, get, is_unique, list};
pub use operations::{move_cursor, rename_batch, stream_now};
pub use overview::{aggregate, overview};
