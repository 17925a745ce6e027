//! The rows of segments, through the connections for reading or those of searches.

use auditstream_model::Sequence;
use sqlx::FromRow;
use sqlx::any::AnyRow;

use super::codec::{Decoded, decode};
use super::{SEGMENT_EVENTS, damaged};
use crate::database::{Pool, SearchConnection, SearchRow, Value};
use crate::error::{Error, Result};

/// Up to this size, payloads are decompressed on the caller's thread, in some ten microseconds.
const SMALL: usize = 32 << 10;

/// The connections by which segments are read.
pub(super) enum Via<'a> {
    Pool(&'a Pool),
    Search(&'a mut SearchConnection),
}

impl Via<'_> {
    pub(super) async fn fetch<T>(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<T>>
    where
        T: SearchRow + for<'r> FromRow<'r, AnyRow>,
    {
        match self {
            Self::Search(connection) => connection.fetch(sql, values).await,
            Self::Pool(pool) => {
                let mut query = sqlx::query_as(sql);
                for value in values {
                    query = match value {
                        Value::Integer(number) => query.bind(number),
                        Value::Text(text) => query.bind(text),
                        Value::Bytes(bytes) => query.bind(bytes),
                    };
                }
                Ok(query.fetch_all(*pool).await?)
            }
        }
    }
}

/// The place and the size of a segment.
#[derive(Clone, Copy, Debug, FromRow)]
pub(super) struct Head {
    pub(super) first_sequence: Sequence,
    pub(super) last_sequence: Sequence,
    /// The bytes of its payloads.
    bytes: i64,
}

impl Head {
    pub(super) fn size(self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    pub(super) fn contains(self, sequence: Sequence) -> bool {
        self.first_sequence <= sequence && sequence <= self.last_sequence
    }
}

/// A segment as it is stored.
#[derive(Debug, FromRow)]
pub(super) struct Row {
    pub(super) first_sequence: Sequence,
    pub(super) last_sequence: Sequence,
    bytes: i64,
    times: Vec<u8>,
    content: Vec<u8>,
}

impl Row {
    pub(super) fn size(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// # Errors
    /// [`Error::Broken`] if the segment is damaged.
    pub(super) fn decode(&self, zstd: &mut zstd::bulk::Decompressor<'_>) -> Result<Decoded> {
        self.decode_in(zstd, Decoded::default())
    }

    /// As [`Self::decode`], in the memory of a segment that is no longer needed.
    pub(super) fn decode_in(&self, zstd: &mut zstd::bulk::Decompressor<'_>, reused: Decoded) -> Result<Decoded> {
        let events = usize::try_from(self.last_sequence - self.first_sequence + 1).ok();
        let events = events.filter(|events| (1..=SEGMENT_EVENTS).contains(events));
        let bytes = usize::try_from(self.bytes).ok();
        let decoded = events
            .zip(bytes)
            .and_then(|size| decode(zstd, &self.content, &self.times, size, reused));
        decoded.ok_or_else(|| damaged(self.first_sequence, self.last_sequence))
    }
}

/// Decompresses `bytes` of payloads by calling `work`, on a separate thread if there are many.
pub(super) async fn decompress<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce(&mut zstd::bulk::Decompressor<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let work = move || {
        let zstd = zstd::bulk::Decompressor::new();
        let mut zstd = zstd.map_err(|error| Error::Broken(format!("segments cannot be decompressed: {error}")))?;
        work(&mut zstd)
    };
    if bytes <= SMALL {
        return work();
    }
    let finished = tokio::task::spawn_blocking(work).await;
    finished.map_err(|error| Error::Broken(error.to_string()))?
}
