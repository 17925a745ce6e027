//! The events of a batch, read from the trail and encoded.

use std::sync::{Mutex, PoisonError};

use auditstream_model::Sequence;
use bytes::Bytes;

use super::encode;
use super::limits::{MemoryGrant, MemoryUse};
use super::objects::Objects;
use super::wanted::{CLOSING_BYTES, Wanted};
use crate::Engine;
use crate::error::{Error, Result};
use crate::trail::segment::{self, Bounds, Events};

/// Bytes of events for which a new batch reserves memory before it knows their size.
const FIRST_GRANT: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Content {
    pub(super) first_sequence: Sequence,
    pub(super) last_sequence: Sequence,
    pub(super) sha256: [u8; 32],
    pub(super) text: Bytes,
    /// The memory for the text and its compressed form.
    grant: Mutex<MemoryGrant>,
}

impl Content {
    /// Encodes the wanted events. The same events result in the same bytes; a missing event is an
    /// [`Error::Broken`]. Returns `None` if there is no memory to spare.
    ///
    /// Reserves memory for as many bytes as the events have. If it runs out on the way, starts
    /// again with all that the content can need.
    pub(super) async fn build(
        engine: &Engine,
        objects: &Objects,
        wanted: Wanted,
        memory_use: MemoryUse,
    ) -> Result<Option<Self>> {
        let most = wanted.most_bytes();
        let first = working_bytes(most.min(FIRST_GRANT));
        let Some(mut grant) = objects.acquire(first, memory_use).await? else {
            return Ok(None);
        };
        let grow = |bytes| grant.try_grow(working_bytes(bytes), working_bytes(most));
        let events = match read_events(engine, wanted, grow).await? {
            Some(events) => events,
            None if memory_use == MemoryUse::Spare => return Ok(None),
            None => {
                drop(grant);
                let Some(all) = objects.acquire(working_bytes(most), memory_use).await? else {
                    return Ok(None);
                };
                grant = all;
                let events = read_events(engine, wanted, |_| true).await?;
                events.unwrap_or_default()
            }
        };
        Self::encode(events, wanted, grant).await.map(Some)
    }

    async fn encode(events: Events, wanted: Wanted, mut grant: MemoryGrant) -> Result<Self> {
        if events.is_empty() {
            return Err(segment::missing(wanted.after + 1));
        }
        on_blocking_thread(move || {
            let (first_sequence, last_sequence) = (events.first_sequence(), events.last_sequence());
            let encoded = encode::content(events.iter(), events.bytes(), wanted.form.format);
            drop(events);
            grant.shrink(encoded_bytes(encoded.text.len()));
            Ok(Self {
                first_sequence,
                last_sequence,
                sha256: encoded.sha256,
                text: encoded.text.into(),
                grant: Mutex::new(grant),
            })
        })
        .await
    }

    /// Takes memory for the compressed form out of that of the content. If there are several forms,
    /// the later ones may get less than they request.
    pub(super) fn split_grant(&self, bytes: usize) -> MemoryGrant {
        self.grant.lock().unwrap_or_else(PoisonError::into_inner).split(bytes)
    }
}

/// Returns the bytes that encoding a content of `bytes` keeps in memory: the content next to its
/// events.
pub(super) const fn working_bytes(bytes: usize) -> usize {
    2 * bytes
}

/// Returns the bytes that a content of `bytes` keeps in memory while it is compressed, which leaves
/// less than half of most events.
fn encoded_bytes(bytes: usize) -> usize {
    bytes + bytes / 2
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
    wanted: Wanted,
    has_room: impl FnMut(usize) -> bool + Send,
) -> Result<Option<Events>> {
    let Wanted { form, after, up_to } = wanted;
    let bounds = Bounds {
        events: form.cut.events,
        bytes: form.cut.bytes,
        closing: CLOSING_BYTES,
    };
    segment::read(engine.database(), form.account_id, after, up_to, bounds, has_room).await
}
