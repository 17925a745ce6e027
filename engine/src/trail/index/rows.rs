//! The tables of the index, as the background task writes them. Searches read them in
//! [`read`](super::read).

use auditstream_model::{EpochMillis, Sequence};
use sqlx::FromRow;

use super::block::PackedBlock;
use super::order::{PackedOrder, Written};
use crate::database::{Database, Dialect, WriteTx};
use crate::error::Result;

/// A slice that is being written: no search uses it.
const BUILDING: i32 = 0;
/// A slice that searches use.
const IN_USE: i32 = 1;
/// A slice that is not used any more, except by searches that began before.
const RETIRED: i32 = 2;
/// A slice whose rows are being deleted.
const DELETING: i32 = 3;

/// The time for which a retired slice is kept for searches that use it, ms.
const RETIRED_FOR: EpochMillis = 60_000;
/// The time for which a claim is valid unless it is renewed, ms.
const CLAIM: EpochMillis = 30_000;

/// A slice that searches use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub(super) struct SliceRow {
    pub(super) slice: i64,
    pub(super) first_sequence: Sequence,
    pub(super) last_sequence: Sequence,
    pub(super) events: i64,
    pub(super) min_time: EpochMillis,
    pub(super) max_time: EpochMillis,
}

/// The slices that searches use, in the order of their sequences.
pub(super) const SLICES: &str = "
    SELECT slice, first_sequence, last_sequence, events, min_time, max_time
    FROM search_slice
    WHERE account_id = $1
      AND state = 1
    ORDER BY first_sequence";

pub(super) async fn slices(database: &Database, account_id: i64) -> Result<Vec<SliceRow>> {
    let query = sqlx::query_as(SLICES).bind(account_id);
    Ok(query.fetch_all(database.read()).await?)
}

/// The right of a server to work on an account's index, for as long as it renews it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) account_id: i64,
    /// Identifies the server's task. Random.
    pub(super) owner: i64,
}

/// SQLite has one server, so that a claim of another task is from an earlier run.
const CLAIM_SQLITE: &str = "
    UPDATE search_index
    SET owner = $2, renewed = CAST(unixepoch('subsec') * 1000 AS INTEGER)
    WHERE account_id = $1";
const CLAIM_POSTGRES: &str = "
    UPDATE search_index
    SET owner = $2, renewed = CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)
    WHERE account_id = $1
      AND (owner = $2
           OR renewed < CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) - $3
           OR renewed > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) + $3)";

impl Claim {
    /// Claims the index of an account, and retires the slices that another task left unfinished.
    /// Returns `false` if another server works on it.
    pub(super) async fn take(self, database: &Database) -> Result<bool> {
        database
            .background()
            .transaction("claim_index", async |tx| {
                sqlx::query(
                    "INSERT INTO search_index (account_id, owner, renewed, last_slice)
                     VALUES ($1, 0, 0, 0)
                     ON CONFLICT (account_id) DO NOTHING",
                )
                .bind(self.account_id)
                .execute(&mut **tx)
                .await?;
                let claim = match tx.dialect() {
                    Dialect::Sqlite => sqlx::query(CLAIM_SQLITE).bind(self.account_id).bind(self.owner),
                    Dialect::Postgres => sqlx::query(CLAIM_POSTGRES)
                        .bind(self.account_id)
                        .bind(self.owner)
                        .bind(CLAIM),
                };
                if claim.execute(&mut **tx).await?.rows_affected() == 0 {
                    return tx.roll_back(false);
                }
                let query =
                    sqlx::query("UPDATE search_slice SET state = $2, retired = 0 WHERE account_id = $1 AND state = $3");
                let query = query.bind(self.account_id).bind(RETIRED).bind(BUILDING);
                query.execute(&mut **tx).await?;
                Ok(true)
            })
            .await
    }

