//! The events of a batch, read from the trail and encoded.

use std::sync::{Mutex, PoisonError};

use auditstream_model::Sequence;
use bytes::Bytes;

use super::encode::{Encoder, content_bytes};
use super::limits::{MemoryGrant, working_bytes};
use super::wanted::{CLOSING_BYTES, Wanted};
use crate::Engine;
use crate::error::{Error, Result};
use crate::trail::segment::{self, Bounds, Range};

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
    /// Reads and encodes the events of a range. The same events result in the same bytes.
    pub(super) async fn read(engine: &Engine, wanted: Wanted, range: Range, mut grant: MemoryGrant) -> Result<Self> {
        let Range {
            first_sequence,
            last_sequence,
            ..
        } = range;
        let encoder = Encoder::new(first_sequence, last_sequence, range.bytes, wanted.form.format);
        let encoder = segment::fold(engine.database(), range, encoder, Encoder::push).await?;
        let encoded = encoder.finish();
        grant.shrink(working_bytes(encoded.text.len()));
        Ok(Self {
            first_sequence,
            last_sequence,
            sha256: encoded.sha256,
            text: encoded.text.into(),
            grant: Mutex::new(grant),
        })
    }

    /// Takes memory for the compressed form out of that of the content. If there are several forms,
    /// the later ones may get less than they request.
    pub(super) fn split_grant(&self, bytes: usize) -> MemoryGrant {
        self.grant.lock().unwrap_or_else(PoisonError::into_inner).split(bytes)
    }
}

/// Finds the events that are wanted.
pub(super) async fn find(engine: &Engine, wanted: Wanted) -> Result<Range> {
    let Wanted { form, after, up_to } = wanted;
    let bounds = Bounds {
        events: form.cut.events,
        bytes: form.cut.bytes,
        closing: CLOSING_BYTES,
    };
    segment::find(engine.database(), form.account_id, after, up_to, bounds).await
}

/// Returns the memory, in bytes, for the content of a range and its compressed form.
pub(super) fn memory_for(range: Range) -> usize {
    working_bytes(content_bytes(range.first_sequence, range.last_sequence, range.bytes))
}

pub(super) async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let finished = tokio::task::spawn_blocking(work).await;
    finished.map_err(|error| Error::Broken(error.to_string()))?
}
