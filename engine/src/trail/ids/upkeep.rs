//! The background task of the event ids. Every server loads the filters of complete generations,
//! builds those that no server has stored, and removes the ids of generations whose events
//! retention has removed.

use auditstream_model::Sequence;
use sqlx::FromRow;

use super::{look_up, remove, stored_filters};
use crate::Engine;
use crate::database::{Dialect, WriteTx};
use crate::error::Result;
use crate::failpoint;
use crate::id_filters::IdFilters;
use crate::task::{Stop, Task};

/// The PostgreSQL advisory lock under which one server at a time removes ids: "ids" in ASCII.
const POSTGRES_LOCK: i64 = 0x0069_6473;
/// Ids removed by one transaction.
const ROWS: u32 = 5_000;

/// Starts the task. Stops after the current step.
pub(crate) fn start(engine: Engine) -> Task {
    Task::spawn("event_ids", engine.metrics().clone(), move |stop| {
        run(engine.clone(), stop)
    })
}

async fn run(engine: Engine, mut stop: Stop) {
    let every = engine.database().id_filters().settings().every;
    while !*stop.borrow() {
        failpoint::reached("event_ids.look").await;
        if let Err(error) = look(&engine, &stop).await {
            tracing::warn!(%error, "the filters of event ids cannot be brought up to date; retrying");
        }
        tokio::select! {
            _ = stop.changed() => {}
            () = tokio::time::sleep(every) => {}
        }
    }
}

#[derive(FromRow)]
struct Account {
    id: i64,
    first_sequence: Sequence,
    last_sequence: Sequence,
}

async fn look(engine: &Engine, stop: &Stop) -> Result<()> {
    let database = engine.database();
    let filters = database.id_filters();
    let accounts: Vec<Account> = sqlx::query_as("SELECT id, first_sequence, last_sequence FROM account ORDER BY id")
        .fetch_all(database.read())
        .await?;
    check(engine, filters).await?;
    for account in &accounts {
        let first = filters.settings().generation(account.first_sequence);
        let end = filters.settings().first_incomplete(account.last_sequence);
        filters.removed(account.id, first);
        if end < filters.known_until(account.id) {
            filters.forget(account.id);
        }
        let known = filters.known_until(account.id);
        if known < end {
            let complete = look_up::existing(database.read(), account.id, known.max(first), end).await?;
            filters.found(account.id, known, complete, end);
        }
    }
    load(engine, stop).await?;
    for account in &accounts {
        remove(engine, account, stop).await?;
    }
    Ok(())
}

/// Forgets the filters of a database that another one has replaced, as after a failover. The newest
/// filter follows from all ids of its generation, so that it differs if any history differs.
async fn check(engine: &Engine, filters: &IdFilters) -> Result<()> {
    if engine.database().dialect() == Dialect::Sqlite {
        return Ok(());
    }
    for (account_id, generation, checksum) in filters.newest() {
        if !stored_filters::is_stored(engine.database(), account_id, generation, checksum).await? {
            tracing::warn!(
                account_id,
                generation,
                "the filters of event ids are not those of the database and are loaded again"
            );
            filters.forget(account_id);
        }
    }
    Ok(())
}

/// Loads or builds the filters that fit into memory and are missing.
async fn load(engine: &Engine, stop: &Stop) -> Result<()> {
    let database = engine.database();
    let filters = database.id_filters();
    for (account_id, generation) in filters.wanted() {
        if *stop.borrow() {
            break;
        }
        let filter = match stored_filters::read(database, account_id, generation).await? {
            Some(filter) => filter,
            None => stored_filters::build(database, account_id, generation).await?,
        };
        filters.add(account_id, generation, filter);
    }
    Ok(())
}

/// Removes the ids of the generations in which no event is left.
async fn remove(engine: &Engine, account: &Account, stop: &Stop) -> Result<()> {
    let database = engine.database();
    let end = database.id_filters().settings().generation(account.first_sequence);
    // There is no generation before the first.
    while end > 0 && !*stop.borrow() {
        // Nearly always there is nothing to remove: look without a lock first.
        if remove::oldest(database.read(), account.id, end).await?.is_none() {
            break;
        }
        let remove = async |tx: &mut WriteTx| {
            if !lock(tx).await? {
                return tx.roll_back(0);
            }
            remove::remove(tx, account.id, account.first_sequence, ROWS).await
        };
        if database.background().transaction("remove_ids", remove).await? == 0 {
            break;
        }
        if engine.writer().waiting_bytes() > 0 {
            tokio::time::sleep(engine.retention().pause).await;
        }
    }
    Ok(())
}

/// Locks out the other servers. Returns `false` if one is removing ids now.
async fn lock(tx: &mut WriteTx) -> Result<bool> {
    if tx.dialect() == Dialect::Sqlite {
        return Ok(true);
    }
    Ok(sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(POSTGRES_LOCK)
        .fetch_one(&mut **tx)
        .await?)
}
