//! The search index: it finds events by words and fields at any depth of the trail, in the order of
//! time. It is an inverted index in ordinary tables, the same on both databases; see
//! `docs/decisions/0012-own-search-index.md`.
//!
//! ```text
//! task ─▶ build ─▶ a slice of new events ─┐                     events ─▶ terms ─▶ words
//!    └──▶ merging ─▶ merge ─▶ a larger one ┴▶ rows: search_slice, search_order, search_block
//!                                                   │
//! search ─▶ query: which terms ─▶ find ─▶ slice ────┘
//! ```
//!
//! A *slice* is a range of an account's sequences. It has its events in the order of time
//! ([`order`]), and for each term the ranks in that order of the events that have it ([`block`]).
//! Slices never change: a background task adds small ones and merges them into larger ones.
//! Sequences that no slice has, the newest ones and those of a slice that was damaged, are searched
//! without it.
//!
//! The index only proposes candidates. Each is read and compared with the filter, so that neither a
//! word that was cut nor an event that retention has removed since leads to a wrong result.

mod bits;
mod block;
mod build;
mod candidates;
mod coverage;
mod known_values;
mod merge;
mod merging;
mod order;
mod packing;
mod query;
mod read;
mod rebuild;
mod rows;
mod slice;
mod tally;
mod task;
mod terms;
mod varint;
mod words;

use crate::Engine;
use crate::error::{Error, Result};

pub(crate) use candidates::{Candidates, Rest};
pub(crate) use order::Place;
pub(crate) use query::Query;
pub use read::explained;
pub use rebuild::{rebuild_search_index, search_index};
pub(crate) use tally::{Count, Counted, Tally, add};
pub(crate) use task::start;

/// Stored bytes that this program did not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// The reason why a search could not use the index.
#[derive(Debug)]
pub(crate) enum Failure {
    /// This slice is damaged.
    Damaged(i64),
    Other(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// Takes a damaged slice out of use. The background task indexes its events again; until then they
/// are searched without the index.
pub(crate) async fn report_damage(engine: &Engine, account_id: i64, slice: i64) -> Result<()> {
    tracing::warn!(
        account_id,
        slice,
        "a part of the search index is damaged and is built again"
    );
    let retired = engine
        .database()
        .background()
        .transaction("retire_damaged", async |tx| {
            rows::retire_damaged(tx, account_id, slice).await
        });
    retired.await
}

#[cfg(test)]
mod tests;
