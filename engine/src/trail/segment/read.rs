//! Reads consecutive events.

use auditstream_model::Sequence;

use super::codec::Decoded;
use super::events::{Events, payload};
use super::months::{months_of, with_months};
use super::rows::{Head, Row, Via, decompress};
use super::{SPAN, missing};
use crate::database::{Database, Dialect, SearchConnection, Value};
use crate::error::{Error, Result};
use crate::months::Months;

/// Payload bytes that are read at once.
const CHUNK_BYTES: usize = 4 << 20;
/// Segments of which places and sizes are read at once.
const HEADS: i64 = 1_000;

/// The upper bound of `last_sequence` is for the index: no segment spans more.
const SELECT_HEADS_SQLITE: &str = "
    SELECT first_sequence, last_sequence, bytes
    FROM audit_segment
    WHERE account_id = $1 AND last_sequence > $2 AND last_sequence < $3 AND first_sequence <= $4
    ORDER BY last_sequence
    LIMIT $5";
const SELECT_HEADS_POSTGRES: &str = "
    SELECT first_sequence, last_sequence, bytes
    FROM audit_segment
    WHERE account_id = $1 AND last_sequence > $2 AND last_sequence < $3 AND first_sequence <= $4
      AND (month = 0 OR month BETWEEN $6 AND $7)
    ORDER BY last_sequence
    LIMIT $5";
const SELECT_ROWS_SQLITE: &str = "
    SELECT first_sequence, last_sequence, bytes, times, content
    FROM audit_segment
    WHERE account_id = $1 AND last_sequence > $2 AND last_sequence <= $3
    ORDER BY last_sequence";
const SELECT_ROWS_POSTGRES: &str = "
    SELECT first_sequence, last_sequence, bytes, times, content
    FROM audit_segment
    WHERE account_id = $1 AND last_sequence > $2 AND last_sequence <= $3
      AND (month = 0 OR month BETWEEN $4 AND $5)
    ORDER BY last_sequence";

pub(super) fn select_heads(dialect: Dialect) -> &'static str {
    dialect.pick(SELECT_HEADS_SQLITE, SELECT_HEADS_POSTGRES)
}

pub(super) fn select_rows(dialect: Dialect) -> &'static str {
    dialect.pick(SELECT_ROWS_SQLITE, SELECT_ROWS_POSTGRES)
}

/// The most that one call reads. One event is returned whatever its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) events: usize,
    /// The bytes of the payloads, with `closing` for each.
    pub(crate) bytes: usize,
    /// Bytes that the caller adds to each payload.
    pub(crate) closing: usize,
}

/// Reads the events after `after`, up to `up_to` or as many as the bounds allow; none if the trail
/// ends at `after`.
///
/// # Errors
/// [`Error::Broken`] if an event is missing or a segment is damaged.
pub(crate) async fn read(
    database: &Database,
    account_id: i64,
    after: Sequence,
    up_to: Sequence,
    bounds: Bounds,
) -> Result<Events> {
    let mut reading = Reading {
        segments: Segments::of(database, account_id),
        up_to,
        bounds,
        events: Events::after(after),
        expected: 0,
    };
    while let Some(chunk) = reading.next_chunk().await? {
        if chunk.begins_after > reading.events.last_sequence() {
            return Err(missing(reading.events.last_sequence() + 1));
        }
        if reading.add(chunk).await? {
            break;
        }
    }
    Ok(reading.events)
}

/// Reads events as [`read`], through the connection of a search. At a gap that a restore has
/// declared the reading ends, or begins after it.
pub(crate) async fn read_for_search(
    connection: &mut SearchConnection,
    account_id: i64,
    after: Sequence,
    up_to: Sequence,
    bounds: Bounds,
) -> Result<Events> {
    let mut reading = Reading {
        segments: Segments {
            dialect: connection.dialect(),
            via: Via::Search(connection),
            months: None,
            account_id,
        },
        up_to,
        bounds,
        events: Events::after(after),
        expected: 0,
    };
    while let Some(chunk) = reading.next_chunk().await? {
        if chunk.begins_after > reading.events.last_sequence() {
            if !reading.events.is_empty() {
                break;
            }
            reading.events = Events::after(chunk.begins_after);
        }
        if reading.add(chunk).await? {
            break;
        }
    }
    Ok(reading.events)
}

/// The segments of consecutive events of an account.
pub(super) struct Segments<'a> {
    via: Via<'a>,
    dialect: Dialect,
    account_id: i64,
    /// The partitions of the range; `None` before the first reading, and on SQLite.
    months: Option<Months>,
}

impl<'a> Segments<'a> {
    pub(super) fn of(database: &'a Database, account_id: i64) -> Self {
        Self {
            via: Via::Pool(database.read()),
            dialect: database.dialect(),
            account_id,
            months: None,
        }
    }