    /// Renews the claim at the beginning of a transaction, which then has the account's index for
    /// itself. Returns `false` if another server has taken it.
    pub(super) async fn renew(self, tx: &mut WriteTx) -> Result<bool> {
        let renew = tx.dialect().pick(
            "UPDATE search_index
             SET renewed = CAST(unixepoch('subsec') * 1000 AS INTEGER)
             WHERE account_id = $1 AND owner = $2",
            "UPDATE search_index
             SET renewed = CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)
             WHERE account_id = $1 AND owner = $2",
        );
        let query = sqlx::query(renew).bind(self.account_id).bind(self.owner);
        Ok(query.execute(&mut **tx).await?.rows_affected() == 1)
    }

    /// Inserts a new slice for a range of sequences, and returns its number.
    pub(super) async fn begin_slice(self, tx: &mut WriteTx, first: Sequence, last: Sequence) -> Result<i64> {
        let query = sqlx::query_scalar(
            "UPDATE search_index SET last_slice = last_slice + 1 WHERE account_id = $1 RETURNING last_slice",
        );
        let slice: i64 = query.bind(self.account_id).fetch_one(&mut **tx).await?;
        sqlx::query(
            "INSERT INTO search_slice
                 (account_id, slice, state, first_sequence, last_sequence, events, min_time, max_time, retired, marks)
             VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0, $6)",
        )
        .bind(self.account_id)
        .bind(slice)
        .bind(BUILDING)
        .bind(first)
        .bind(last)
        .bind(Vec::<u8>::new())
        .execute(&mut **tx)
        .await?;
        Ok(slice)
    }

    /// Inserts rows and blocks of a slice.
    pub(super) async fn store(
        self,
        tx: &mut WriteTx,
        slice: i64,
        order: &[PackedOrder],
        blocks: &[PackedBlock],
    ) -> Result<()> {
        for row in order {
            sqlx::query("INSERT INTO search_order (account_id, slice, first_rank, content) VALUES ($1, $2, $3, $4)")
                .bind(self.account_id)
                .bind(slice)
                .bind(i64::from(row.first_rank))
                .bind(row.content.as_slice())
                .execute(&mut **tx)
                .await?;
        }
        for block in blocks {
            sqlx::query("INSERT INTO search_block (account_id, slice, first_key, content) VALUES ($1, $2, $3, $4)")
                .bind(self.account_id)
                .bind(slice)
                .bind(block.first_key.as_slice())
                .bind(block.content.as_slice())
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    /// Publishes a complete slice: searches use it from now on.
    pub(super) async fn publish(self, tx: &mut WriteTx, slice: i64, written: &Written) -> Result<()> {
        // A slice without events is never read.
        let (min_time, max_time) = written.ends.map_or((0, 0), |(first, last)| (first.time, last.time));
        sqlx::query(
            "UPDATE search_slice
             SET state = $3, events = $4, min_time = $5, max_time = $6, marks = $7
             WHERE account_id = $1 AND slice = $2",
        )
        .bind(self.account_id)
        .bind(slice)
        .bind(IN_USE)
        .bind(i64::from(written.events))
        .bind(min_time)
        .bind(max_time)
        .bind(written.marks.as_slice())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Retires slices. Returns the number of those that were in use.
    pub(super) async fn retire(self, tx: &mut WriteTx, slices: &[i64]) -> Result<usize> {
        let mut retired = 0;
        for slice in slices {
            retired += usize::from(retire(tx, self.account_id, *slice).await?);
        }
        Ok(retired)
    }
}

/// Retires a slice. Returns `false` if it is not in use.
pub(super) async fn retire(tx: &mut WriteTx, account_id: i64, slice: i64) -> Result<bool> {
    let now = tx.now();
    let query = sqlx::query(
        "UPDATE search_slice SET state = $3, retired = $4 WHERE account_id = $1 AND slice = $2 AND state = $5",
    );
    let query = query.bind(account_id).bind(slice).bind(RETIRED).bind(now).bind(IN_USE);
    Ok(query.execute(&mut **tx).await?.rows_affected() == 1)
}

/// Retires a slice that cannot be read, so that its events are indexed again.
pub(super) async fn retire_damaged(tx: &mut WriteTx, account_id: i64, slice: i64) -> Result<()> {
    request(tx, account_id).await?;
    retire(tx, account_id, slice).await.map(drop)
}

/// Makes the task look at an account. Locks the account's index.
async fn request(tx: &mut WriteTx, account_id: i64) -> Result<()> {
    sqlx::query("UPDATE search_index SET requests = requests + 1 WHERE account_id = $1")
        .bind(account_id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Retires the whole index of an account, including slices that are being built.
pub(super) async fn retire_all(tx: &mut WriteTx, account_id: i64) -> Result<()> {
    request(tx, account_id).await?;
    let now = tx.now();
    let query =
        sqlx::query("UPDATE search_slice SET state = $2, retired = $3 WHERE account_id = $1 AND state IN ($4, $5)");
    let query = query
        .bind(account_id)
        .bind(RETIRED)
        .bind(now)
        .bind(BUILDING)
        .bind(IN_USE);
    query.execute(&mut **tx).await?;
    Ok(())
}

/// Finds a slice that no search uses any more.
pub(super) async fn find_retired(database: &Database, account_id: i64, now: EpochMillis) -> Result<Option<i64>> {
    let query = sqlx::query_scalar(
        "SELECT slice
         FROM search_slice
         WHERE account_id = $1
           AND (state = 3 OR (state = 2 AND (retired <= $2 OR retired > $3)))
         LIMIT 1",
    );
    let query = query.bind(account_id).bind(now - RETIRED_FOR).bind(now + RETIRED_FOR);
    Ok(query.fetch_optional(database.read()).await?)
}

/// Rows that one transaction deletes: some MiB.
const DELETED_AT_ONCE: i64 = 64;

/// Deletes some rows of a slice that is not in use, and the slice with the last of them. Returns
/// whether the slice was deleted.
pub(super) async fn delete_some(tx: &mut WriteTx, account_id: i64, slice: i64) -> Result<bool> {
    sqlx::query("UPDATE search_slice SET state = $3 WHERE account_id = $1 AND slice = $2 AND state = $4")
        .bind(account_id)
        .bind(slice)
        .bind(DELETING)
        .bind(RETIRED)
        .execute(&mut **tx)
        .await?;
    for delete in [
        "DELETE FROM search_block WHERE account_id = $1 AND slice = $2 AND first_key IN (
             SELECT first_key FROM search_block WHERE account_id = $1 AND slice = $2 ORDER BY first_key LIMIT $3)",
        "DELETE FROM search_order WHERE account_id = $1 AND slice = $2 AND first_rank IN (
             SELECT first_rank FROM search_order WHERE account_id = $1 AND slice = $2 ORDER BY first_rank LIMIT $3)",
    ] {
        let query = sqlx::query(delete).bind(account_id).bind(slice).bind(DELETED_AT_ONCE);
        if query.execute(&mut **tx).await?.rows_affected() > 0 {
            return Ok(false);
        }
    }
    sqlx::query("DELETE FROM search_slice WHERE account_id = $1 AND slice = $2 AND state = $3")
        .bind(account_id)
        .bind(slice)
        .bind(DELETING)
        .execute(&mut **tx)
        .await?;
    Ok(true)
}
