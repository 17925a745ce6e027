//! Moves events from one partition to another, in small steps. An `UPDATE` of the month moves a row
//! within one transaction, so that readers find it in one partition or the other; they visit
//! both.

use std::collections::BTreeMap;

use auditstream_model::{EpochMillis, Sequence};
use sqlx::FromRow;

use super::ranges::{read_ranges, set_month};
use crate::database::{Database, WriteTx};
use crate::error::Result;
use crate::months::{Range, month_of};
use crate::trail::segment;

/// The most events, ids and segments that one transaction moves. The account is locked meanwhile.
const EVENTS: i64 = 2_000;
const IDS: i64 = 2_000;
const SEGMENTS: i64 = 50;

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// Everything up to this event was moved.
    UpTo(Sequence),
    /// Events up to this one stay: their month has no partition, and needs none.
    Skipped(Sequence),
    /// The next events need the partitions of this month.
    Needs(i64),
    /// There is nothing more to move.
    Nothing,
    /// Another server moves or removes events.
    Busy,
}

#[derive(FromRow)]
struct Account {
    first_sequence: Sequence,
    last_sequence: Sequence,
    expired_sequence: Sequence,
}

#[derive(FromRow)]
struct Segment {
    first_sequence: Sequence,
    last_sequence: Sequence,
    last_received: EpochMillis,
    times: Vec<u8>,
}

/// Moves the next events after `after` from partition 0 to their month. `months` are those from the
/// first to the last that can have partitions, and `attached` says which do.
pub(super) async fn move_to_month(
    database: &Database,
    account_id: i64,
    after: Sequence,
    months: (i64, i64),
    attached: &(impl Fn(i64) -> bool + Sync),
) -> Result<Moved> {
    database
        .background()
        .transaction("move_to_month", async |tx| {
            if !segment::lock(tx).await? {
                return tx.roll_back(Moved::Busy);
            }
            let account = lock_account(tx, account_id).await?;
            // Those that have expired are removed from where they are.
            let after = after.max(account.first_sequence - 1).max(account.expired_sequence);
            let segments = read_segments(tx, account_id, 0, after).await?;
            let Some(first) = segments.first() else {
                return tx.roll_back(Moved::Nothing);
            };
            let month = month_of(first.last_received);
            if !(months.0..=months.1).contains(&month) {
                return tx.roll_back(Moved::Skipped(first.last_sequence));
            }
            if !attached(month) {
                return tx.roll_back(Moved::Needs(month));
            }
            let segments = next(segments, |it| month_of(it.last_received) == month);
            relabel(tx, account_id, &segments, (0, month)).await?;
            let Some(range) = range(&segments) else {
                return tx.roll_back(Moved::Nothing);
            };
            set_month(tx, account_id, range, account.last_sequence, month).await?;
            Ok(Moved::UpTo(range.1))
        })
        .await
}

/// Moves the next events of a month to partition 0, since a destination needs them longer than the
/// others. Their range stays as it is: partition 0 can have events of every range.
pub(crate) async fn set_aside(database: &Database, account_id: i64, month: i64) -> Result<Moved> {
    database
        .background()
        .transaction("set_aside", async |tx| {
            if !segment::lock(tx).await? {
                return tx.roll_back(Moved::Busy);
            }
            let account = lock_account(tx, account_id).await?;
            let segments = read_segments(tx, account_id, month, account.first_sequence - 1).await?;
            let segments = next(segments, |_| true);
            let Some((_, last)) = range(&segments) else {
                return tx.roll_back(Moved::Nothing);
            };
            relabel(tx, account_id, &segments, (month, 0)).await?;
            Ok(Moved::UpTo(last))
        })
        .await
}

async fn lock_account(tx: &mut WriteTx, account_id: i64) -> Result<Account> {
    let query = sqlx::query_as(
        "SELECT first_sequence, last_sequence, expired_sequence FROM account WHERE id = $1 FOR NO KEY UPDATE",
    );
    Ok(query.bind(account_id).fetch_one(&mut **tx).await?)
}

async fn read_segments(tx: &mut WriteTx, account_id: i64, month: i64, after: Sequence) -> Result<Vec<Segment>> {
    let query = sqlx::query_as(
        "SELECT first_sequence, last_sequence, last_received, times
         FROM audit_segment
         WHERE account_id = $1 AND month = $2 AND last_sequence > $3
         ORDER BY last_sequence
         LIMIT $4",
    );
    let query = query.bind(account_id).bind(month).bind(after).bind(SEGMENTS);
    Ok(query.fetch_all(&mut **tx).await?)
}

/// Takes the first segments that follow each other and belong together.
fn next(mut segments: Vec<Segment>, belongs: impl Fn(&Segment) -> bool) -> Vec<Segment> {
    let mut events = 0;
    let mut expected = None;
    let taken = segments.iter().take_while(|segment| {
        let is_first = expected.is_none();
        let is_next = expected.is_none_or(|expected| segment.first_sequence == expected);
        events += segment.last_sequence - segment.first_sequence + 1;
        expected = Some(segment.last_sequence + 1);
        is_next && belongs(segment) && (is_first || events <= EVENTS)
    });
    let taken = taken.count();
    segments.truncate(taken);
    segments
}

fn range(segments: &[Segment]) -> Option<(Sequence, Sequence)> {
    let (first, last) = (segments.first()?, segments.last()?);
    Some((first.first_sequence, last.last_sequence))
}

