//! Destinations with their connectors and the state of their streaming.

use std::collections::HashMap;

use auditstream_model::{
    AggregateItem, BatchStatus, ConnectorInfo, EpochMillis, HeldBack, ListQuery, Listing, Permission, Sequence,
    SequenceGap, StreamingDetails, Tags,
};
use sqlx::FromRow;

use super::authorize::authorize;
use super::list;
use super::rows::{self, DestinationRow, joined};
use super::ticks::next_tick;
use crate::database::{Json, column};
use crate::error::{Error, Result};
use crate::retention::{self, Retained};
use crate::trail::gaps;
use crate::{Actor, Engine};

/// Returns a page of the destinations of the actor's account. The number of statements does not
/// depend on the number of destinations.
pub async fn aggregate(engine: &Engine, actor: &Actor, query: &ListQuery) -> Result<Listing<AggregateItem>> {
    let page = list::page(engine, actor, query).await?;
    let items = items(engine, actor, &page.items).await?;
    Ok(page.with_items(items))
}

/// Returns one destination.
pub async fn overview(engine: &Engine, actor: &Actor, identifier: &str) -> Result<AggregateItem> {
    authorize(engine, actor, Permission::ViewDestination)?;
    let row = rows::require(engine.database().read(), actor.account_id(), identifier).await?;
    let items = items(engine, actor, &[row]).await?;
    items
        .into_iter()
        .next()
        .ok_or_else(|| Error::not_found("streaming destination", identifier))
}

/// The figures of a destination that are not in its row.
#[derive(FromRow)]
struct Figures {
    id: i64,
    last_sequence: Sequence,
    /// The status of the newest batch.
    latest: Option<String>,
    waiting_since: Option<EpochMillis>,
    /// The sequences after the cursor that no event has.
    missing: i64,
    connector_name: Option<String>,
    connector_description: Option<String>,
    connector_tags: Option<Json<Tags>>,
}

macro_rules! select {
    ($where:literal) => {
        concat!(
            "SELECT d.id, a.last_sequence,
                    (
                        SELECT b.status
                        FROM streaming_batch b
                        WHERE b.destination_id = d.id
                        ORDER BY b.position DESC
                        LIMIT 1
                    ) AS latest,
                    (
                        SELECT e.received
                        FROM audit_segment e
                        WHERE e.account_id = d.account_id
                          AND e.last_sequence > d.cursor
                        ORDER BY e.last_sequence
                        LIMIT 1
                    ) AS waiting_since,
                    CAST(coalesce((
                        SELECT sum(g.last_sequence - CASE WHEN g.first_sequence > d.cursor THEN g.first_sequence - 1
                                                          ELSE d.cursor END)
                        FROM sequence_gap g
                        WHERE g.account_id = d.account_id
                          AND g.last_sequence > d.cursor
                    ), 0) AS BIGINT) AS missing,
                    c.name AS connector_name, c.description AS connector_description, c.tags AS connector_tags
             FROM streaming_destination d
             JOIN account a ON a.id = d.account_id
             LEFT JOIN connector c ON c.account_id = d.account_id AND c.identifier = d.connector
             WHERE ",
            $where
        )
    };
}

async fn items(engine: &Engine, actor: &Actor, rows: &[DestinationRow]) -> Result<Vec<AggregateItem>> {
    let database = engine.database();
    let query = sqlx::query_as(database.dialect().pick(
        select!("d.id IN (SELECT value FROM json_each('[' || $1 || ']'))"),
        select!("d.id = ANY (CAST(string_to_array($1, ',') AS BIGINT[]))"),
    ));
    let found: Vec<Figures> = query
        .bind(joined(rows.iter().map(|row| row.id)))
        .fetch_all(database.read())
        .await?;
    let mut figures: HashMap<i64, Figures> = found.into_iter().map(|found| (found.id, found)).collect();
    let account = AccountFigures {
        engine,
        retained: retention::retained(engine, actor).await?,
        gaps: gaps::newest_gaps(engine, actor.account_id()).await?,
    };
    rows.iter()
        .filter_map(|row| Some(item(row, figures.remove(&row.id)?, &account)))
        .collect()
}

/// The figures that are read once for all destinations of an account.
struct AccountFigures<'a> {
    engine: &'a Engine,
    retained: Vec<Retained>,
    gaps: Vec<SequenceGap>,
}

impl AccountFigures<'_> {
    fn next_run(&self, row: &DestinationRow) -> Result<Option<EpochMillis>> {
        let interval = row.spec.get()?.interval_seconds;
        Ok(row.is_active().then(|| next_tick(self.engine, interval)))
    }

    fn held_back(&self, row: &DestinationRow) -> Option<HeldBack> {
        let found = self
            .retained
            .iter()
            .find(|retained| retained.identifier == row.identifier);
        found.map(|retained| retained.held_back)
    }
}

fn item(row: &DestinationRow, figures: Figures, account: &AccountFigures<'_>) -> Result<AggregateItem> {
    let failure = row.failure()?;
    Ok(AggregateItem {
        streaming_destination: row.destination()?,
        streaming_details: StreamingDetails {
            status: figures
                .latest
                .as_deref()
                .and_then(|status| BatchStatus::try_from(status.to_owned()).ok()),
            last_streamed_at: row.last_streamed_at,
            error_message: failure.as_ref().map(|failure| failure.message.clone()),
            failure,
            behind: row
                .cursor
                .map(|cursor| figures.last_sequence - cursor - figures.missing),
            cursor: row.cursor,
            waiting_since: figures.waiting_since,
            next_run: account.next_run(row)?,
            held_back: account.held_back(row),
            conditional_writes: row.conditional_writes.map(|honoured| honoured != 0),
            conditional_writes_checked: row.conditional_writes_checked,
            sequence_gaps: account.gaps.clone(),
        },
        connector_info: connector_info(row, figures)?,
    })
}

fn connector_info(row: &DestinationRow, figures: Figures) -> Result<Option<ConnectorInfo>> {
    let (Some(name), Some(description), Some(tags)) = (
        figures.connector_name,
        figures.connector_description,
        figures.connector_tags,
    ) else {
        return Ok(None);
    };
    Ok(Some(ConnectorInfo {
        name: column::parse(&name)?,
        identifier: column::parse(&row.connector)?,
        description: column::parse(&description)?,
        tags: tags.into_value()?,
    }))
}
