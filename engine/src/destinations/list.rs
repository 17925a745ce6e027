//! One destination or a page of them, the cards above them, and the objects of one.

use auditstream_model::{
    Batch, BatchStatus, Cards, DestinationView, EpochMillis, Failure, FailureInfoCard, FieldErrors, Identifier,
    LastStreamedCard, ListQuery, Listing, Permission, Sequence, Status, StatusCount,
};
use sqlx::FromRow;

use super::authorize::authorize;
use super::rows::{self, DestinationRow};
use crate::database::Json;
use crate::error::{Error, Result};
use crate::{Actor, Engine, paginate};

/// Returns a page of the destinations of the actor's account.
pub async fn list(engine: &Engine, actor: &Actor, query: &ListQuery) -> Result<Listing<DestinationView>> {
    let page = page(engine, actor, query).await?;
    let items = page.items.iter().map(DestinationRow::view).collect::<Result<_>>()?;
    Ok(page.with_items(items))
}

pub(super) async fn page(engine: &Engine, actor: &Actor, query: &ListQuery) -> Result<Listing<DestinationRow>> {
    authorize(engine, actor, Permission::ViewDestination)?;
    let query = query.clone().validated()?;
    let mut summaries = rows::summaries(engine, actor.account_id()).await?;
    summaries.retain(|row| query.status.is_none_or(|status| row.status == status));
    let page = paginate::page(summaries, &query);
    let ids: Vec<i64> = page.items.iter().map(|summary| summary.id).collect();
    let rows = rows::by_ids(engine, &ids).await?;
    Ok(page.with_items(rows))
}

#[derive(FromRow)]
struct CardFigures {
    active: i64,
    inactive: i64,
    failing: i64,
    last_streamed_at: Option<EpochMillis>,
}

/// Returns the four cards.
pub async fn cards(engine: &Engine, actor: &Actor) -> Result<Cards> {
    authorize(engine, actor, Permission::ViewDestination)?;
    let figures: CardFigures = sqlx::query_as(
        "SELECT count(CASE WHEN status = 'ACTIVE' THEN 1 END) AS active,
                count(CASE WHEN status = 'INACTIVE' THEN 1 END) AS inactive,
                count(CASE WHEN status = 'ACTIVE' AND failure IS NOT NULL THEN 1 END) AS failing,
                max(last_streamed_at) AS last_streamed_at
         FROM streaming_destination
         WHERE account_id = $1",
    )
    .bind(actor.account_id())
    .fetch_one(engine.database().read())
    .await?;
    let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    let of_status = |status, figure| StatusCount {
        status,
        count: count(figure),
    };
    Ok(Cards {
        count_by_status_card: vec![
            of_status(Status::Active, figures.active),
            of_status(Status::Inactive, figures.inactive),
        ],
        last_streamed_card: LastStreamedCard {
            last_streamed_at: figures.last_streamed_at,
        },
        failure_info_card: FailureInfoCard {
            count: count(figures.failing),
        },
    })
}

/// Returns one destination.
pub async fn get(engine: &Engine, actor: &Actor, identifier: &str) -> Result<DestinationView> {
    authorize(engine, actor, Permission::ViewDestination)?;
    rows::require(engine.database().read(), actor.account_id(), identifier)
        .await?
        .view()
}

/// Returns whether an identifier is not yet in use.
pub async fn is_unique(engine: &Engine, actor: &Actor, identifier: &str) -> Result<bool> {
    authorize(engine, actor, Permission::ViewDestination)?;
    let identifier =
        Identifier::parse(identifier).map_err(|error| FieldErrors::one("identifier", error.to_string()))?;
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
    #[sqlx(try_from = "String")]
    status: BatchStatus,
    first_sequence: Sequence,
    last_sequence: Sequence,
    events: i64,
    bytes: i64,
    key: String,
    attempts: i64,
    created: EpochMillis,
    finished: Option<EpochMillis>,
    verified: Option<i64>,
    failure: Option<Json<Failure>>,
    request_id: Option<String>,
    note: Option<String>,
    in_doubt: i64,
    place: Option<String>,
    may_be_at: Option<String>,
}

impl BatchRow {
    fn into_batch(self) -> Result<Batch> {
        let in_doubt = self.status == BatchStatus::Failed && self.in_doubt != 0;
        let others = self.may_be_at.iter().flat_map(|places| places.lines());
        let last = self.place.as_deref().filter(|_| in_doubt);
        let may_be_at = others.chain(last).map(str::to_owned).collect();
        Ok(Batch {
            number: self.number,
            status: self.status,
            first_sequence: self.first_sequence,
            last_sequence: self.last_sequence,
            events: self.events,
            bytes: self.bytes,
            key: self.key,
            attempts: self.attempts,
            created: self.created,
            finished: self.finished,
            verified: self.verified.map(|verified| verified != 0),
            error: self.failure.map(Json::into_value).transpose()?,
            request_id: self.request_id,
            remark: self.note,
            may_be_at,
        })
    }
}

#[derive(FromRow)]
struct BatchPositions {
    id: i64,
    batches_frozen: i64,
    batches_removed: i64,
}

/// Returns a page of the objects of a destination, newest first. The positions of the batches have
/// no gaps, so that each page is one range of them, wherever it is.
pub async fn batches(engine: &Engine, actor: &Actor, identifier: &str, query: &ListQuery) -> Result<Listing<Batch>> {
    authorize(engine, actor, Permission::ViewDestination)?;
    let query = query.clone().validated()?;
    let database = engine.database().read();
    let positions: Option<BatchPositions> = sqlx::query_as(
        "SELECT id, batches_frozen, batches_removed \
         FROM streaming_destination \
         WHERE account_id = $1 AND identifier = $2",
    )
    .bind(actor.account_id())
    .bind(identifier)
    .fetch_optional(database)
    .await?;
    let positions = positions.ok_or_else(|| Error::not_found("streaming destination", identifier))?;
    let newest = positions.batches_frozen - i64::from(query.page) * i64::from(query.limit);
    let rows: Vec<BatchRow> = sqlx::query_as(
        "SELECT number, status, first_sequence, last_sequence, events, bytes, key, attempts, \
         created, finished, verified, failure, request_id, note, in_doubt, place, may_be_at \
         FROM streaming_batch \
         WHERE destination_id = $1 AND position <= $2 AND position > $3 \
         ORDER BY position DESC",
    )
    .bind(positions.id)
    .bind(newest)
    .bind(newest - i64::from(query.limit))
    .fetch_all(database)
    .await?;
    Ok(Listing {
        items: rows.into_iter().map(BatchRow::into_batch).collect::<Result<_>>()?,
        total: u32::try_from((positions.batches_frozen - positions.batches_removed).max(0)).unwrap_or(u32::MAX),
        page: query.page,
        limit: query.limit,
    })
}
