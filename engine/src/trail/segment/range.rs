//! Ranges of events, each of which is copied from its segment to its destination, and nowhere in
//! between.

use auditstream_model::Sequence;
use futures::future::try_join;

use super::codec::Decoded;
use super::events::payload;
use super::missing;
use super::read::Segments;
use super::rows::{Head, Row, decompress};
use crate::database::Database;
use crate::error::{Error, Result};

/// Payload bytes of the segments that are read at once.
const CHUNK_BYTES: usize = 2 << 20;

/// Consecutive events of an account, which exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(super) account_id: i64,
    pub(crate) first_sequence: Sequence,
    pub(crate) last_sequence: Sequence,
    /// The bytes of the payloads. Those of the first and the last segment can count as a whole,
    /// also if the range has only some of their events.
    pub(crate) bytes: usize,
}

/// Reads the events of a range in order, and calls `each` with every payload. Returns `value`
/// afterwards.
///
/// # Errors
/// [`Error::Broken`] if an event is missing or a segment is damaged.
pub(crate) async fn fold<T: Send + 'static>(
    database: &Database,
    range: Range,
    value: T,
    each: impl Fn(&mut T, &str) + Copy + Send + 'static,
) -> Result<T> {
    let mut segments = Segments::of(database, range.account_id);
    let mut folding = Folding {
        value,
        after: range.first_sequence - 1,
        up_to: range.last_sequence,
        segment: Decoded::default(),
    };
    while folding.after < range.last_sequence {
        let after = folding.after;
        let heads = segments.heads(after, range.last_sequence).await?;
        let mut ends = chunk_ends(&heads).into_iter();
        let Some(mut end) = ends.next() else {
            return Err(missing(after + 1));
        };
        let mut rows = segments.rows(after, end).await?;
        loop {
            let next_end = ends.next();
            let read = async {
                match next_end {
                    Some(next_end) => segments.rows(end, next_end).await,
                    None => Ok(Vec::new()),
                }
            };
            (folding, rows) = try_join(folding.add(rows, each), read).await?;
            match next_end {
                Some(next_end) => end = next_end,
                // The end of the range, unless segments were merged meanwhile or there are more.
                None => break,
            }
        }
    }
    Ok(folding.value)
}

/// Returns the last sequence of each group of segments that are read at once.
fn chunk_ends(heads: &[Head]) -> Vec<Sequence> {
    let mut ends = Vec::new();
    let mut bytes = 0_usize;
    for (index, head) in heads.iter().enumerate() {
        bytes = bytes.saturating_add(head.size());
        let next = heads.get(index + 1).map_or(usize::MAX, |next| next.size());
        if bytes.saturating_add(next) > CHUNK_BYTES {
            ends.push(head.last_sequence);
            bytes = 0;
        }
    }
    ends
}

struct Folding<T> {
    value: T,
    after: Sequence,
    up_to: Sequence,
    /// Memory for the next segment.
    segment: Decoded,
}

impl<T: Send + 'static> Folding<T> {
    async fn add(self, rows: Vec<Row>, each: impl Fn(&mut T, &str) + Send + 'static) -> Result<Self> {
        let bytes = rows.iter().map(Row::size).fold(0, usize::saturating_add);
        decompress(bytes, move |zstd| {
            let mut folding = self;
            for row in &rows {
                if row.first_sequence > folding.after + 1 {
                    return Err(missing(folding.after + 1));
                }
                let segment = row.decode_in(zstd, std::mem::take(&mut folding.segment))?;
                for sequence in folding.after + 1..=row.last_sequence.min(folding.up_to) {
                    let index = usize::try_from(sequence - row.first_sequence);
                    let index = index.map_err(|_| Error::Broken("segments overlap".to_owned()))?;
                    each(&mut folding.value, payload(&segment.text, &segment.ends, index));
                    folding.after = sequence;
                }
                folding.segment = segment;
            }
            Ok(folding)
        })
        .await
    }
}