    /// Returns the places and sizes of the next segments after an event, up to the one with
    /// `up_to`, which is the same in each call.
    pub(super) async fn heads(&mut self, after: Sequence, up_to: Sequence) -> Result<Vec<Head>> {
        if self.months.is_none() {
            self.months = months_of(&mut self.via, self.dialect, self.account_id, after + 1, up_to).await?;
        }
        let values = [self.account_id, after, up_to.saturating_add(SPAN), up_to, HEADS];
        let values = with_months(values.map(Value::Integer).to_vec(), self.months);
        self.via.fetch(select_heads(self.dialect), values).await
    }

    /// Returns the segments that end after `after`, up to `last`, with their content. Their places
    /// have been returned by [`Self::heads`].
    pub(super) async fn rows(&mut self, after: Sequence, last: Sequence) -> Result<Vec<Row>> {
        let values = [self.account_id, after, last];
        let values = with_months(values.map(Value::Integer).to_vec(), self.months);
        self.via.fetch(select_rows(self.dialect), values).await
    }
}

struct Reading<'a> {
    segments: Segments<'a>,
    up_to: Sequence,
    bounds: Bounds,
    events: Events,
    /// The payload bytes of the first reading, as far as they are known.
    expected: usize,
}

/// Segments that are read next.
struct Chunk {
    /// The sequence before its first event, or before the first that is read of it.
    begins_after: Sequence,
    last_sequence: Sequence,
    /// Payload bytes of its segments.
    bytes: usize,
}

impl Reading<'_> {
    /// Returns `None` at the end of the range or of the trail.
    async fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        let after = self.events.last_sequence();
        if after >= self.up_to || self.events.len() >= self.bounds.events {
            return Ok(None);
        }
        let heads = self.segments.heads(after, self.up_to).await?;
        if self.events.is_empty() {
            let bytes = heads.iter().map(|head| head.size()).fold(0, usize::saturating_add);
            self.expected = bytes.min(self.bounds.bytes);
        }
        Ok(self.chunk(&heads, after))
    }

    /// Takes as many segments as are read at once and can belong to the result.
    fn chunk(&self, heads: &[Head], after: Sequence) -> Option<Chunk> {
        let first = heads.first()?;
        let begins_after = after.max(first.first_sequence - 1);
        let mut chunk = Chunk {
            begins_after,
            last_sequence: begins_after,
            bytes: 0,
        };
        let mut cost = self.events.bytes() + self.events.len() * self.bounds.closing;
        let mut events = self.events.len();
        for head in heads {
            let is_next = head.first_sequence <= chunk.last_sequence + 1;
            let is_full = chunk.bytes > 0
                && (chunk.bytes + head.size() > CHUNK_BYTES
                    || cost > self.bounds.bytes
                    || events >= self.bounds.events);
            if !is_next || is_full {
                break;
            }
            let taken = head.last_sequence.min(self.up_to) - chunk.last_sequence;
            let taken = usize::try_from(taken).unwrap_or(0);
            events += taken;
            chunk.bytes = chunk.bytes.saturating_add(head.size());
            cost = cost
                .saturating_add(head.size())
                .saturating_add(taken.saturating_mul(self.bounds.closing));
            chunk.last_sequence = head.last_sequence;
        }
        Some(chunk)
    }

    /// Adds the events of a chunk. Returns whether the bounds allow no more.
    async fn add(&mut self, chunk: Chunk) -> Result<bool> {
        let after = self.events.last_sequence();
        let rows = self.segments.rows(after, chunk.last_sequence).await?;
        let mut events = std::mem::replace(&mut self.events, Events::after(after));
        if events.is_empty() {
            events.reserve(self.expected);
        }
        let (bounds, up_to) = (self.bounds, self.up_to);
        let (events, is_full) = decompress(chunk.bytes, move |zstd| {
            for row in &rows {
                if row.first_sequence > events.last_sequence() + 1 {
                    return Err(missing(events.last_sequence() + 1));
                }
                let segment = row.decode(zstd)?;
                if append(&mut events, row, &segment, up_to, bounds)? {
                    return Ok((events, true));
                }
            }
            Ok((events, false))
        })
        .await?;
        self.events = events;
        Ok(is_full)
    }
}

/// Appends the events of a segment that are next. Returns whether the bounds allow no more.
fn append(events: &mut Events, row: &Row, segment: &Decoded, up_to: Sequence, bounds: Bounds) -> Result<bool> {
    let index = |sequence: Sequence| {
        usize::try_from(sequence - row.first_sequence).map_err(|_| Error::Broken("segments overlap".to_owned()))
    };
    let from = index(events.last_sequence() + 1)?;
    let end = index(up_to.min(row.last_sequence) + 1)?;
    let mut cost = events.bytes() + events.len() * bounds.closing;
    let mut to = from;
    while to < end {
        cost += payload(&segment.text, &segment.ends, to).len() + bounds.closing;
        let count = events.len() + to - from;
        if count > 0 && (cost > bounds.bytes || count >= bounds.events) {
            break;
        }
        to += 1;
    }
    events.append(segment, from, to);
    Ok(to < end)
}
