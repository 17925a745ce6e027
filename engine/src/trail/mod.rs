//! Audit events in and out.
//!
//! - [`payload`]: checks an event and brings it into the form that is stored and streamed
//! - [`append`]: gives sequences and inserts, inside a transaction
//! - [`writer`]: groups requests into commits
//! - [`ingest`]: from a request's body to its answer
//! - [`own`]: the audit of ourselves
//! - [`search`]: who did what
//! - [`sign_ins`]: the latest sign-ins to this server

pub(crate) mod append;
mod ingest;
pub mod payload;
mod search;
pub(crate) mod self_audit;
mod sign_ins;
pub(crate) mod writer;

pub use ingest::{BodyFormat, ingest, parse};
pub use search::{newer, parse_cursor, search};
pub use sign_ins::sign_ins;