/// Moves segments, and the order of their events, from one month to another.
async fn relabel(tx: &mut WriteTx, account_id: i64, segments: &[Segment], (from, to): (i64, i64)) -> Result<()> {
    for segment in segments {
        let events = usize::try_from(segment.last_sequence - segment.first_sequence + 1).unwrap_or(0);
        let times = segment::decode_times(&segment.times, events)
            .ok_or_else(|| segment::damaged(segment.first_sequence, segment.last_sequence))?;
        sqlx::query(
            "UPDATE audit_event AS event
             SET month = $5
             FROM unnest(string_to_array($3, ',')::bigint[]) WITH ORDINALITY AS moved (time, number)
             WHERE event.account_id = $1 AND event.month = $4
               AND event.time = moved.time AND event.sequence = $2 + moved.number - 1",
        )
        .bind(account_id)
        .bind(segment.first_sequence)
        .bind(segment::joined(times.into_iter()))
        .bind(from)
        .bind(to)
        .execute(&mut **tx)
        .await?;
        sqlx::query("UPDATE audit_segment SET month = $4 WHERE account_id = $1 AND month = $3 AND last_sequence = $2")
            .bind(account_id)
            .bind(segment.last_sequence)
            .bind(from)
            .bind(to)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// A place in the order of the ids of an account.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdPlace {
    generation: i64,
    digest: Vec<u8>,
}

#[derive(FromRow)]
struct Id {
    generation: i64,
    digest: Vec<u8>,
    sequence: Sequence,
}

/// Moves the next ids from partition 0 to the month of their event. Returns the place after them;
/// `None` at the end.
pub(super) async fn move_ids(
    database: &Database,
    account_id: i64,
    place: &IdPlace,
    attached: &(impl Fn(i64) -> bool + Sync),
) -> Result<Option<IdPlace>> {
    database
        .background()
        .transaction("move_ids", async |tx| {
            let account = lock_account(tx, account_id).await?;
            let ids = read_ids(tx, account_id, 0, place).await?;
            let Some(last) = last_place(&ids) else {
                return tx.roll_back(None);
            };
            let ranges = read_ranges(&mut **tx, account_id).await?;
            let mut moved: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
            for id in ids.iter().filter(|id| id.sequence > account.expired_sequence) {
                let month = month_at(&ranges, id.sequence);
                if month != 0 && attached(month) {
                    pack(moved.entry(month).or_default(), id);
                }
            }
            for (month, packed) in moved {
                relabel_ids(tx, account_id, packed, (0, month)).await?;
            }
            Ok(Some(last))
        })
        .await
}

/// Moves the next ids of events that retention has not removed from a month to partition 0. Returns
/// the place after them; `None` at the end.
pub(crate) async fn set_ids_aside(
    database: &Database,
    account_id: i64,
    month: i64,
    place: &IdPlace,
) -> Result<Option<IdPlace>> {
    database
        .background()
        .transaction("set_ids_aside", async |tx| {
            let account = lock_account(tx, account_id).await?;
            let first = tx.id_filters().settings().generation(account.first_sequence);
            let place = if place.generation < first {
                IdPlace {
                    generation: first,
                    digest: Vec::new(),
                }
            } else {
                place.clone()
            };
            let ids = read_ids(tx, account_id, month, &place).await?;
            let Some(last) = last_place(&ids) else {
                return tx.roll_back(None);
            };
            let mut packed = Vec::new();
            for id in ids.iter().filter(|id| id.sequence >= account.first_sequence) {
                pack(&mut packed, id);
            }
            relabel_ids(tx, account_id, packed, (month, 0)).await?;
            Ok(Some(last))
        })
        .await
}

fn last_place(ids: &[Id]) -> Option<IdPlace> {
    let last = ids.last()?;
    Some(IdPlace {
        generation: last.generation,
        digest: last.digest.clone(),
    })
}

fn month_at(ranges: &[Range], sequence: Sequence) -> i64 {
    let begun = ranges.partition_point(|range| range.first_sequence <= sequence);
    let range = begun.checked_sub(1).and_then(|index| ranges.get(index));
    range.map_or(0, |range| range.month)
}

/// Adds an entry: the digest, and the generation in eight decimal digits.
fn pack(packed: &mut Vec<u8>, id: &Id) {
    packed.extend_from_slice(&id.digest);
    packed.extend_from_slice(format!("{:08}", id.generation).as_bytes());
}

async fn read_ids(tx: &mut WriteTx, account_id: i64, month: i64, place: &IdPlace) -> Result<Vec<Id>> {
    let query = sqlx::query_as(
        "SELECT CAST(generation AS BIGINT) AS generation, digest, sequence
         FROM event_id
         WHERE account_id = $1 AND month = $2 AND (generation, digest) > ($3, $4)
         ORDER BY generation, digest
         LIMIT $5",
    );
    let query = query.bind(account_id).bind(month).bind(place.generation);
    let query = query.bind(place.digest.as_slice()).bind(IDS);
    Ok(query.fetch_all(&mut **tx).await?)
}

async fn relabel_ids(tx: &mut WriteTx, account_id: i64, packed: Vec<u8>, (from, to): (i64, i64)) -> Result<()> {
    if packed.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE event_id AS id
         SET month = $4
         FROM generate_series(1, length($2), 24) AS place (at)
         WHERE id.account_id = $1
           AND id.month = $3
           AND id.generation = CAST(encode(substring($2 FROM place.at + 16 FOR 8), 'escape') AS INTEGER)
           AND id.digest = substring($2 FROM place.at FOR 16)",
    )
    .bind(account_id)
    .bind(packed)
    .bind(from)
    .bind(to)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
