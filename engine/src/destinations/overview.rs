//! Destinations with their connectors and the state of their streaming.

use auditstream_model::{
    AggregateItem, BatchStatus, ConnectorInfo, EpochMillis, ListQuery, Listing, Permission, Sequence, StreamingDetails,
    Tags,
};
use sqlx::FromRow;

use super::authorize::authorize;
use super::list;
use super::rows::{self, DestinationRow};
use crate::continuity::gaps;
use crate::database::{Json, column};
use crate::error::Result;
use crate::{Actor, Engine, retention};

/// Returns a page of the destinations of the actor's account.
pub async fn aggregate(engine: &Engine, actor: &Actor, query: &ListQuery) -> Result<Listing<AggregateItem>> {
    let page = list::page(engine, actor, query).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for row in &page.items {
        items.push(aggregate_item(engine, row).await?);
    }
    Ok(page.with_items(items))
}

/// Returns one destination.
pub async fn overview(engine: &Engine, actor: &Actor, identifier: &str) -> Result<AggregateItem> {
    authorize(engine, actor, Permission::ViewDestination)?;
    let row = rows::require(engine.database().read(), actor.account_id(), identifier).await?;
    aggregate_item(engine, &row).await
}

async fn aggregate_item(engine: &Engine, row: &DestinationRow) -> Result<AggregateItem> {
    let database = engine.database().read();
    let last: Sequence = sqlx::query_scalar("SELECT last_sequence FROM account WHERE id = $1")
        .bind(row.account_id)
        .fetch_one(database)
        .await?;
    let latest: Option<String> =
        sqlx::query_scalar("SELECT status FROM streaming_batch WHERE destination_id = $1 ORDER BY number DESC LIMIT 1")
            .bind(row.id)
            .fetch_optional(database)
            .await?;
    let waiting_since: Option<EpochMillis> = sqlx::query_scalar(
        "SELECT received FROM audit_event WHERE account_id = $1 AND sequence > $2 ORDER BY sequence LIMIT 1",
    )
    .bind(row.account_id)
    .bind(row.cursor.unwrap_or(last))
    .fetch_optional(database)
    .await?;
    let held_back = retention::retained_for(engine, row.account_id, row.id, row.cursor).await?;
    let failure = row.failure()?;
    let behind = match row.cursor {
        Some(cursor) => Some(last - cursor - gaps::missing_after(database, row.account_id, cursor).await?),
        None => None,
    };
    Ok(AggregateItem {
        streaming_destination: row.destination()?,
        connector_info: connector_info(engine, row).await?,
        streaming_details: StreamingDetails {
            status: latest.and_then(|status| BatchStatus::try_from(status).ok()),
            last_streamed_at: row.last_streamed_at,
            error_message: failure.as_ref().map(|failure| failure.message.clone()),
            failure,
            behind,
            cursor: row.cursor,
            waiting_since,
            held_back,
            conditional_writes: row.conditional_writes.map(|honoured| honoured != 0),
            conditional_writes_checked: row.conditional_writes_checked,
            sequence_gaps: gaps::newest_gaps(engine, row.account_id).await?,
        },
    })
}

#[derive(FromRow)]
struct ConnectorInfoRow {
    identifier: String,
    name: String,
    description: String,
    tags: Json<Tags>,
}

async fn connector_info(engine: &Engine, row: &DestinationRow) -> Result<Option<ConnectorInfo>> {
    let found: Option<ConnectorInfoRow> = sqlx::query_as(
        "SELECT identifier, name, description, tags FROM connector WHERE account_id = $1 AND identifier = $2",
    )
    .bind(row.account_id)
    .bind(&row.connector)
    .fetch_optional(engine.database().read())
    .await?;
    let Some(connector) = found else { return Ok(None) };
    Ok(Some(ConnectorInfo {
        name: column::parse(&connector.name)?,
        identifier: column::parse(&connector.identifier)?,
        description: column::parse(&connector.description)?,
        tags: connector.tags.into_value()?,
    }))
}
