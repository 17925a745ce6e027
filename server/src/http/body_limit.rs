//! Reads request bodies within memory budgets and deadlines. Bytes are counted as they arrive, and
//! again as they are decompressed, so that many or slow requests cannot exhaust memory.
//!
//! Ingest, accounts and strangers have separate budgets, so that none of them takes the memory of
//! another. Of each budget one account, or one address of strangers, gets only a part.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use auditstream_engine::Error;
use auditstream_engine::shared_budget::{Exhausted, Share, SharedBudget};
use auditstream_model::{AccountName, Code};
use axum::body::{Body, Bytes, HttpBody as _};
use futures::StreamExt as _;
use tokio::sync::Semaphore;

use super::problem::Refusal;

/// Bytes of the bodies with events in memory at once: eight of the largest, four of one account.
const INGEST_BYTES: usize = 128 << 20;
/// Bytes of all other bodies that accounts send, from the console and to the API.
const ACCOUNT_BYTES: usize = 16 << 20;
/// Bytes of the bodies of clients that have not signed in.
const STRANGER_BYTES: usize = 4 << 20;
/// Bytes of them from one address.
const STRANGER_ADDRESS_BYTES: usize = 512 << 10;
/// Bytes of one of them. Signing in and following a link need less than 4 KiB.
const STRANGER_BODY_BYTES: usize = 64 << 10;
const TIMEOUT: Duration = Duration::from_secs(60);
const STRANGER_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads request bodies; cheap to clone.
#[derive(Clone, Debug)]
pub struct BodyReader {
    ingest: Budget,
    accounts: Budget,
    strangers: Budget,
    /// One for each body that may be decompressed at the same time.
    pub(super) decoders: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
struct Budget {
    memory: SharedBudget<String>,
    timeout: Duration,
}

/// The sender of a body, which decides about its limits.
#[derive(Clone, Copy, Debug)]
pub enum Sender<'a> {
    /// An account that sends events.
    Ingest(&'a AccountName),
    /// A signed-in user of an account, or one of its tokens.
    Account(&'a AccountName),
    /// A client without a session or token, at this address.
    Stranger(&'a str),
}

/// A complete body.
#[derive(Debug)]
pub struct BufferedBody {
    /// The body.
    pub bytes: Bytes,
    /// The memory that it occupies.
    pub memory: BodyMemory,
}

/// Bytes that are counted as long as a copy of them exists.
struct Shared {
    bytes: Bytes,
    _memory: Arc<BodyMemory>,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl BufferedBody {
    /// Returns the body and its memory, which is free once both are dropped: work with the body
    /// can outlive its request.
    #[must_use]
    pub fn shared(self) -> (Bytes, Arc<BodyMemory>) {
        let memory = Arc::new(self.memory);
        let bytes = Bytes::from_owner(Shared {
            bytes: self.bytes,
            _memory: Arc::clone(&memory),
        });
        (bytes, memory)
    }
}

/// Part of a memory budget, returned when dropped.
#[derive(Debug)]
pub struct BodyMemory(Share<String>);

impl BodyMemory {
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.0.grow(bytes).map_err(|exhausted| {
            let whose = match exhausted {
                Exhausted::Party => "from you ",
                Exhausted::Total => "",
            };
            let message = format!(
                "The server is reading too many requests {whose}at once. Send this one again in a few seconds."
            );
            Refusal::new(Code::Unavailable, message)
        })
    }

    /// An empty part for the same sender.
    pub(super) fn another(&self) -> Self {
        Self(self.0.another())
    }
}

impl Default for BodyReader {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            ingest: Budget::new(SharedBudget::halved(INGEST_BYTES), TIMEOUT),
            accounts: Budget::new(SharedBudget::halved(ACCOUNT_BYTES), TIMEOUT),
            strangers: Budget::new(
                SharedBudget::new(STRANGER_BYTES, STRANGER_ADDRESS_BYTES),
                STRANGER_TIMEOUT,
            ),
            decoders: Arc::new(Semaphore::new(processors.max(2))),
        }
    }
}

impl Budget {
    fn new(memory: SharedBudget<String>, timeout: Duration) -> Self {
        Self { memory, timeout }
    }
}

impl BodyReader {
    /// A reader with another budget for ingest: bytes of all bodies together, of which one account
    /// gets at most half, and a deadline for each.
    #[must_use]
    pub fn with_ingest(self, memory: usize, timeout: Duration) -> Self {
        Self {
            ingest: Budget::new(SharedBudget::halved(memory), timeout),
            ..self
        }
    }

