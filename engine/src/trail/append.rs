//! Numbers events and inserts them, as part of a transaction.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use auditstream_model::limits::NAMED_INVALID_EVENTS;
use auditstream_model::{EpochMillis, FieldError, IngestOutcome, Sequence};
use sqlx::FromRow;

use super::canonical::ContentDigest;
use super::segment::{self, Encoded, Place};
use super::stored_form::Prepared;
use super::{ids, partitions};
use crate::database::{Dialect, WriteTx, is_future, time_after};
use crate::error::{Error, Result};

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
/// commits, then finds the new ids and numbers only those.
pub(crate) async fn append(tx: &mut WriteTx, account_id: i64, events: &[Prepared]) -> Result<Appended> {
    let mut appended = append_requests(tx, account_id, &[events], &[]).await?;
    appended
        .pop()
        .ok_or_else(|| Error::Broken("a request without a result".to_owned()))
}

/// Appends the events of several requests as [`append`] does, each request completely or not at
/// all. `encoded` has the segments of all of them, or none; it spares compressing them while the
/// account is locked, which is needed only if some events are not new.
pub(crate) async fn append_requests(
    tx: &mut WriteTx,
    account_id: i64,
    requests: &[&[Prepared]],
    encoded: &[Encoded],
) -> Result<Vec<Appended>> {
    let end = lock_account(tx, account_id).await?;
    let ranges = partitions::ranges(tx, account_id, end.month_changes, end.last_sequence).await?;
    let trail = ids::Trail {
        account_id,
        first_sequence: end.first_sequence,
        last_sequence: end.last_sequence,
        ranges: ranges.as_deref(),
    };
    let events: Vec<&Prepared> = requests.iter().copied().flatten().collect();
    let mut last = end.last_sequence;
    if ids::insert_if_new(tx, trail, &events).await? {
        let encoded = (!encoded.is_empty()).then_some(encoded);
        insert(tx, account_id, &end, &events, encoded).await?;
        let numbered = requests.iter().map(|events| stored(&mut last, events.len(), 0));
        return Ok(numbered.collect());
    }
    let ids: Vec<_> = events.iter().map(|event| event.id_digest).collect();
    let mut known = ids::look_up(tx, trail, &ids).await?;
    let mut fresh: Vec<&Prepared> = Vec::new();
    let mut appended = Vec::with_capacity(requests.len());
    for events in requests {
        appended.push(add_fresh(&mut known, &mut fresh, events, &mut last));
    }
    if !fresh.is_empty() {
        let is_encoded = !encoded.is_empty() && fresh.len() == events.len();
        let place = insert(tx, account_id, &end, &fresh, is_encoded.then_some(encoded)).await?;
        ids::insert(tx, account_id, place, &fresh).await?;
    }
    Ok(appended)
}

/// Adds the new events of a request to `fresh`, whose last one has the sequence `last`.
fn add_fresh<'e>(
    known: &mut HashMap<[u8; 16], ContentDigest>,
    fresh: &mut Vec<&'e Prepared>,
    events: &'e [Prepared],
    last: &mut Sequence,
) -> Appended {
    let begin = fresh.len();
    let mut named = Vec::new();
    let (mut total, mut duplicates) = (0, 0);
    for (index, event) in events.iter().enumerate() {
        match known.entry(event.id_digest) {
            Entry::Vacant(vacant) => {
                vacant.insert(event.content_digest);
                fresh.push(event);
            }
            Entry::Occupied(stored) if *stored.get() == event.content_digest => duplicates += 1,
            Entry::Occupied(_) => {
                total += 1;
                if total <= NAMED_INVALID_EVENTS {
                    named.push(conflict(index));
                }
            }
        }
    }
    if total > 0 {
        for event in fresh.drain(begin..) {
            known.remove(&event.id_digest);
        }
        return Appended::Conflicts { total, named };
    }
    stored(last, fresh.len() - begin, duplicates)
}

/// The result of a request whose new events get the sequences after `last`, which becomes that of
/// its last event.
fn stored(last: &mut Sequence, accepted: usize, duplicates: u32) -> Appended {
    let accepted = u32::try_from(accepted).unwrap_or(u32::MAX);
    let first = *last + 1;
    *last += i64::from(accepted);
    let numbered = accepted > 0;
    Appended::Stored(IngestOutcome {
        accepted,
        duplicates,
        first_sequence: numbered.then_some(first),
        last_sequence: numbered.then_some(*last),
    })
}

/// Numbers the events after `end` and inserts them, as the segments `encoded` if those are given.
/// Returns their place. Their ids are inserted apart.
async fn insert(
    tx: &mut WriteTx,
    account_id: i64,
    end: &AccountRow,
    fresh: &[&Prepared],
    encoded: Option<&[Encoded]>,
) -> Result<Place> {
    let last = end.last_sequence;
    let new_last = last + i64::try_from(fresh.len()).unwrap_or(0);
    tx.reserve(&end.name, last, new_last).await?;
    let received = time_after(end.last_received, tx.now(), end.trusted);
    let place = Place {
        first_sequence: last + 1,
        received,
        bytes_before: end.trail_bytes,
        month: match tx.dialect() {
            Dialect::Sqlite => 0,
            Dialect::Postgres => tx.months().label(received),
        },
    };
    let times = fresh.iter().map(|event| event.time);
    let trail_bytes = match encoded {
        Some(encoded) => segment::write(tx, account_id, place, encoded, times).await?,
        None => {
            let encoded = segment::encode(fresh.iter().map(|event| (event.time, event.payload.as_str())))?;
            segment::write(tx, account_id, place, &encoded, times).await?
        }
    };
    if tx.dialect() == Dialect::Postgres && (place.month != end.month || end.month_changes == 0) {
        partitions::begin_range(tx, account_id, place.first_sequence, place.month).await?;
    }
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
    Ok(place)
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
    /// The month of the newest events, and how often the months have changed; 0 on SQLite.
    #[sqlx(default)]
    month: i64,
    #[sqlx(default)]
    month_changes: i64,
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
    SELECT name, CAST(month AS BIGINT) AS month, month_changes,
           first_sequence, last_sequence, last_received, trail_bytes, (SELECT trusted FROM clock) AS trusted,
           CAST(NULL AS TEXT) AS timeline
    FROM account
    WHERE id = $1
    FOR NO KEY UPDATE";
const LOCK_POSTGRES_WITH_TIMELINE: &str = "
    SELECT name, CAST(month AS BIGINT) AS month, month_changes,
           first_sequence, last_sequence, last_received, trail_bytes, (SELECT trusted FROM clock) AS trusted,
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
