//! Bodies of requests, bounded by their bytes and by time: what is read, and what it is decompressed to, is counted as it
//! comes, so that many requests at once, or slow ones, take no more memory than there is for them.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use auditstream_model::Code;
use axum::body::{Body, Bytes};
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::extract::too_large;
use super::problem::Refusal;

/// Bytes of all bodies that are in memory at once: eight of the largest.
const BYTES: usize = 128 << 20;
/// How long a body may take to come in.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a body is decompressed by.
const STEP: usize = 64 << 10;

/// The room that bodies have; cheap to clone.
#[derive(Clone, Debug)]
pub struct Bodies {
    room: Arc<Semaphore>,
    patience: Duration,
}

impl Default for Bodies {
    fn default() -> Self {
        Self::new(BYTES, PATIENCE)
    }
}

/// A body that was read, with the room that it has; given back when dropped.
#[derive(Debug)]
pub struct Held {
    /// The body.
    pub bytes: Bytes,
    room: Room,
}

/// What is counted of a body so far.
#[derive(Debug)]
struct Room {
    of: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Room {
    fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let count = u32::try_from(bytes).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.of).try_acquire_many_owned(count).map_err(|_| {
            Refusal::new(
                Code::Unavailable,
                "More requests are being read than there is room for. Send this one again in a few seconds.",
            )
        })?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        Ok(())
    }
}

impl Bodies {
    /// Room for so many bytes, and so much time for each body.
    #[must_use]
    pub fn new(bytes: usize, patience: Duration) -> Self {
        Self {
            room: Arc::new(Semaphore::new(bytes)),
            patience,
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`Code::TooLarge`] beyond `limit` bytes; [`Code::MalformedBody`] when it ends early; [`Code::Unavailable`] when there
    /// is no room for it; [`Code::RequestTimeout`] when it comes too slowly.
    pub async fn read(&self, body: Body, limit: usize) -> Result<Held, Refusal> {
        match tokio::time::timeout(self.patience, self.collect(body, limit)).await {
            Ok(read) => read,
            Err(_) => Err(Refusal::new(
                Code::RequestTimeout,
                format!("The body did not come in within {} seconds.", self.patience.as_secs()),
            )),
        }
    }

    async fn collect(&self, body: Body, limit: usize) -> Result<Held, Refusal> {
        let mut room = self.empty();
        let mut bytes = Vec::new();
        let mut parts = body.into_data_stream();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|_| Refusal::new(Code::MalformedBody, "The body ended before it was complete."))?;
            if bytes.len() + part.len() > limit {
                return Err(too_large(limit));
            }
            room.grow(part.len())?;
            bytes.extend_from_slice(&part);
        }
        Ok(Held {
            bytes: bytes.into(),
            room,
        })
    }

    fn empty(&self) -> Room {
        Room {
            of: Arc::clone(&self.room),
            taken: None,
        }
    }
}

impl Held {
    /// Decompresses gzip away from the tasks' threads. The compressed body is forgotten.
    ///
    /// # Errors
    /// [`Code::TooLarge`] beyond `limit` bytes; [`Code::MalformedBody`] when it is not complete gzip;
    /// [`Code::Unavailable`] when there is no room for it.
    pub async fn gunzip(self, limit: usize) -> Result<Self, Refusal> {
        let failed = || Refusal::new(Code::Internal, "Something went wrong on the server. Its log says more.");
        let work = tokio::task::spawn_blocking(move || self.decompress(limit));
        work.await.map_err(|_| failed())?
    }

    fn decompress(self, limit: usize) -> Result<Self, Refusal> {
        let mut room = Room {
            of: Arc::clone(&self.room.of),
            taken: None,
        };
        let mut bytes = Vec::new();
        let mut reader = flate2::bufread::MultiGzDecoder::new(&*self.bytes);
        loop {
            let read = step(&mut reader, &mut bytes).map_err(|error| {
                Refusal::new(Code::MalformedBody, format!("The body is not complete gzip: {error}."))
            })?;
            if read == 0 {
                break;
            }
            if bytes.len() > limit {
                return Err(too_large(limit));
            }
            room.grow(read)?;
        }
        Ok(Self {
            bytes: bytes.into(),
            room,
        })
    }
}

fn step(reader: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<usize> {
    reader.take(STEP as u64).read_to_end(bytes)
}
