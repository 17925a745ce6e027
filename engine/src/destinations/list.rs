//! Lists, cards, history.

use auditstream_model::{
    AggregateItem, Batch, BatchStatus, Cards, ConnectorInfo, DestinationView, FailureInfoCard, Identifier,
    LastStreamedCard, ListQuery, Listing, Permission, Sequence, Status, StatusCount, StreamingDetails,
};
use sqlx::FromRow;

use super::rows::{self, Row};
use crate::error::{Error, Result};
use crate::{Actor, Engine, paginate, retention};

/// The destinations of the actor's account.
///
/// # Errors
/// No permission; a page out of range.
pub async fn list(engine: &Engine, actor: &Actor, query: &ListQuery) -> Result<Listing<DestinationView>> {
    let page = page(engine, actor, query).await?;
    let items = page.items.iter().map(Row::view).collect::<Result<_>>()?;
    Ok(page.with_items(items))
}

/// The same with each one's connector and how its streaming goes.
///
/// # Errors
/// No permission; a page out of range.
pub async fn aggregate(engine: &Engine, actor: &Actor, query: &ListQuery) -> Result<Listing<AggregateItem>> {
    let page = page(engine, actor, query).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for row in &page.items {
        items.push(aggregate_item(engine, row).await?);
    }
    Ok(page.with_items(items))
}

/// One destination with its connector and how its streaming goes.
///
/// # Errors
/// No such destination; no permission.
pub async fn overview(engine: &Engine, actor: &Actor, identifier: &str) -> Result<AggregateItem> {
    engine.require_streaming()?;
    actor.require(Permission::ViewDestination)?;
    let row = rows::require(engine.database().read(), actor.account_id(), identifier).await?;
    aggregate_item(engine, &row).await
}

async fn aggregate_item(engine: &Engine, row: &Row) -> Result<AggregateItem> {
    let last: Sequence = sqlx::query_scalar("SELECT last_sequence FROM account WHERE id = $1")
        .bind(row.account_id)
        .fetch_one(engine.database().read())
        .await?;
    let connector: Option<(String, String, String, String)> = sqlx::query_as(
        "SELECT identifier, name, description, tags FROM connector WHERE account_id = $1 AND identifier = $2",
    )
    .bind(row.account_id)
    .bind(&row.connector)
    .fetch_optional(engine.database().read())
    .await?;
    let connector_info: Option<ConnectorInfo> = match connector {
        None => None,
        Some((identifier, name, description, tags)) => Some(serde_json::from_value(serde_json::json!({
            "identifier": identifier, "name": name, "description": description, "tags": serde_json::from_str::<serde_json::Value>(&tags)?,
        }))?),
    };
    let latest: Option<String> =
        sqlx::query_scalar("SELECT status FROM streaming_batch WHERE destination_id = $1 ORDER BY number DESC LIMIT 1")
            .bind(row.id)
            .fetch_optional(engine.database().read())
            .await?;
    let waiting_since: Option<i64> =
        sqlx::query_scalar("SELECT received FROM audit_event WHERE account_id = $1 AND sequence = $2 + 1")
            .bind(row.account_id)
            .bind(row.cursor.unwrap_or(last))
            .fetch_optional(engine.database().read())
            .await?;
    let held_back = retention::held_by(engine, row.account_id, row.id, row.cursor).await?;
    let failure = row.failure()?;
    Ok(AggregateItem {
        streaming_destination: row.destination()?,
        connector_info,
        streaming_details: StreamingDetails {
            status: latest.as_deref().and_then(|name| name.parse::<BatchStatus>().ok()),
            last_streamed_at: row.last_streamed_at,
            error_message: failure.as_ref().map(|failure| failure.message.clone()),
            failure,
            behind: row.cursor.map(|cursor| last - cursor),
            cursor: row.cursor,
            waiting_since,
            held_back,
            conditional_writes: row.conditional_writes.map(|honoured| honoured != 0),
            conditional_writes_checked: row.conditional_writes_checked,
        },
    })
}

async fn page(engine: &Engine, actor: &Actor, query: &ListQuery) -> Result<Listing<Row>> {
    engine.require_streaming()?;
    actor.require(Permission::ViewDestination)?;
    let query = query.clone().validated()?;
    let mut rows = rows::all(engine, actor.account_id()).await?;
    rows.retain(|row| query.status.is_none_or(|status| row.status == status.as_str()));
    Ok(paginate::page(rows, &query))
}

