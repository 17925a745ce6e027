//! Declares that the database is older than the numbers given out, and continues beyond them.

use std::collections::BTreeMap;

use auditstream_model::{AccountName, Sequence};
use serde_json::json;
use sqlx::FromRow;

use super::facts::{Account, Facts};
use crate::Actor;
use crate::database::{Database, WriteTx, now};
use crate::destinations::object_key::new_uid;
use crate::error::Result;
use crate::marks::{BeyondCursor, Marks, Numbering};
use crate::trail::self_audit::{Change, record};

const KIND: &str = "ACCOUNT";

/// How far epochs move, so that they exceed those of runs that the database has lost, which are
/// possibly still in progress.
const EPOCHS: i64 = 1_000_000;

/// A restore to be declared.
#[derive(Debug)]
pub(super) struct Restore {
    /// Why the database is taken to be older.
    pub(super) reason: String,
    /// The last number of the gap, by account name.
    pub(super) gap_ends: BTreeMap<String, Sequence>,
    /// Objects that the database does not know.
    pub(super) beyond: Vec<BeyondCursor>,
    /// The admin who confirmed it; `None` if a witness contradicted the database.
    pub(super) confirmed_by: Option<Actor>,
}

#[derive(FromRow)]
struct DestinationRow {
    id: i64,
    account_id: i64,
    identifier: String,
    uid: String,
    last_batch: i64,
}

/// Declares the restore and opens numbering. The new marks are on disk before the gap is committed.
/// Returns `false`, and changes nothing, if another server has declared one since `facts` were
/// read.
pub(super) async fn declare(
    database: &Database,
    facts: &Facts,
    known: Option<&Marks>,
    restore: &Restore,
) -> Result<bool> {
    let numbering = database.numbering();
    let mut reserved = known
        .filter(|known| known.installation == facts.installation.identifier)
        .cloned()
        .unwrap_or_else(|| Marks::new(&facts.installation.identifier, facts.installation.generation));
    for (name, gap_end) in &restore.gap_ends {
        reserved.reserve(name, *gap_end, *gap_end);
    }
    let written = write_marks(numbering, reserved).await?;
    let declared = database
        .transaction("declare_restore", async |tx| write(tx, facts, known, restore).await)
        .await?;
    if !declared {
        return Ok(false);
    }
    tracing::warn!(reason = restore.reason, gap_ends = ?restore.gap_ends, "declared a restore: numbering continues after the gaps");
    let facts = Facts::read(database).await?;
    let marks = write_marks(numbering, facts.as_marks(Some(&written))).await?;
    numbering.open(marks);
    Ok(true)
}

pub(super) async fn write_marks(numbering: &Numbering, marks: Marks) -> Result<Marks> {
    match numbering.file() {
        Some(file) => crate::marks::write(&file, marks).await,
        None => Ok(marks),
    }
}

/// Returns `false` if another server has declared a restore meanwhile.
async fn write(tx: &mut WriteTx, facts: &Facts, known: Option<&Marks>, restore: &Restore) -> Result<bool> {
    tx.declares_restore();
    let generation = known.map_or(0, |known| known.generation);
    let raised = sqlx::query(
        "UPDATE installation
         SET generation = $2, server = $3, timeline = $4, copied = 0
         WHERE id = 1 AND generation = $1",
    )
    .bind(facts.installation.generation)
    .bind(facts.installation.generation.max(generation) + 1)
    .bind(facts.server.identity.as_deref())
    .bind(facts.server.timeline.as_deref())
    .execute(&mut **tx)
    .await?;
    if raised.rows_affected() != 1 {
        return tx.roll_back(false);
    }
    let destinations = renew_destinations(tx, known, restore).await?;
    let mut accounts: Vec<(&String, &Account)> = facts.accounts.iter().collect();
    accounts.sort_by_key(|(_, account)| account.id);
    for (name, account) in accounts {
        let identifiers = destinations.get(&account.id).map(Vec::as_slice).unwrap_or_default();
        declare_gap(tx, name, account.id, identifiers, restore).await?;
    }
    Ok(true)
}

/// Gives every destination a new `uid`, so that no key can be used twice. A batch that is frozen
/// keeps its key: if its object exists, it has the same content. Returns the identifiers of each
/// account.
async fn renew_destinations(
    tx: &mut WriteTx,
    known: Option<&Marks>,
    restore: &Restore,
) -> Result<BTreeMap<i64, Vec<String>>> {
    let rows: Vec<DestinationRow> = sqlx::query_as(tx.dialect().pick(
        "SELECT id, account_id, identifier, uid, last_batch FROM streaming_destination ORDER BY id",
        "SELECT id, account_id, identifier, uid, last_batch FROM streaming_destination ORDER BY id FOR UPDATE",
    ))
    .fetch_all(&mut **tx)
    .await?;
    let mut identifiers: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for row in rows {
        let mark = known.and_then(|known| known.batches.get(&row.uid)).copied();
        let objects = restore.beyond.iter().filter(|object| object.destination_id == row.id);
        let last_batch = objects
            .map(|object| object.batch)
            .chain(mark)
            .fold(row.last_batch, i64::max);
        sqlx::query(
            "UPDATE streaming_destination
             SET uid = $2, epoch = epoch + $3, last_batch = $4, runs_requested = runs_requested + 1
             WHERE id = $1",
        )
        .bind(row.id)
        .bind(new_uid())
        .bind(EPOCHS)
        .bind(last_batch)
        .execute(&mut **tx)
        .await?;
        identifiers.entry(row.account_id).or_default().push(row.identifier);
    }
    Ok(identifiers)
}

async fn declare_gap(
    tx: &mut WriteTx,
    name: &str,
    account_id: i64,
    destinations: &[String],
    restore: &Restore,
) -> Result<()> {
    let lock = tx.dialect().pick(
        "SELECT last_sequence FROM account WHERE id = $1",
        "SELECT last_sequence FROM account WHERE id = $1 FOR NO KEY UPDATE",
    );
    let last: Sequence = sqlx::query_scalar(lock).bind(account_id).fetch_one(&mut **tx).await?;
    let gap_end = restore.gap_ends.get(name).copied().unwrap_or(0);
    let account = AccountName::parse(name).map_err(|error| crate::Error::Broken(error.to_string()))?;
    let actor = match &restore.confirmed_by {
        Some(actor) if actor.account_id() == account_id => actor.clone(),
        _ => Actor::system(account_id, account),
    };
    if gap_end > last {
        insert_gap(tx, account_id, last + 1, gap_end, &restore.reason).await?;
    }
    let old = json!({"last_sequence": last});
    let new = json!({
        "missing_sequences": (gap_end > last).then(|| json!({"first": last + 1, "last": gap_end})),
        "next_sequence": gap_end.max(last) + 1,
        "reason": restore.reason,
        "renewed_destinations": destinations,
    });
    record(tx, &actor, Change::of(KIND, name, "RESTORE", old, new))
        .await
        .map(drop)
}

/// Declares that an account has no events with these sequences, and moves its newest number to the
/// end of the gap.
pub(super) async fn insert_gap(
    tx: &mut WriteTx,
    account_id: i64,
    first: Sequence,
    last: Sequence,
    reason: &str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO sequence_gap (account_id, first_sequence, last_sequence, declared, reason)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(account_id)
    .bind(first)
    .bind(last)
    .bind(now())
    .bind(reason)
    .execute(&mut **tx)
    .await?;
    sqlx::query("UPDATE account SET last_sequence = $2 WHERE id = $1")
        .bind(account_id)
        .bind(last)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
