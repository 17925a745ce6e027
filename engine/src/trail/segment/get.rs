//! Reads single events, for searches.

use std::sync::Arc;

use auditstream_model::{EpochMillis, Sequence};

use super::codec::Decoded;
use super::events::payload;
use super::months::{months_of, with_months};
use super::read::{select_heads, select_rows};
use super::rows::{Head, Row, Via, decompress};
use super::{merge, missing};
use crate::database::{Dialect, SearchConnection, Value};
use crate::error::Result;
use crate::months::Months;

/// Payload bytes of the segments that a search caches.
const CACHE_BYTES: usize = 4 << 20;

/// The segments that contain the sequences of a JSON array, or follow them. `CROSS JOIN` makes
/// SQLite look up each segment.
const HEADS_SQLITE: &str = "
    SELECT segment.first_sequence, segment.last_sequence, segment.bytes
    FROM (
        SELECT DISTINCT (
            SELECT last_sequence FROM audit_segment
            WHERE account_id = $1 AND last_sequence >= wanted.value
            ORDER BY last_sequence LIMIT 1
        ) AS last_sequence
        FROM json_each($2) AS wanted
    ) AS found
    CROSS JOIN audit_segment AS segment
    WHERE segment.account_id = $1 AND segment.last_sequence = found.last_sequence";
/// The lateral join makes PostgreSQL look up each segment: without statistics it would scan the
/// account.
const HEADS_POSTGRES: &str = "
    SELECT segment.first_sequence, segment.last_sequence, segment.bytes
    FROM (
        SELECT DISTINCT (
            SELECT last_sequence FROM audit_segment
            WHERE account_id = $1 AND last_sequence >= wanted.value::bigint
              AND (month = 0 OR month BETWEEN $3 AND $4)
            ORDER BY last_sequence LIMIT 1
        ) AS last_sequence
        FROM json_array_elements_text($2::json) AS wanted (value)
    ) AS found
    CROSS JOIN LATERAL (
        SELECT first_sequence, last_sequence, bytes FROM audit_segment
        WHERE account_id = $1 AND last_sequence = found.last_sequence AND (month = 0 OR month BETWEEN $3 AND $4)
        OFFSET 0
    ) AS segment";
const ROWS_SQLITE: &str = "
    SELECT segment.first_sequence, segment.last_sequence, segment.bytes, segment.times, segment.content
    FROM (
        SELECT DISTINCT (
            SELECT last_sequence FROM audit_segment
            WHERE account_id = $1 AND last_sequence >= wanted.value
            ORDER BY last_sequence LIMIT 1
        ) AS last_sequence
        FROM json_each($2) AS wanted
    ) AS found
    CROSS JOIN audit_segment AS segment
    WHERE segment.account_id = $1 AND segment.last_sequence = found.last_sequence";
const ROWS_POSTGRES: &str = "
    SELECT segment.first_sequence, segment.last_sequence, segment.bytes, segment.times, segment.content
    FROM (
        SELECT DISTINCT (
            SELECT last_sequence FROM audit_segment
            WHERE account_id = $1 AND last_sequence >= wanted.value::bigint
              AND (month = 0 OR month BETWEEN $3 AND $4)
            ORDER BY last_sequence LIMIT 1
        ) AS last_sequence
        FROM json_array_elements_text($2::json) AS wanted (value)
    ) AS found
    CROSS JOIN LATERAL (
        SELECT first_sequence, last_sequence, bytes, times, content FROM audit_segment
        WHERE account_id = $1 AND last_sequence = found.last_sequence AND (month = 0 OR month BETWEEN $3 AND $4)
        OFFSET 0
    ) AS segment";

