//! Evidence: a log of small statements for each destination and place, in the bucket next to the
//! objects, from which anyone can verify that nothing is missing.
//!
//! ```text
//! statement ─▶ entry ─▶ leaf hash ─▶ compact range ─▶ root ─▶ checkpoint, signed
//!                │          │                                      │
//!                └─ tile/entries/…, tile/0/…, tile/1/… ─────── checkpoint, checkpoints/…
//! ```
//!
//! `docs/evidence.md` describes the format. In reading order, without any input or output:
//!
//! - [`statement`]: the statements, and their bytes
//! - [`tree`]: the Merkle tree over them, as RFC 6962 hashes it
//! - [`tile`]: the files that its hashes and entries are stored in, as C2SP `tlog-tiles`
//! - [`note`]: signed checkpoints, as C2SP `signed-note` and `tlog-checkpoint`
//! - [`leaf`]: the leaf of an event in the tree over an object's events

pub mod encoding;
pub mod leaf;
pub mod note;
pub mod statement;
pub mod tile;
pub mod tree;
pub mod verify;

/// Why something that was read is not evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl Malformed {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}
