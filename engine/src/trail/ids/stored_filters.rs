//! The table `event_id_filter`: the filters of complete generations.

use sqlx::FromRow;

use crate::database::{Database, WriteTx};
use crate::error::{Error, Result};
use crate::id_filters::{Checksum, IdFilter, key};

/// Ids read by one statement while a filter is built.
const IDS_PER_STEP: i64 = 20_000;

#[derive(FromRow)]
struct Row {
    checksum: Vec<u8>,
    filter: Vec<u8>,
}

/// Returns the stored filter of a generation; `None` if it is missing or damaged.
pub(super) async fn read(database: &Database, account_id: i64, generation: i64) -> Result<Option<IdFilter>> {
    let row: Option<Row> =
        sqlx::query_as("SELECT checksum, filter FROM event_id_filter WHERE account_id = $1 AND generation = $2")
            .bind(account_id)
            .bind(generation)
            .fetch_optional(database.read())
            .await?;
    let Some(Row { checksum, filter }) = row else {
        return Ok(None);
    };
    let filter = unblocked(move || IdFilter::from_stored(account_id, generation, filter, &checksum)).await?;
    if filter.is_none() {
        tracing::warn!(
            account_id,
            generation,
            "the stored filter of event ids is damaged and is built again; duplicates are recognised without it"
        );
    }
    Ok(filter)
}

/// Builds the filter of a complete generation from its ids, and stores it.
pub(super) async fn build(database: &Database, account_id: i64, generation: i64) -> Result<IdFilter> {
    let mut keys = Vec::new();
    let mut last = Vec::new();
    loop {
        let ids: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT digest FROM event_id
             WHERE account_id = $1 AND generation = $2 AND digest > $3
             ORDER BY digest LIMIT $4",
        )
        .bind(account_id)
        .bind(generation)
        .bind(last)
        .bind(IDS_PER_STEP)
        .fetch_all(database.read())
        .await?;
        let Some(end) = ids.last() else { break };
        last = end.clone();
        for id in ids {
            let id = id.try_into().map_err(|_| damaged(account_id, generation))?;
            keys.push(key(&id));
        }
    }
    let built = unblocked(move || IdFilter::build(account_id, generation, keys)).await?;
    let filter = built.map_err(|why| Error::Broken(why.to_owned()))?;
    store(database, account_id, generation, &filter).await?;
    Ok(filter)
}

fn damaged(account_id: i64, generation: i64) -> Error {
    Error::Broken(format!(
        "an event of generation {generation} of account {account_id} has a digest that is not 16 bytes"
    ))
}

async fn store(database: &Database, account_id: i64, generation: i64, filter: &IdFilter) -> Result<()> {
    let body = async |tx: &mut WriteTx| {
        sqlx::query(
            "INSERT INTO event_id_filter (account_id, generation, checksum, filter)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (account_id, generation)
             DO UPDATE SET checksum = excluded.checksum, filter = excluded.filter",
        )
        .bind(account_id)
        .bind(generation)
        .bind(filter.checksum().as_slice())
        .bind(filter.bytes())
        .execute(&mut **tx)
        .await?;
        Ok(())
    };
    database.background().transaction("store_id_filter", body).await
}

/// Whether the database has exactly this filter.
pub(super) async fn is_stored(
    database: &Database,
    account_id: i64,
    generation: i64,
    checksum: Checksum,
) -> Result<bool> {
    let stored: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT checksum FROM event_id_filter WHERE account_id = $1 AND generation = $2")
            .bind(account_id)
            .bind(generation)
            .fetch_optional(database.read())
            .await?;
    Ok(stored.is_some_and(|stored| stored == checksum))
}

/// Runs `work` outside of the threads that serve requests.
async fn unblocked<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::Broken(error.to_string()))
}
