//! Audit events in and out.

pub(crate) mod append;
mod canonical;
mod check;
mod commit_group;
mod error_limits;
mod export;
pub(crate) mod fields;
mod find;
pub(crate) mod gaps;
pub(crate) mod ids;
pub(crate) mod index;
mod ingest;
pub(crate) mod known_readers;
mod null_members;
mod outline;
mod readers;
mod search;
pub(crate) mod segment;
pub(crate) mod self_audit;
mod sign_ins;
mod split;
mod stored_form;
mod turns;
pub(crate) mod writer;

pub use canonical::ContentDigest;
pub use export::Export;
pub use find::{EventRef, find};
pub use ids::explained as explained_ids;
pub use index::explained as explained_index;
pub use index::{rebuild_search_index, search_index};
pub use ingest::{ingest, parse};
pub use search::{explained, histogram, newer, parse_cursor, search, values};
pub use segment::Merging;
pub use sign_ins::sign_ins;
pub use split::BodyFormat;
pub use stored_form::{Prepared, close, content_digest};
