//! Audit events in and out.

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
