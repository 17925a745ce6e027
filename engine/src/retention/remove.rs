//! Removes the next old events of an account, in one transaction.

use std::collections::HashSet;

use auditstream_model::{EpochMillis, Sequence};
use sqlx::FromRow;
use sqlx::any::AnyExecutor;

use super::expiry::Expiry;
use crate::Engine;
use crate::database::{Dialect, WriteTx};
use crate::error::Result;
use crate::trail::segment;

/// Segments that one transaction removes at most.
const SEGMENTS: u32 = 1_000;

/// The progress of a destination.
#[derive(FromRow)]
struct Progress {
    id: i64,
    /// The last sequence that it does not need any more. `None` if it was never active.
    done: Option<Sequence>,
}

/// A segment at the beginning of a trail.
#[derive(FromRow)]
struct Segment {
    first_sequence: Sequence,
    last_sequence: Sequence,
    last_received: EpochMillis,
    times: Vec<u8>,
    /// The month of its partition; 0 on SQLite.
    #[sqlx(default)]
    month: i64,
}

/// Removes whole segments with up to `rows` events, or one with more, and returns the number of
/// their events: 0 if none is left, or another server is removing. Those of the month `spared`
/// stay.
pub(super) async fn step(
    engine: &Engine,
    account_id: i64,
    expiry: Expiry,
    rows: u32,
    spared: Option<i64>,
) -> Result<u64> {
    // Most sweeps find nothing: check without a lock first.
    let progress = read_progress(engine.database().read(), account_id).await?;
    let first: Sequence = sqlx::query_scalar("SELECT first_sequence FROM account WHERE id = $1")
        .bind(account_id)
        .fetch_one(engine.database().read())
        .await?;
    if removable(&progress, expiry) < first {
        return Ok(0);
    }
    engine
        .database()
        .background()
        .transaction("remove_events", async |tx| {
            if !segment::lock(tx).await? {
                return tx.roll_back(0);
            }
            let Some(progress) = lock_progress(tx, account_id).await? else {
                return tx.roll_back(0);
            };
            let up_to = removable(&progress, expiry);
            let mut segments = read_segments(tx, account_id, up_to, expiry, rows).await?;
            let deleted = segments
                .iter()
                .take_while(|it| spared.is_none_or(|spared| it.month != spared));
            let deleted = deleted.count();
            segments.truncate(deleted);
            let Some(last) = segments.last().map(|segment| segment.last_sequence) else {
                return tx.roll_back(0);
            };
            remove(tx, account_id, &segments, last).await?;
            let events = segments.iter().map(|it| it.last_sequence - it.first_sequence + 1);
            Ok(u64::try_from(events.sum::<i64>()).unwrap_or(0))
        })
        .await
}

/// Removes the events of a month from a trail, up to `last`, as far as no destination needs them:
/// their rows are deleted with the partitions of the month.
pub(super) async fn release_month(
    engine: &Engine,
    account_id: i64,
    expiry: Expiry,
    month: i64,
    last: Sequence,
) -> Result<Release> {
    engine
        .database()
        .background()
        .transaction("release_month", async |tx| {
            if !segment::lock(tx).await? {
                return tx.roll_back(Release::Busy);
            }
            let Some(progress) = lock_progress(tx, account_id).await? else {
                return tx.roll_back(Release::Blocked);
            };
            let up_to = removable(&progress, expiry).min(last);
            let found: Released = sqlx::query_as(
                "SELECT a.first_sequence,
                        (SELECT max(last_sequence) FROM audit_segment
                         WHERE account_id = $1 AND month = $2
                           AND last_sequence >= a.first_sequence AND last_sequence <= $3) AS released,
                        (SELECT count(*) FROM (
                             SELECT 1 FROM audit_segment
                             WHERE account_id = $1 AND month <> $2
                               AND last_sequence >= a.first_sequence AND last_sequence <= $4
                             LIMIT 1) AS other) AS others
                 FROM account a
                 WHERE a.id = $1",
            )
            .bind(account_id)
            .bind(month)
            .bind(up_to)
            .bind(last)
            .fetch_one(&mut **tx)
            .await?;
            if found.others > 0 {
                return tx.roll_back(Release::Blocked);
            }
            let Some(released) = found.released else {
                return tx.roll_back(Release::UpTo(found.first_sequence - 1));
            };
            sqlx::query("UPDATE account SET first_sequence = $2 WHERE id = $1")
                .bind(account_id)
                .bind(released + 1)
                .execute(&mut **tx)
                .await?;
            Ok(Release::UpTo(released))
        })
        .await
}

/// The effect of [`release_month`].
pub(super) enum Release {
    /// Segments are being merged, moved or removed at this moment.
    Busy,
    /// Events of another month are before those of the month.
    Blocked,
    /// The event before the first that is left.
    UpTo(Sequence),
}

/// The beginning of a trail, before a month is removed from it.
#[derive(FromRow)]
struct Released {
    first_sequence: Sequence,
    /// The last event of the month that can be removed; `None` without one.
    released: Option<Sequence>,
    /// Whether there are events of other months.
    others: i64,
}

/// Returns the statement that removes rows of events, for tests that let the database explain it.
/// It binds an account, a sequence, times joined with commas, and on PostgreSQL a month.
#[must_use]
pub fn explained(dialect: Dialect) -> &'static str {
    dialect.pick(DELETE_EVENTS_SQLITE, DELETE_EVENTS_POSTGRES)
}

