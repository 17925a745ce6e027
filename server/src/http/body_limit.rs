//! Reads request bodies within a shared memory budget and a deadline. Bytes are counted as they
//! arrive, and again as they are decompressed, so that many or slow requests cannot exhaust memory.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use auditstream_engine::Error;
use auditstream_model::Code;
use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Refusal;

/// Bytes of all bodies in memory at once: eight of the largest.
const MEMORY_BUDGET: usize = 128 << 20;
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
const GUNZIP_STEP: u64 = 64 << 10;

/// Reads request bodies; cheap to clone.
#[derive(Clone, Debug)]
pub struct BodyReader {
    memory: Arc<Semaphore>,
    timeout: Duration,
}

impl Default for BodyReader {
    fn default() -> Self {
        Self::new(MEMORY_BUDGET, BODY_TIMEOUT)
    }
}

/// A complete body, with the memory that it occupies; returned to the budget when dropped.
#[derive(Debug)]
pub struct BufferedBody {
    /// The body.
    pub bytes: Bytes,
    permit: MemoryPermit,
}

/// The `Content-Encoding` of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not encoded.
    Identity,
    /// gzip.
    Gzip,
}

impl Encoding {
    /// The encoding that a request declares.
    ///
    /// # Errors
    /// [`Code::UnsupportedMedia`] if it is neither gzip nor identity.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let (first, second) = (values.next(), values.next());
        let name = first.map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
        match (name.as_deref(), second) {
            (None | Some("" | "identity"), None) => Ok(Self::Identity),
            (Some("gzip" | "x-gzip"), None) => Ok(Self::Gzip),
            _ => Err(Refusal::new(
                Code::UnsupportedMedia,
                "Send the header Content-Encoding: gzip, or leave it out.",
            )),
        }
    }
}

#[derive(Debug)]
struct MemoryPermit {
    budget: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl MemoryPermit {
    fn new(budget: &Arc<Semaphore>) -> Self {
        Self {
            budget: Arc::clone(budget),
            taken: None,
        }
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let count = u32::try_from(bytes).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.budget).try_acquire_many_owned(count).map_err(|_| {
            Refusal::new(
                Code::Unavailable,
                "The server is reading too many requests at once. Send this one again in a few seconds.",
            )
        })?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        Ok(())
    }
}

impl BodyReader {
    /// A reader with a memory budget in bytes for all bodies together, and a deadline for each.
    #[must_use]
    pub fn new(memory: usize, timeout: Duration) -> Self {
        Self {
            memory: Arc::new(Semaphore::new(memory)),
            timeout,
        }
    }

    /// Reads a body to its end. Authenticate the request afterwards (again): its credentials may
    /// have been revoked in the meantime.
    ///
    /// # Errors
    /// [`Code::TooLarge`] beyond `limit` bytes; [`Code::MalformedBody`] if it ends early;
    /// [`Code::Unavailable`] if the memory budget is spent; [`Code::RequestTimeout`] after the
    /// deadline.
    pub async fn read(&self, body: Body, limit: usize) -> Result<BufferedBody, Refusal> {
        match tokio::time::timeout(self.timeout, self.collect(body, limit)).await {
            Ok(read) => read,
            Err(_) => {
                let seconds = self.timeout.as_secs();
                let message = format!("The body did not arrive within {seconds} seconds.");
                Err(Refusal::new(Code::RequestTimeout, message))
            }
        }
    }

    async fn collect(&self, body: Body, limit: usize) -> Result<BufferedBody, Refusal> {
        let mut permit = MemoryPermit::new(&self.memory);
        let mut bytes = Vec::new();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk =
                chunk.map_err(|_| Refusal::new(Code::MalformedBody, "The body ended before it was complete."))?;
            if bytes.len() + chunk.len() > limit {
                return Err(Error::request_too_large(limit).into());
            }
            permit.grow(chunk.len())?;
            bytes.extend_from_slice(&chunk);
        }
        Ok(BufferedBody {
            bytes: bytes.into(),
            permit,
        })
    }
}

impl BufferedBody {
    /// Decompresses the body, on a blocking thread, and drops the compressed one.
    ///
    /// # Errors
    /// [`Code::TooLarge`] beyond `limit` bytes; [`Code::MalformedBody`] if it is not complete gzip;
    /// [`Code::Unavailable`] if the memory budget is spent.
    pub async fn decode(self, encoding: Encoding, limit: usize) -> Result<Self, Refusal> {
        if encoding == Encoding::Identity {
            return Ok(self);
        }
        let work = tokio::task::spawn_blocking(move || self.gunzip(limit));
        work.await.map_err(|error| Error::Broken(error.to_string()))?
    }

    fn gunzip(self, limit: usize) -> Result<Self, Refusal> {
        let mut permit = MemoryPermit::new(&self.permit.budget);
        let mut bytes = Vec::new();
        let mut reader = flate2::bufread::MultiGzDecoder::new(&*self.bytes);
        loop {
            let read = read_step(&mut reader, &mut bytes).map_err(|error| {
                Refusal::new(Code::MalformedBody, format!("The body is not complete gzip: {error}."))
            })?;
            if read == 0 {
                break;
            }
            if bytes.len() > limit {
                return Err(Error::request_too_large(limit).into());
            }
            permit.grow(read)?;
        }
        Ok(Self {
            bytes: bytes.into(),
            permit,
        })
    }
}

fn read_step(reader: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<usize> {
    reader.take(GUNZIP_STEP).read_to_end(bytes)
}
