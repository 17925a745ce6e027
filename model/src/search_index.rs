//! The state of the search index.

use serde::{Deserialize, Serialize};

/// How far the search index of an account has come. Events without it are searched one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchIndex {
    /// Events that are in the index.
    pub indexed_events: i64,
    /// Events that are not in it yet. The newest ones, up to some hundreds, always wait for others.
    pub waiting_events: i64,
    /// Parts of the index. They are merged in the background.
    pub parts: i64,
}
