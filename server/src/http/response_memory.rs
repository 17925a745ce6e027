//! The memory of responses that wait for clients which read slowly. Every account has a part of it.
//! The connection cuts off a client that reads nothing.

use std::sync::Arc;

use auditstream_engine::shared_budget::{Share, SharedBudget};
use auditstream_model::limits::PAGE_BYTES;
use auditstream_model::{AccountName, Code};
use axum::body::{Body, Bytes, HttpBody as _};
use axum::response::{IntoResponse as _, Response};

use super::problem::Refusal;

/// Bytes of all responses in memory, of which one account gets at most half.
const TOTAL: usize = 128 << 20;
/// Bytes of the smallest response that is counted.
const SMALLEST: usize = 64 << 10;

/// Bytes that an export needs: the page that is being sent, and the next one.
pub const EXPORT_BYTES: usize = 2 * PAGE_BYTES;

/// A memory budget of responses; cheap to clone.
#[derive(Clone, Debug)]
pub struct ResponseMemory(SharedBudget<String>);

/// Part of the budget, returned when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Reserved {
    _share: Arc<Share<String>>,
}

/// Bytes that are counted until they have been sent.
struct Counted {
    bytes: Bytes,
    _reserved: Reserved,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Default for ResponseMemory {
    fn default() -> Self {
        Self::new(TOTAL)
    }
}

impl ResponseMemory {
    /// A budget of bytes, of which one account gets at most half.
    #[must_use]
    pub fn new(total: usize) -> Self {
        Self(SharedBudget::halved(total))
    }

    /// The bytes of the responses in memory.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.taken()
    }

    /// Takes bytes for an account.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if the budget is spent.
    pub fn reserve(&self, account: &AccountName, bytes: usize) -> Result<Reserved, Refusal> {
        let mut share = self.0.share(account.as_str().to_owned());
        match share.grow(bytes) {
            Ok(()) => Ok(Reserved {
                _share: Arc::new(share),
            }),
            Err(_) => Err(Refusal::new(
                Code::Unavailable,
                "Too many responses are waiting for their clients to read them. Try again in a few seconds.",
            )),
        }
    }

    /// Counts a response to a caller of an account, unless it is small or is produced while it is
    /// sent. Beyond the budget, the response is a refusal.
    pub async fn count(&self, account: &AccountName, response: Response) -> Response {
        let size = response.body().size_hint().exact();
        let Some(size) = size
            .and_then(|size| usize::try_from(size).ok())
            .filter(|size| *size >= SMALLEST)
        else {
            return response;
        };
        let reserved = match self.reserve(account, size) {
            Ok(reserved) => reserved,
            Err(refusal) => return refusal.into_response(),
        };
        let (parts, body) = response.into_parts();
        match axum::body::to_bytes(body, size).await {
            Ok(bytes) => Response::from_parts(parts, Body::from(reserved.attach(bytes))),
            Err(error) => {
                tracing::error!(%error, "a response could not be counted");
                Refusal::new(Code::Internal, "The response could not be sent. Try again.").into_response()
            }
        }
    }
}

impl Reserved {
    /// Returns bytes that keep the memory reserved until they have been sent.
    pub fn attach(&self, bytes: impl Into<Bytes>) -> Bytes {
        Bytes::from_owner(Counted {
            bytes: bytes.into(),
            _reserved: self.clone(),
        })
    }
}
