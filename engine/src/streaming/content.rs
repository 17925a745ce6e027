//! The events of a batch, read from the trail and encoded.

use auditstream_model::limits::EVENT_BYTES;
use auditstream_model::{Compression, DestinationSpec, Format, Sequence};

use super::encode;
use super::limits::{MemoryBudget, MemoryGrant};
use crate::Engine;
use crate::error::{Error, Result};
use crate::trail::segment::{self, Bounds, Events};

/// The most bytes that encoding adds to a payload: batch id, sequence and their members' names.
const CLOSING_BYTES: usize = 100;

/// Bytes of events for which a new batch reserves memory before it knows their size.
const FIRST_GRANT: usize = 256 << 10;

/// The most that a batch contains, at least one event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) events: usize,
    /// Bytes of the content.
    pub(super) bytes: usize,
}

impl Cut {
    /// A range that has been cut already: a frozen batch.
    const NONE: Self = Self {
        events: usize::MAX,
        bytes: usize::MAX,
    };

    /// Returns the size of the next batch of a destination.
    pub(super) fn of(spec: &DestinationSpec) -> Self {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            events: size(spec.batch_events),
            bytes: size(spec.batch_bytes),
        }
    }
}

#[derive(Debug)]
pub(super) struct Content {
    pub(super) first_sequence: Sequence,
    pub(super) last_sequence: Sequence,
    pub(super) sha256: [u8; 32],
    text: String,
}

impl Content {
    /// Encodes the events after `after`, up to `up_to`. The same events give the same bytes; a
    /// missing event is an [`Error::Broken`].
    pub(super) async fn build(
        engine: &Engine,
        account_id: i64,
        after: Sequence,
        up_to: Sequence,
        format: Format,
    ) -> Result<Self> {
        let events = read_events(engine, account_id, (after, up_to), Cut::NONE, |_| true).await?;
        Self::encode(events.unwrap_or_default(), after, format).await
    }

    /// Encodes as many of the next events as fit into one batch, and reserves memory for as many
    /// bytes as they have. If the memory runs out on the way, starts again with all that a batch can need.
    pub(super) async fn build_within(
        engine: &Engine,
        (memory, failing): (&MemoryBudget, bool),
        account_id: i64,
        range: (Sequence, Sequence),
        cut: Cut,
        format: Format,
    ) -> Result<(Self, MemoryGrant)> {
        let (after, up_to) = range;
        let waiting = usize::try_from(up_to - after).unwrap_or(0);
        let largest = EVENT_BYTES + CLOSING_BYTES;
        let most = waiting.min(cut.events).saturating_mul(largest);
        let most = most.min(cut.bytes.max(largest));
        let mut grant = memory.acquire(working_bytes(most.min(FIRST_GRANT)), failing).await?;
        let grow = |bytes| grant.try_grow(working_bytes(bytes), working_bytes(most));
        let events = match read_events(engine, account_id, range, cut, grow).await? {
            Some(events) => events,
            None => {
                drop(grant);
                grant = memory.acquire(working_bytes(most), failing).await?;
                let events = read_events(engine, account_id, range, cut, |_| true).await?;
                events.unwrap_or_default()
            }
        };
        let content = Self::encode(events, after, format).await?;
        grant.shrink(working_bytes(content.bytes()));
        Ok((content, grant))
    }

    async fn encode(events: Events, after: Sequence, format: Format) -> Result<Self> {
        if events.is_empty() {
            return Err(segment::missing(after + 1));
        }
        let (first_sequence, last_sequence) = (events.first_sequence(), events.last_sequence());
        on_blocking_thread(move || {
            let encoded = encode::content(events.iter(), events.bytes(), format);
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

    /// Returns the compressed content and its SHA-256. A level of `None` is the default one.
    pub(super) async fn compress(self, (compression, level): (Compression, Option<u8>)) -> Result<(Vec<u8>, [u8; 32])> {
        on_blocking_thread(move || {
            let body = match compression {
                Compression::None => self.text.into_bytes(),
                _ => encode::compress(self.text.as_bytes(), compression, level)?,
            };
            let sha256 = encode::sha256(&body);
            Ok((body, sha256))
        })
        .await
    }
}

/// Returns the bytes that building a content of `bytes` keeps in memory: the content next to its
/// events, and then next to its compressed form.
pub(super) const fn working_bytes(bytes: usize) -> usize {
    2 * bytes
}

pub(super) async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let finished = tokio::task::spawn_blocking(work).await;
    finished.map_err(|error| Error::Broken(error.to_string()))?
}

/// Returns `None` once `has_room` refuses the bytes that have been read so far.
async fn read_events(
    engine: &Engine,
    account_id: i64,
    (after, up_to): (Sequence, Sequence),
    cut: Cut,
    has_room: impl FnMut(usize) -> bool + Send,
) -> Result<Option<Events>> {
    let bounds = Bounds {
        events: cut.events,
        bytes: cut.bytes,
        closing: CLOSING_BYTES,
    };
    segment::read(engine.database(), account_id, after, up_to, bounds, has_room).await
}
