//! Numbers events and inserts them, as part of a transaction.

use auditstream_model::limits::NAMED_INVALID_EVENTS;
use auditstream_model::{EpochMillis, FieldError, IngestOutcome, Sequence};
use sqlx::{AssertSqlSafe, FromRow};

use super::ids;
use super::stored_form::Prepared;
use crate::database::{Dialect, WriteTx, is_future, time_after};
use crate::error::Result;

/// Enough that round trips to the database do not matter; far from its limit on parameters.
const ROWS_PER_STATEMENT: usize = 200;

#[derive(Debug)]
pub(crate) enum Appended {
    Stored(IngestOutcome),
    /// Ids that are stored with other content; nothing was stored.
    Conflicts {
        total: usize,
        /// The errors of the first of them.
        named: Vec<FieldError>,
    },
}

/// Appends events to an account's trail. Locks the account's row first, so that the lock orders
/// commits, then looks up the ids and numbers only the new ones.
pub(crate) async fn append(tx: &mut WriteTx, account_id: i64, events: &[Prepared]) -> Result<Appended> {
    let end = lock_account(tx, account_id).await?;
    let last = end.last_sequence;
    let ids: Vec<_> = events.iter().map(|event| event.id_digest).collect();
    let mut known = ids::look_up(tx, account_id, last, end.first_sequence, &ids).await?;
    let mut fresh: Vec<&Prepared> = Vec::with_capacity(events.len());
    let mut named = Vec::new();
    let (mut total, mut duplicates) = (0, 0);
    for (index, event) in events.iter().enumerate() {
        match known.get(&event.id_digest) {
            None => {
                known.insert(event.id_digest, event.content_digest);
                fresh.push(event);
            }
            Some(content) if *content == event.content_digest => duplicates += 1,
            Some(_) => {
                total += 1;
                if total <= NAMED_INVALID_EVENTS {
                    named.push(conflict(index));
                }
            }
        }
    }
    if total > 0 {
        return Ok(Appended::Conflicts { total, named });
    }
    let accepted = u32::try_from(fresh.len()).unwrap_or(u32::MAX);
    let new_last = last + i64::from(accepted);
    if accepted > 0 {
        tx.reserve(&end.name, last, new_last).await?;
        let received = time_after(end.last_received, tx.now(), end.trusted);
        let trail_bytes = insert(tx, account_id, &end, received, &fresh).await?;
        ids::insert(tx, account_id, last + 1, &fresh).await?;
        // Retention corrects the receipt of the events up to here.
        let is_misdated = is_future(end.last_received, received);
        sqlx::query(
            "UPDATE account SET last_sequence = $2, last_received = $3, trail_bytes = $4, \
             misdated_sequence = CASE WHEN $5 = 1 THEN $6 ELSE misdated_sequence END \
             WHERE id = $1",
        )
        .bind(account_id)
        .bind(new_last)
        .bind(received)
        .bind(trail_bytes)
        .bind(i64::from(is_misdated))
        .bind(last)
        .execute(&mut **tx)
        .await?;
    }
    let numbered = accepted > 0;
    Ok(Appended::Stored(IngestOutcome {
        accepted,
        duplicates,
        first_sequence: numbered.then_some(last + 1),
        last_sequence: numbered.then_some(new_last),
    }))
}

fn conflict(index: usize) -> FieldError {
    FieldError {
        field: "auditEventId".to_owned(),
        message: "There is already an event with this id and other content.".to_owned(),
        code: Some("event_id_conflict".to_owned()),
        index: u32::try_from(index).ok(),
    }
}

#[derive(FromRow)]
struct AccountRow {
    name: String,
    /// The first event that retention has not removed.
    first_sequence: Sequence,
    last_sequence: Sequence,
    last_received: EpochMillis,
    /// The payload bytes of all events.
    trail_bytes: i64,
    /// The latest time known to have come.
    trusted: EpochMillis,
    /// Of the PostgreSQL server, if it may be read.
    timeline: Option<String>,
}

