//! Decompresses request bodies: gzip and zstd.

use std::io::{self, Read};

use auditstream_engine::Error;
use auditstream_model::Code;
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::body_limit::{BodyReader, BufferedBody, CountedBuffer};
use super::problem::Refusal;

const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip, zstd");
const STEP: u64 = 64 << 10;
/// Binary logarithm of the largest window of a zstd frame, 8 MiB: what RFC 9659 demands of senders.
/// Decoders allocate the window before they have seen any content.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The `Content-Encoding` of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not encoded.
    Identity,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Encoding {
    /// The encoding that a request declares.
    ///
    /// # Errors
    /// [`Code::UnsupportedMedia`] if it is neither gzip, zstd nor identity.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let (first, second) = (values.next(), values.next());
        let name = first.map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
        match (name.as_deref(), second) {
            (None | Some("" | "identity"), None) => Ok(Self::Identity),
            (Some("gzip" | "x-gzip"), None) => Ok(Self::Gzip),
            (Some("zstd"), None) => Ok(Self::Zstd),
            _ => Err(Refusal::new(
                Code::UnsupportedMedia,
                "Send the header Content-Encoding: gzip or zstd, or leave it out.",
            )),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Adds the accepted encodings to responses that refuse a content type or an encoding.
pub async fn name_accepted(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        response.headers_mut().insert(ACCEPT_ENCODING, ACCEPTED);
    }
    response
}

impl BodyReader {
    /// Decompresses a body, on a blocking thread, and drops the compressed one.
    ///
    /// # Errors
    /// [`Code::TooLarge`] beyond `limit` bytes; [`Code::MalformedBody`] if it is not complete;
    /// [`Code::Unavailable`] if the memory budget is spent.
    pub async fn decode(&self, body: BufferedBody, encoding: Encoding, limit: usize) -> Result<BufferedBody, Refusal> {
        if encoding == Encoding::Identity {
            return Ok(body);
        }
        let broken = |error: &dyn std::error::Error| Refusal::from(Error::Broken(error.to_string()));
        // Decoders need up to 8 MiB that no budget counts.
        let permit = std::sync::Arc::clone(&self.decoders).acquire_owned().await;
        let permit = permit.map_err(|error| broken(&error))?;
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            decompress(&body, encoding, limit)
        });
        work.await.map_err(|error| broken(&error))?
    }
}

fn decompress(body: &BufferedBody, encoding: Encoding, limit: usize) -> Result<BufferedBody, Refusal> {
    let incomplete = |error: io::Error| {
        let message = format!("The body is not complete {}: {error}.", encoding.name());
        Refusal::new(Code::MalformedBody, message)
    };
    let mut reader: Box<dyn Read + '_> = match encoding {
        Encoding::Identity => Box::new(&*body.bytes),
        Encoding::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(&*body.bytes)),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(&*body.bytes).map_err(incomplete)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(incomplete)?;
            Box::new(decoder)
        }
    };
    let mut buffer = CountedBuffer::new(body.memory.another(), limit);
    let mut step = Vec::new();
    loop {
        step.clear();
        let read = reader.by_ref().take(STEP).read_to_end(&mut step).map_err(incomplete)?;
        if read == 0 {
            return Ok(buffer.finish());
        }
        if buffer.len() + read > limit {
            return Err(Error::request_too_large(limit).into());
        }
        buffer.extend(&step)?;
    }
}
