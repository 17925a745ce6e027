//! The events of a batch, read from the trail and encoded.

use std::sync::{Mutex, PoisonError};

use auditstream_model::Sequence;
use bytes::Bytes;

use super::encode;
use super::limits::MemoryGrant;
use super::wanted::{CLOSING_BYTES, Wanted};
use crate::Engine;
use crate::error::{Error, Result};
use crate::trail::segment::{self, Bounds, Events};

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
    pub(super) async fn encode(events: Events, wanted: Wanted, mut grant: MemoryGrant) -> Result<Self> {
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
pub(super) async fn read_events(
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