/// Removes the first segments of a trail, and the order of their events. Their ids are removed with
/// their generation (see [`ids`](crate::trail::ids)).
async fn remove(tx: &mut WriteTx, account_id: i64, segments: &[Segment], last: Sequence) -> Result<()> {
    for segment in segments {
        let events = usize::try_from(segment.last_sequence - segment.first_sequence + 1).unwrap_or(0);
        let times = segment::decode_times(&segment.times, events)
            .ok_or_else(|| segment::damaged(segment.first_sequence, segment.last_sequence))?;
        let query = sqlx::query(explained(tx.dialect()))
            .bind(account_id)
            .bind(segment.first_sequence)
            .bind(segment::joined(times.into_iter()));
        let query = match tx.dialect() {
            Dialect::Sqlite => query,
            Dialect::Postgres => query.bind(segment.month),
        };
        query.execute(&mut **tx).await?;
    }
    sqlx::query("DELETE FROM audit_segment WHERE account_id = $1 AND last_sequence <= $2")
        .bind(account_id)
        .bind(last)
        .execute(&mut **tx)
        .await?;
    // Rows that were left in the partition of a month may be older than the first event.
    sqlx::query("UPDATE account SET first_sequence = $2 WHERE id = $1 AND first_sequence < $2")
        .bind(account_id)
        .bind(last + 1)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The rows of a segment's events, each looked up by its key.
const DELETE_EVENTS_SQLITE: &str = "
    DELETE FROM audit_event
    WHERE account_id = $1
      AND (time, sequence) IN (SELECT value, $2 + key FROM json_each('[' || $3 || ']'))";
const DELETE_EVENTS_POSTGRES: &str = "
    DELETE FROM audit_event AS event
    USING unnest(string_to_array($3, ',')::bigint[]) WITH ORDINALITY AS gone (time, number)
    WHERE event.account_id = $1 AND event.time = gone.time AND event.sequence = $2 + gone.number - 1
      AND event.month = $4";

/// The last event that neither a destination nor an admin has to release.
fn removable(progress: &[Progress], expiry: Expiry) -> Sequence {
    let done_by_all = progress.iter().filter_map(|destination| destination.done).min();
    done_by_all.map_or(expiry.removable, |done| done.min(expiry.removable))
}

/// Reads the first segments that have expired and end at `up_to` at the latest: as many as have
/// `rows` events together, at least one.
async fn read_segments(
    tx: &mut WriteTx,
    account_id: i64,
    up_to: Sequence,
    expiry: Expiry,
    rows: u32,
) -> Result<Vec<Segment>> {
    let query = sqlx::query_as(tx.dialect().pick(
        "SELECT first_sequence, last_sequence, last_received, times
         FROM audit_segment
         WHERE account_id = $1
           AND last_sequence <= $2
         ORDER BY last_sequence
         LIMIT $3",
        "SELECT first_sequence, last_sequence, last_received, times, CAST(month AS BIGINT) AS month
         FROM audit_segment
         WHERE account_id = $1
           AND last_sequence <= $2
         ORDER BY last_sequence
         LIMIT $3",
    ));
    let query = query.bind(account_id).bind(up_to).bind(i64::from(rows.min(SEGMENTS)));
    let mut segments: Vec<Segment> = query.fetch_all(&mut **tx).await?;
    let mut events = 0;
    let fitting = segments.iter().enumerate().take_while(|(index, segment)| {
        events += segment.last_sequence - segment.first_sequence + 1;
        segment.last_received < expiry.cutoff && (*index == 0 || events <= i64::from(rows))
    });
    let fitting = fitting.count();
    segments.truncate(fitting);
    Ok(segments)
}

/// Locks the destinations, then the account. Returns the progress of the destinations. Until the
/// end of the transaction no cursor moves back and no first activation looks for the oldest event.
/// Returns `None` if a destination was created between the two locks.
async fn lock_progress(tx: &mut WriteTx, account_id: i64) -> Result<Option<Vec<Progress>>> {
    let lock_destinations = tx.dialect().pick(
        "SELECT id FROM streaming_destination WHERE account_id = $1 ORDER BY id",
        "SELECT id FROM streaming_destination WHERE account_id = $1 ORDER BY id FOR SHARE",
    );
    let locked: Vec<i64> = sqlx::query_scalar(lock_destinations)
        .bind(account_id)
        .fetch_all(&mut **tx)
        .await?;
    let locked: HashSet<i64> = locked.into_iter().collect();
    let lock_account = tx.dialect().pick(
        "SELECT id FROM account WHERE id = $1",
        "SELECT id FROM account WHERE id = $1 FOR NO KEY UPDATE",
    );
    sqlx::query(lock_account).bind(account_id).execute(&mut **tx).await?;
    let progress = read_progress(&mut **tx, account_id).await?;
    let all_locked = progress.iter().all(|destination| locked.contains(&destination.id));
    Ok(all_locked.then_some(progress))
}

async fn read_progress(executor: impl AnyExecutor<'_>, account_id: i64) -> Result<Vec<Progress>> {
    let query = sqlx::query_as(
        "SELECT d.id,
                CASE WHEN b.first_sequence <= d.cursor THEN b.first_sequence - 1 ELSE d.cursor END AS done
         FROM streaming_destination d
         LEFT JOIN streaming_batch b ON b.destination_id = d.id AND b.status <> 'SUCCESS'
         WHERE d.account_id = $1",
    );
    Ok(query.bind(account_id).fetch_all(executor).await?)
}
