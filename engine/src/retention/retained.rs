//! Counts the events that are retained beyond their age because a destination has yet to receive
//! them.

use auditstream_model::{EpochMillis, HeldBack, Permission, Sequence};
use sqlx::FromRow;

use crate::database::Database;
use crate::error::Result;
use crate::{Actor, Engine};

/// A destination for which events are retained beyond their age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// The destination.
    pub identifier: String,
    /// The number and size of these events.
    pub held_back: HeldBack,
}

#[derive(FromRow)]
struct Destination {
    id: i64,
    identifier: String,
    cursor: Option<Sequence>,
}

/// Lists the destinations of the actor's account for which events are retained beyond their age.
///
/// # Errors
/// When streaming is disabled, the actor lacks the permission or the database fails.
pub async fn retained(engine: &Engine, actor: &Actor) -> Result<Vec<Retained>> {
    engine.require_streaming()?;
    actor.require(Permission::ViewDestination)?;
    let destinations: Vec<Destination> = sqlx::query_as(
        "SELECT id, identifier, cursor
         FROM streaming_destination
         WHERE account_id = $1
         ORDER BY identifier",
    )
    .bind(actor.account_id())
    .fetch_all(engine.database().read())
    .await?;
    let mut list = Vec::new();
    for Destination { id, identifier, cursor } in destinations {
        if let Some(held_back) = retained_for(engine, actor.account_id(), id, cursor).await? {
            list.push(Retained { identifier, held_back });
        }
    }
    Ok(list)
}

/// Counts the events that are retained for a destination. `None` if the first event after its
/// cursor is not old enough to be removed, which takes one read to find out.
pub(crate) async fn retained_for(
    engine: &Engine,
    account_id: i64,
    destination_id: i64,
    cursor: Option<Sequence>,
) -> Result<Option<HeldBack>> {
    let Some(cursor) = cursor else { return Ok(None) };
    let database = engine.database();
    let cutoff = engine.retention().cutoff();
    if !is_older(database, account_id, cursor + 1, cutoff).await? {
        return Ok(None);
    }
    let cache = engine.retained_cache();
    let _turn = cache.turn().await;
    if let Some(retained) = cache.get(destination_id, cursor) {
        return Ok(Some(retained));
    }
    let last = last_older(database, account_id, cursor + 1, cutoff).await?;
    let bytes: Option<i64> = sqlx::query_scalar(
        "SELECT CAST(sum(octet_length(payload)) AS BIGINT)
         FROM audit_event
         WHERE account_id = $1
           AND sequence > $2
           AND sequence <= $3",
    )
    .bind(account_id)
    .bind(cursor)
    .bind(last)
    .fetch_one(database.read())
    .await?;
    let retained = HeldBack {
        events: last - cursor,
        bytes: bytes.unwrap_or(0),
    };
    cache.put(destination_id, cursor, retained);
    Ok(Some(retained))
}

/// Finds the last event received before `cutoff` by binary search; `first` is one of them.
async fn last_older(database: &Database, account_id: i64, first: Sequence, cutoff: EpochMillis) -> Result<Sequence> {
    let last: Sequence = sqlx::query_scalar("SELECT last_sequence FROM account WHERE id = $1")
        .bind(account_id)
        .fetch_one(database.read())
        .await?;
    let (mut old, mut young) = (first, last + 1);
    while young - old > 1 {
        let middle = old + (young - old) / 2;
        if is_older(database, account_id, middle, cutoff).await? {
            old = middle;
        } else {
            young = middle;
        }
    }
    Ok(old)
}

/// Whether the first event from a sequence on was received before `cutoff`.
async fn is_older(database: &Database, account_id: i64, sequence: Sequence, cutoff: EpochMillis) -> Result<bool> {
    let query = sqlx::query_scalar(
        "SELECT received
         FROM audit_event
         WHERE account_id = $1
           AND sequence >= $2
         ORDER BY sequence
         LIMIT 1",
    );
    let query = query.bind(account_id).bind(sequence);
    let received: Option<EpochMillis> = query.fetch_optional(database.read()).await?;
    Ok(received.is_some_and(|received| received < cutoff))
}