/// The four cards.
///
/// # Errors
/// No permission.
pub async fn cards(engine: &Engine, actor: &Actor) -> Result<Cards> {
    engine.require_streaming()?;
    actor.require(Permission::ViewDestination)?;
    let rows = rows::all(engine, actor.account_id()).await?;
    let count = |wanted: &dyn Fn(&Row) -> bool| {
        u32::try_from(rows.iter().filter(|row| wanted(row)).count()).unwrap_or(u32::MAX)
    };
    let of_status = |status: Status| StatusCount {
        status,
        count: count(&|row| row.status == status.as_str()),
    };
    Ok(Cards {
        count_by_status_card: vec![of_status(Status::Active), of_status(Status::Inactive)],
        last_streamed_card: LastStreamedCard {
            last_streamed_at: rows.iter().filter_map(|row| row.last_streamed_at).max(),
        },
        failure_info_card: FailureInfoCard {
            count: count(&|row| row.failure.is_some() && row.status == Status::Active.as_str()),
        },
    })
}

/// One destination.
///
/// # Errors
/// No such destination; no permission.
pub async fn get(engine: &Engine, actor: &Actor, identifier: &str) -> Result<DestinationView> {
    engine.require_streaming()?;
    actor.require(Permission::ViewDestination)?;
    rows::require(engine.database().read(), actor.account_id(), identifier)
        .await?
        .view()
}

/// Whether an identifier is still free.
///
/// # Errors
/// It is none; no permission.
pub async fn is_unique(engine: &Engine, actor: &Actor, identifier: &str) -> Result<bool> {
    engine.require_streaming()?;
    actor.require(Permission::ViewDestination)?;
    let identifier = Identifier::parse(identifier)
        .map_err(|error| auditstream_model::FieldErrors::one("identifier", error.to_string()))?;
    let query =
        sqlx::query_scalar("SELECT count(*) FROM streaming_destination WHERE account_id = $1 AND identifier = $2");
    let found: i64 = query
        .bind(actor.account_id())
        .bind(identifier.as_str())
        .fetch_one(engine.database().read())
        .await?;
    Ok(found == 0)
}

#[derive(FromRow)]
struct BatchRow {
    number: i64,
    status: String,
    first_sequence: Sequence,
    last_sequence: Sequence,
    events: i64,
    bytes: i64,
    key: String,
    attempts: i64,
    created: i64,
    finished: Option<i64>,
    /// 0 or 1.
    verified: Option<i64>,
    failure: Option<String>,
    request_id: Option<String>,
    note: Option<String>,
}

/// What was streamed to a destination, newest first.
///
/// # Errors
/// No such destination; no permission; a page out of range.
pub async fn batches(engine: &Engine, actor: &Actor, identifier: &str, query: &ListQuery) -> Result<Listing<Batch>> {
    engine.require_streaming()?;
    actor.require(Permission::ViewDestination)?;
    let query = query.clone().validated()?;
    let id = rows::require(engine.database().read(), actor.account_id(), identifier)
        .await?
        .id;
    let total: i64 = sqlx::query_scalar("SELECT count(*) FROM streaming_batch WHERE destination_id = $1")
        .bind(id)
        .fetch_one(engine.database().read())
        .await?;
    let found: Vec<BatchRow> = sqlx::query_as(
        "SELECT number, status, first_sequence, last_sequence, events, bytes, key, attempts, created, finished, verified, failure, request_id, note \
         FROM streaming_batch WHERE destination_id = $1 ORDER BY number DESC LIMIT $2 OFFSET $3",
    )
    .bind(id)
    .bind(i64::from(query.limit))
    .bind(i64::from(query.page) * i64::from(query.limit))
    .fetch_all(engine.database().read())
    .await?;
    let items = found.into_iter().map(batch).collect::<Result<_>>()?;
    Ok(Listing {
        items,
        total: u32::try_from(total).unwrap_or(u32::MAX),
        page: query.page,
        limit: query.limit,
    })
}

fn batch(row: BatchRow) -> Result<Batch> {
    Ok(Batch {
        number: row.number,
        status: row
            .status
            .parse()
            .map_err(|_| Error::Broken(format!("unknown batch status {}", row.status)))?,
        first_sequence: row.first_sequence,
        last_sequence: row.last_sequence,
        events: row.events,
        bytes: row.bytes,
        key: row.key,
        attempts: row.attempts,
        created: row.created,
        finished: row.finished,
        verified: row.verified.map(|verified| verified != 0),
        error: row.failure.as_deref().map(serde_json::from_str).transpose()?,
        request_id: row.request_id,
        remark: row.note,
    })
}