/// Returns the statements that read segments with their names and the types of their parameters,
/// `m` for months, for tests that let the database explain them.
pub(crate) fn explained(dialect: Dialect) -> [(&'static str, &'static str, &'static str); 6] {
    [
        ("heads", select_heads(dialect), dialect.pick("iiiii", "iiiiimm")),
        ("rows", select_rows(dialect), dialect.pick("iii", "iiimm")),
        (
            "heads to merge",
            merge::select_heads(dialect),
            dialect.pick("iiii", "iiiimm"),
        ),
        (
            "rows to merge",
            merge::select_rows(dialect),
            dialect.pick("iii", "iiim"),
        ),
        (
            "heads of some",
            dialect.pick(HEADS_SQLITE, HEADS_POSTGRES),
            dialect.pick("it", "itmm"),
        ),
        (
            "rows of some",
            dialect.pick(ROWS_SQLITE, ROWS_POSTGRES),
            dialect.pick("it", "itmm"),
        ),
    ]
}

/// A segment in memory.
#[derive(Debug)]
struct Segment {
    first_sequence: Sequence,
    last_sequence: Sequence,
    content: Decoded,
}

impl Segment {
    fn contains(&self, sequence: Sequence) -> bool {
        self.first_sequence <= sequence && sequence <= self.last_sequence
    }
}

/// The segments that a search has read last.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// The segments, the one that was read first at the front.
    segments: Vec<Arc<Segment>>,
}

impl Cache {
    fn find(&self, sequence: Sequence) -> Option<&Arc<Segment>> {
        self.segments.iter().rev().find(|segment| segment.contains(sequence))
    }

    fn add(&mut self, segments: Vec<Arc<Segment>>) {
        self.segments.extend(segments);
        let mut bytes = 0;
        let kept = self.segments.iter().rev().take_while(|segment| {
            bytes += segment.content.text.len();
            bytes <= CACHE_BYTES
        });
        let dropped = self.segments.len() - kept.count();
        self.segments.drain(..dropped);
    }
}

/// Events of a search.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picked {
    events: Vec<(Sequence, Arc<Segment>)>,
    looked_at: usize,
    read_bytes: usize,
}

impl Picked {
    /// The number of sequences asked for, from the first, that were looked up: fewer than all if
    /// their segments are too large together.
    pub(crate) fn looked_at(&self) -> usize {
        self.looked_at
    }

    /// Payload bytes that were decompressed for them.
    pub(crate) fn read_bytes(&self) -> usize {
        self.read_bytes
    }

    /// Returns sequence, `auditEventTime` and payload of each event, in the order asked for.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Sequence, EpochMillis, &str)> {
        self.events.iter().map(|(sequence, segment)| {
            let index = usize::try_from(sequence - segment.first_sequence).unwrap_or(usize::MAX);
            let time = segment.content.times.get(index).copied().unwrap_or_default();
            (
                *sequence,
                time,
                payload(&segment.content.text, &segment.content.ends, index),
            )
        })
    }
}

/// Reads the events with these sequences, from the first on, as long as their segments have at most
/// `room` bytes together; at least those of one segment. Each segment is read once. Events that
/// retention has removed or that never existed are left out.
///
/// # Errors
/// [`Error::Broken`](crate::Error::Broken) if an event is missing or a segment is damaged.
pub(crate) async fn get(
    connection: &mut SearchConnection,
    cache: &mut Cache,
    dialect: Dialect,
    account_id: i64,
    sequences: &[Sequence],
    room: usize,
) -> Result<Picked> {
    let uncached: Vec<Sequence> = sequences
        .iter()
        .copied()
        .filter(|it| cache.find(*it).is_none())
        .collect();
    let mut via = Via::Search(connection);
    let (heads, months) = match (uncached.iter().min(), uncached.iter().max()) {
        (Some(first), Some(last)) => {
            let months = months_of(&mut via, dialect, account_id, *first, *last).await?;
            let values = with_months(wanted(account_id, &uncached)?, months);
            let sql = dialect.pick(HEADS_SQLITE, HEADS_POSTGRES);
            (via.fetch::<Head>(sql, values).await?, months)
        }
        _ => (Vec::new(), None),
    };
    let (looked_at, taken) = take(sequences, &heads, cache, room);
    let read_bytes = taken.iter().map(|head| head.size()).sum();
    let read = read(&mut via, dialect, account_id, &taken, months).await?;
    let mut picked = Picked {
        events: Vec::with_capacity(looked_at),
        looked_at,
        read_bytes,
    };
    let mut absent = None;
    for sequence in sequences.iter().take(looked_at) {
        let found = read.iter().find(|segment| segment.contains(*sequence));
        match found.or_else(|| cache.find(*sequence)) {
            Some(segment) => picked.events.push((*sequence, Arc::clone(segment))),
            None => absent = absent.max(Some(*sequence)),
        }
    }
    if let Some(absent) = absent {
        require_removed(&mut via, account_id, absent).await?;
    }
    cache.add(read);
    Ok(picked)
}

