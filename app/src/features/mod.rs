//! Parts of pages that call the server themselves.

mod bucket_access;
mod clock_notice;
pub mod connection_test;
pub mod polling;
mod session_dialog;

pub use bucket_access::BucketAccess;
pub use clock_notice::ClockNotice;
pub use session_dialog::SessionDialog;