const LOCK_SQLITE: &str = "
    SELECT name, first_sequence, last_sequence, last_received, trail_bytes, (SELECT trusted FROM clock) AS trusted,
           CAST(NULL AS TEXT) AS timeline
    FROM account
    WHERE id = $1";
const LOCK_POSTGRES: &str = "
    SELECT name, first_sequence, last_sequence, last_received, trail_bytes, (SELECT trusted FROM clock) AS trusted,
           CAST(NULL AS TEXT) AS timeline
    FROM account
    WHERE id = $1
    FOR NO KEY UPDATE";
const LOCK_POSTGRES_WITH_TIMELINE: &str = "
    SELECT name, first_sequence, last_sequence, last_received, trail_bytes, (SELECT trusted FROM clock) AS trusted,
           substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline
    FROM account
    WHERE id = $1
    FOR NO KEY UPDATE";

/// Locks an account, and checks that the database is not older than the numbers given out. On
/// SQLite the transaction has the write lock from its start.
async fn lock_account(tx: &mut WriteTx, account_id: i64) -> Result<AccountRow> {
    let has_timeline = tx.numbering().is_some_and(|numbering| numbering.timeline().is_some());
    let lock = match (tx.dialect(), has_timeline) {
        (Dialect::Sqlite, _) => LOCK_SQLITE,
        (Dialect::Postgres, false) => LOCK_POSTGRES,
        (Dialect::Postgres, true) => LOCK_POSTGRES_WITH_TIMELINE,
    };
    let row: AccountRow = sqlx::query_as(lock).bind(account_id).fetch_one(&mut **tx).await?;
    if let Some(numbering) = tx.numbering() {
        numbering.check(&row.name, row.last_sequence, row.timeline.as_deref())?;
    }
    Ok(row)
}

/// SQLite is much faster with `?` than with `$1`, and does not accept both.
fn placeholders(dialect: Dialect, first: usize, rows: usize, columns: usize) -> String {
    let group = |row: usize| {
        let one = |column| match dialect {
            Dialect::Sqlite => "?".to_owned(),
            Dialect::Postgres => format!("${}", first + row * columns + column),
        };
        format!("({})", (0..columns).map(one).collect::<Vec<_>>().join(", "))
    };
    (0..rows).map(group).collect::<Vec<_>>().join(", ")
}

/// Whether a statement is cached: statements of every length would evict all others.
fn is_cached(rows: usize) -> bool {
    rows == ROWS_PER_STATEMENT || rows == 1
}

/// Inserts the events after `end`. Returns the payload bytes of the trail with them.
async fn insert(
    tx: &mut WriteTx,
    account_id: i64,
    end: &AccountRow,
    received: EpochMillis,
    fresh: &[&Prepared],
) -> Result<i64> {
    const COLUMNS: usize = 14;
    let mut sequence = end.last_sequence;
    let mut bytes = end.trail_bytes;
    for chunk in fresh.chunks(ROWS_PER_STATEMENT) {
        let mut sql = String::from(
            "INSERT INTO audit_event (account_id, sequence, time, received, principal_type, principal, action, module, \
             resource_type, resource, org, project, bytes_before, payload) VALUES ",
        );
        sql.push_str(&placeholders(tx.dialect(), 1, chunk.len(), COLUMNS));
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(is_cached(chunk.len()));
        for event in chunk {
            sequence += 1;
            query = query
                .bind(account_id)
                .bind(sequence)
                .bind(event.time)
                .bind(received)
                .bind(event.principal_type.as_str())
                .bind(event.principal.as_str())
                .bind(event.action.as_str())
                .bind(event.module.as_str())
                .bind(event.resource_type.as_str())
                .bind(event.resource.as_str())
                .bind(event.org.as_deref())
                .bind(event.project.as_deref())
                .bind(bytes)
                .bind(event.payload.as_str());
            bytes += i64::try_from(event.payload.len()).unwrap_or(0);
        }
        query.execute(&mut **tx).await?;
    }
    Ok(bytes)
}