fn wanted(account_id: i64, sequences: &[Sequence]) -> Result<Vec<Value>> {
    let sequences = serde_json::to_string(sequences)?;
    Ok(vec![Value::Integer(account_id), Value::Text(Some(sequences))])
}

/// Returns how many of the sequences are looked up, and the segments that are read for them.
fn take(sequences: &[Sequence], heads: &[Head], cache: &Cache, room: usize) -> (usize, Vec<Head>) {
    let mut taken: Vec<Head> = Vec::new();
    let mut bytes = 0_usize;
    for (index, sequence) in sequences.iter().enumerate() {
        if taken.last().is_some_and(|head| head.contains(*sequence))
            || cache.find(*sequence).is_some()
            || taken.iter().any(|head| head.contains(*sequence))
        {
            continue;
        }
        let Some(head) = heads.iter().find(|head| head.contains(*sequence)) else {
            continue;
        };
        bytes = bytes.saturating_add(head.size());
        if bytes > room && !taken.is_empty() {
            return (index, taken);
        }
        taken.push(*head);
    }
    (sequences.len(), taken)
}

/// Reads segments. One that was merged with its neighbours meanwhile is found by its last event.
async fn read(
    via: &mut Via<'_>,
    dialect: Dialect,
    account_id: i64,
    heads: &[Head],
    months: Option<Months>,
) -> Result<Vec<Arc<Segment>>> {
    if heads.is_empty() {
        return Ok(Vec::new());
    }
    let last: Vec<Sequence> = heads.iter().map(|head| head.last_sequence).collect();
    let sql = dialect.pick(ROWS_SQLITE, ROWS_POSTGRES);
    let values = with_months(wanted(account_id, &last)?, months);
    let rows: Vec<Row> = via.fetch(sql, values).await?;
    let bytes = rows.iter().map(Row::size).fold(0, usize::saturating_add);
    decompress(bytes, move |zstd| {
        let segments = rows.into_iter().map(|row| {
            Ok(Arc::new(Segment {
                first_sequence: row.first_sequence,
                last_sequence: row.last_sequence,
                content: row.decode(zstd)?,
            }))
        });
        segments.collect()
    })
    .await
}

/// Events that retention has not removed, and that the trail has had: no restore has left them out.
const IS_RETAINED: &str = "
    SELECT count(*) FROM account
    WHERE id = $1 AND first_sequence <= $2 AND last_sequence >= $2
      AND NOT EXISTS (SELECT 1 FROM sequence_gap WHERE account_id = $1 AND first_sequence <= $2 AND last_sequence >= $2)";

/// Checks that an event that no segment contains is not one of the trail.
async fn require_removed(via: &mut Via<'_>, account_id: i64, sequence: Sequence) -> Result<()> {
    let values = vec![Value::Integer(account_id), Value::Integer(sequence)];
    let found: Vec<(i64,)> = via.fetch(IS_RETAINED, values).await?;
    match found.first() {
        Some((1..,)) => Err(missing(sequence)),
        _ => Ok(()),
    }
}
