//! The events of a batch, read from the trail and encoded.

use auditstream_model::limits::{BATCH_BYTES, BATCH_EVENTS, EVENT_BYTES};
use auditstream_model::{Compression, Format, Sequence};
use futures::TryStreamExt;

use super::encode;
use super::limits::{MemoryBudget, MemoryGrant};
use crate::Engine;
use crate::error::{Error, Result};

/// The most bytes that encoding adds to a payload: batch id, sequence and their members' names.
const CLOSING_BYTES: usize = 100;

/// Events per query. PostgreSQL sends every row that a query asks for, so each chunk is read to the
/// end even if it does not all fit into the batch.
const CHUNK: i64 = 200;

/// Bytes of events for which a new batch reserves memory before it knows their size.
const FIRST_GRANT: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Content {
    pub(super) first_sequence: Sequence,
    pub(super) last_sequence: Sequence,
    pub(super) sha256: [u8; 32],
    text: String,
}

impl Content {
    /// Encodes the events after `after`, up to `up_to` or as many as fit into one batch. The same
    /// events give the same bytes; a missing event is an [`Error::Broken`].
    pub(super) async fn build(
        engine: &Engine,
        account_id: i64,
        after: Sequence,
        up_to: Sequence,
        format: Format,
    ) -> Result<Self> {
        let events = read_events(engine, account_id, after, up_to, |_| true).await?;
        Self::encode(events.unwrap_or_default(), after, format).await
    }

    /// Encodes the next events as [`Self::build`] does, and reserves memory for as many bytes as
    /// they have. If the memory runs out on the way, starts again with all that a batch can need.
    pub(super) async fn build_within(
        engine: &Engine,
        (memory, failing): (&MemoryBudget, bool),
        account_id: i64,
        (after, up_to): (Sequence, Sequence),
        format: Format,
    ) -> Result<(Self, MemoryGrant)> {
        let waiting = usize::try_from(up_to - after).unwrap_or(0);
        let most = waiting.saturating_mul(EVENT_BYTES + CLOSING_BYTES).min(BATCH_BYTES);
        let mut grant = memory.acquire(working_bytes(most.min(FIRST_GRANT)), failing).await?;
        let grow = |bytes| grant.try_grow(working_bytes(bytes), working_bytes(most));
        let events = match read_events(engine, account_id, after, up_to, grow).await? {
            Some(events) => events,
            None => {
                drop(grant);
                grant = memory.acquire(working_bytes(most), failing).await?;
                let events = read_events(engine, account_id, after, up_to, |_| true).await?;
                events.unwrap_or_default()
            }
        };
        let content = Self::encode(events, after, format).await?;
        grant.shrink(working_bytes(content.bytes()));
        Ok((content, grant))
    }

    async fn encode(events: Vec<(Sequence, String)>, after: Sequence, format: Format) -> Result<Self> {
        let (Some((first_sequence, _)), Some((last_sequence, _))) = (events.first(), events.last()) else {
            return Err(missing(after + 1));
        };
        let (first_sequence, last_sequence) = (*first_sequence, *last_sequence);
        on_blocking_thread(move || {
            let bytes = events.iter().map(|event| event.1.len()).sum();
            let events = events.iter().map(|event| (event.0, event.1.as_str()));
            let encoded = encode::content(events, bytes, format);
            Ok(Self {
                first_sequence,
                last_sequence,
                sha256: encoded.sha256,
                text: encoded.text,
            })
        })
        .await
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Returns the compressed content and its SHA-256.
    pub(super) async fn compress(self, compression: Compression) -> Result<(Vec<u8>, [u8; 32])> {
        on_blocking_thread(move || {
            let body = encode::compress(self.text.as_bytes(), compression, None)?;
            let sha256 = encode::sha256(&body);
            Ok((body, sha256))
        })
        .await
    }
}

/// Returns the bytes that building a content of `bytes` keeps in memory: the content next to its
/// events, and then next to its compressed form.
pub(super) fn working_bytes(bytes: usize) -> usize {
    2 * bytes
}

async fn on_blocking_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let finished = tokio::task::spawn_blocking(work).await;
    finished.map_err(|error| Error::Broken(error.to_string()))?
}

/// Returns `None` once `has_room` refuses the bytes that have been read so far.
async fn read_events(
    engine: &Engine,
    account_id: i64,
    after: Sequence,
    up_to: Sequence,
    mut has_room: impl FnMut(usize) -> bool,
) -> Result<Option<Vec<(Sequence, String)>>> {
    let mut events: Vec<(Sequence, String)> = Vec::new();
    let mut bytes = 0;
    loop {
        let before = events.last().map_or(after, |last| last.0);
        let mut rows = sqlx::query_as::<_, (Sequence, String)>(
            "SELECT sequence, payload FROM audit_event \
             WHERE account_id = $1 AND sequence > $2 AND sequence <= $3 \
             ORDER BY sequence \
             LIMIT $4",
        )
        .bind(account_id)
        .bind(before)
        .bind(up_to)
        .bind(CHUNK)
        .fetch(engine.database().read());
        let mut read = 0;
        while let Some((sequence, payload)) = rows.try_next().await? {
            read += 1;
            if sequence != before + read {
                return Err(missing(before + read));
            }
            bytes += payload.len() + CLOSING_BYTES;
            if !events.is_empty() && (bytes > BATCH_BYTES || events.len() == BATCH_EVENTS) {
                return Ok(Some(events));
            }
            if !has_room(bytes) {
                return Ok(None);
            }
            events.push((sequence, payload));
        }
        if read < CHUNK {
            return Ok(Some(events));
        }
    }
}

fn missing(sequence: Sequence) -> Error {
    Error::Broken(format!("event {sequence} is missing from the trail"))
}