    /// Reads a body to its end. Authenticate the request afterwards (again): its credentials may
    /// have been revoked in the meantime.
    ///
    /// # Errors
    /// [`Code::TooLarge`] beyond `limit` bytes, and beyond 64 KiB from a stranger;
    /// [`Code::MalformedBody`] if it ends early; [`Code::Unavailable`] if the memory budget is
    /// spent; [`Code::RequestTimeout`] after the deadline.
    pub async fn read(&self, body: Body, sender: Sender<'_>, limit: usize) -> Result<BufferedBody, Refusal> {
        let (budget, party) = self.budget_of(sender);
        let limit = match sender {
            Sender::Stranger(_) => limit.min(STRANGER_BODY_BYTES),
            Sender::Ingest(_) | Sender::Account(_) => limit,
        };
        let memory = BodyMemory(budget.memory.share(party.to_owned()));
        match tokio::time::timeout(budget.timeout, collect(body, memory, limit)).await {
            Ok(read) => read,
            Err(_) => {
                let seconds = budget.timeout.as_secs();
                let message = format!("The body did not arrive within {seconds} seconds.");
                Err(Refusal::new(Code::RequestTimeout, message))
            }
        }
    }

    /// Counts the memory of a whole body that has arrived already.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if the memory budget is spent.
    pub fn count(&self, bytes: Bytes, sender: Sender<'_>) -> Result<BufferedBody, Refusal> {
        let (budget, party) = self.budget_of(sender);
        let mut memory = BodyMemory(budget.memory.share(party.to_owned()));
        memory.grow(bytes.len())?;
        Ok(BufferedBody { bytes, memory })
    }

    /// The budget for the bodies of a sender, and the sender's name in it.
    fn budget_of<'a>(&self, sender: Sender<'a>) -> (&Budget, &'a str) {
        match sender {
            Sender::Ingest(account) => (&self.ingest, account.as_str()),
            Sender::Account(account) => (&self.accounts, account.as_str()),
            Sender::Stranger(address) => (&self.strangers, address),
        }
    }
}

async fn collect(body: Body, memory: BodyMemory, limit: usize) -> Result<BufferedBody, Refusal> {
    let announced = body.size_hint();
    if announced.lower() > limit as u64 {
        return Err(Error::request_too_large(limit).into());
    }
    let at_most = announced.upper().and_then(|bytes| usize::try_from(bytes).ok());
    let mut buffer = CountedBuffer::new(memory, limit.min(at_most.unwrap_or(limit)));
    let mut chunks = pin!(body.into_data_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refusal::new(Code::MalformedBody, "The body ended before it was complete."))?;
        if buffer.len() + chunk.len() > limit {
            return Err(Error::request_too_large(limit).into());
        }
        buffer.extend(&chunk)?;
    }
    Ok(buffer.finish())
}

/// Bytes whose memory is counted: the whole allocation, not only the part in use.
#[derive(Debug)]
pub(super) struct CountedBuffer {
    bytes: Vec<u8>,
    memory: BodyMemory,
    /// The expected number of bytes at most.
    at_most: usize,
}

impl CountedBuffer {
    pub(super) fn new(memory: BodyMemory, at_most: usize) -> Self {
        Self {
            bytes: Vec::new(),
            memory,
            at_most,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends bytes. The allocation doubles, but not beyond the expected number of bytes.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if the memory budget is spent.
    pub(super) fn extend(&mut self, more: &[u8]) -> Result<(), Refusal> {
        let capacity = self.bytes.capacity();
        let needed = self.bytes.len() + more.len();
        if needed > capacity {
            let wanted = needed.max((capacity * 2).min(self.at_most));
            self.memory.grow(wanted - capacity)?;
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    pub(super) fn finish(self) -> BufferedBody {
        BufferedBody {
            bytes: self.bytes.into(),
            memory: self.memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As while it is parsed, when the client has left and the request is dropped.
    #[test]
    fn a_body_counts_as_long_as_a_copy_of_it_is_in_use() {
        let budget = SharedBudget::new(1000, 1000);
        let mut buffer = CountedBuffer::new(BodyMemory(budget.share("a".to_owned())), 500);
        buffer.extend(&[7; 500]).unwrap();
        let (bytes, memory) = buffer.finish().shared();
        drop(memory);
        assert_eq!((&bytes[..2], budget.taken()), (&[7, 7][..], 500));
        drop(bytes);
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn a_buffer_counts_its_allocation_and_doubles_no_further_than_the_expected_size() {
        let budget = SharedBudget::new(1000, 1000);
        let mut buffer = CountedBuffer::new(BodyMemory(budget.share("a".to_owned())), 500);
        for _ in 0..5 {
            buffer.extend(&[0; 100]).unwrap();
            assert_eq!(budget.taken(), buffer.bytes.capacity());
        }
        assert_eq!((buffer.len(), budget.taken()), (500, 500));
        assert!(buffer.extend(&[0; 600]).is_err(), "the budget is spent");
        drop(buffer);
        assert_eq!(budget.taken(), 0);
    }
}
