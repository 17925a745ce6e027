//! The state of an account's index, and its rebuilding.

use auditstream_model::{Permission, SearchIndex, Sequence};
use serde_json::{Value, json};

use super::coverage::gaps;
use super::rows;
use crate::error::Result;
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

const KIND: &str = "SEARCH_INDEX";
const IDENTIFIER: &str = "search_index";

/// Returns the state of the account's search index.
pub async fn search_index(engine: &Engine, actor: &Actor) -> Result<SearchIndex> {
    actor.require(Permission::ViewAudit)?;
    let slices = rows::slices(engine.database(), actor.account_id()).await?;
    let query = sqlx::query_as("SELECT first_sequence, last_sequence FROM account WHERE id = $1");
    let (first, last): (Sequence, Sequence) = query
        .bind(actor.account_id())
        .fetch_one(engine.database().read())
        .await?;
    let gaps = gaps(&slices, first, last);
    Ok(SearchIndex {
        indexed_events: slices.iter().map(|slice| slice.events).sum(),
        waiting_events: gaps.iter().map(|(first, last)| last - first + 1).sum(),
        parts: i64::try_from(slices.len()).unwrap_or(i64::MAX),
    })
}

/// Drops the search index of the account. It is built again in the background; searches read the
/// events one by one meanwhile.
pub async fn rebuild_search_index(engine: &Engine, actor: &Actor) -> Result<SearchIndex> {
    actor.require(Permission::EditAccount)?;
    let rebuilt = engine.database().transaction("rebuild_index", async |tx| {
        rows::retire_all(tx, actor.account_id()).await?;
        let change = Change::of(KIND, IDENTIFIER, "REBUILD", Value::Null, json!({}));
        record(tx, actor, change).await.map(drop)
    });
    rebuilt.await?;
    search_index(engine, actor).await
}
