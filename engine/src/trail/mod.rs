//! Audit events in and out.
//!
//! - [`check`]: checks an event against the payload schema
//! - [`members`] and [`compact`]: the JSON of an event
//! - [`stored_form`]: the form in which an event is stored and streamed
//! - [`append`]: numbers events and inserts them, inside a transaction
//! - [`writer`]: groups requests into commits
//! - [`ingest`]: from a request's body to its result
//! - [`self_audit`]: audit events of the server's own changes
//! - [`search`]: pages of the trail
//! - [`sign_ins`]: the latest sign-ins to this server

pub(crate) mod append;
mod check;
mod compact;
mod ingest;
mod members;
mod search;
pub(crate) mod self_audit;
mod sign_ins;
mod stored_form;
pub(crate) mod writer;

pub use ingest::{BodyFormat, ingest, parse};
pub use search::{newer, parse_cursor, search};
pub use sign_ins::sign_ins;
pub use stored_form::{Prepared, close, same_content};
