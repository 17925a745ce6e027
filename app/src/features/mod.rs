//! Parts of pages that call the server themselves.

mod bucket_access;
pub mod connection_test;
pub mod polling;
mod session_dialog;

pub use bucket_access::BucketAccess;
pub use session_dialog::SessionDialog;
