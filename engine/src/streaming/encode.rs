//! A batch's content and its compressed form. Both follow from the batch alone: no clock, no map
//! order, no time in the gzip header. So every attempt, by any server, sends the same content under
//! the same key.
//!
//! The hash of the content is frozen with a batch, that of its compressed form is not: another
//! version of a compressor may produce other bytes, and an object is compared by its content.

use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};

use auditstream_model::limits::MAX_BATCH_BYTES;
use auditstream_model::{Compression, Format, Sequence};
use libdeflater::{CompressionError, CompressionLvl};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::trail::close;

/// The bytes that closing an event takes, without its numbers: `"sequence":,"batchId":""}}` and a
/// separator.
const CLOSING: usize = 27;
/// The bytes of a content that are hashed at a time, while they are in the processor's cache.
const HASHED_BYTES: usize = 64 << 10;
/// The ratio of compression from which on a content is compressed at the first attempt. Events are
/// usually compressed to an eighth.
const EXPECTED_RATIO: usize = 4;
/// The number of compressors of each kind that are kept for the next batches.
const KEPT_COMPRESSORS: usize = 2;

/// The uncompressed content of a batch.
#[derive(Debug)]
pub struct Encoded {
    /// Each event with its sequence and `batchId` (`first-last`).
    pub text: String,
    /// SHA-256 of the text.
    pub sha256: [u8; 32],
}

/// Encodes the events of a batch, one after another.
#[derive(Debug)]
pub struct Encoder {
    format: Format,
    batch_id: String,
    first_sequence: Sequence,
    next_sequence: Sequence,
    text: String,
    hasher: Sha256,
    /// The bytes of the text that are hashed.
    hashed: usize,
}

impl Encoder {
    /// Creates an encoder for the events from `first` to `last`, whose payloads have
    /// `payload_bytes` together.
    #[must_use]
    pub fn new(first: Sequence, last: Sequence, payload_bytes: usize, format: Format) -> Self {
        Self {
            format,
            batch_id: batch_id(first, last),
            first_sequence: first,
            next_sequence: first,
            text: String::with_capacity(content_bytes(first, last, payload_bytes)),
            hasher: Sha256::new(),
            hashed: 0,
        }
    }

    /// Adds the next event.
    pub fn push(&mut self, payload: &str) {
        let sequence = self.next_sequence;
        if self.format == Format::JsonArray {
            self.text.push(if sequence == self.first_sequence { '[' } else { ',' });
        }
        close(&mut self.text, payload, sequence, Some(&self.batch_id));
        if self.format == Format::Ndjson {
            self.text.push('\n');
        }
        self.next_sequence += 1;
        if self.text.len() - self.hashed >= HASHED_BYTES {
            self.hash();
        }
    }

    /// Returns the content after the last event.
    #[must_use]
    pub fn finish(mut self) -> Encoded {
        if self.format == Format::JsonArray && !self.text.is_empty() {
            self.text.push(']');
        }
        self.hash();
        Encoded {
            text: self.text,
            sha256: self.hasher.finalize().into(),
        }
    }

    fn hash(&mut self) {
        self.hasher.update(&self.text.as_bytes()[self.hashed..]);
        self.hashed = self.text.len();
    }
}

fn batch_id(first: Sequence, last: Sequence) -> String {
    format!("{first}-{last}")
}

/// Returns the most bytes that a content can have whose payloads have `payload_bytes` together.
pub(super) fn content_bytes(first: Sequence, last: Sequence, payload_bytes: usize) -> usize {
    let events = usize::try_from(last - first + 1).unwrap_or(0);
    let batch_id = batch_id(first, last);
    let digits = batch_id.len() - batch_id.find('-').unwrap_or(0);
    let closing = events.saturating_mul(CLOSING + batch_id.len() + digits);
    payload_bytes.saturating_add(closing).saturating_add(1)
}

/// Returns the SHA-256 of a content, or of an object.
#[must_use]
pub fn sha256(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

/// Returns the compressed content: one member of gzip, or one frame of zstd. A level of `None` is
/// the default one.
///
/// # Errors
/// [`Error::Broken`] if the compressor does not know the level, or memory is exhausted.
pub fn compress(content: &[u8], compression: Compression, level: Option<u8>) -> Result<Vec<u8>> {
    let level = level.or(compression.default_level()).unwrap_or_default();
    let mut compressed = match compression {
        Compression::None => return Ok(content.to_vec()),
        Compression::Gzip => gzip(content, level)?,
        Compression::Zstd => zstd(content, level)?,
    };
    compressed.shrink_to_fit();
    Ok(compressed)
}

fn broken(why: impl std::fmt::Display) -> Error {
    Error::Broken(format!("a batch cannot be compressed: {why}"))
}

fn gzip(content: &[u8], level: u8) -> Result<Vec<u8>> {
    static IDLE: Compressors<libdeflater::Compressor> = Compressors::new();
    let new = || {
        let level = CompressionLvl::new(level.into()).map_err(|_| broken(format!("there is no level {level}")))?;
        Ok(libdeflater::Compressor::new(level))
    };
    IDLE.with(level, new, |compressor| {
        let most = compressor.gzip_compress_bound(content.len());
        let mut out = vec![0; (content.len() / EXPECTED_RATIO).min(most)];
        let length = match compressor.gzip_compress(content, &mut out) {
            Ok(length) => length,
            Err(CompressionError::InsufficientSpace) => {
                drop(out);
                out = vec![0; most];
                compressor.gzip_compress(content, &mut out).map_err(broken)?
            }
        };
        out.truncate(length);
        Ok(out)
    })
}

/// The lowest level of zstd that takes more than 10 MiB of memory, the highest takes 90. One batch
/// at a time is compressed with these levels, and their compressors are not kept.
const HEAVY_ZSTD_LEVEL: u8 = 9;
static HEAVY: Mutex<()> = Mutex::new(());

fn zstd(content: &[u8], level: u8) -> Result<Vec<u8>> {
    static IDLE: Compressors<zstd::bulk::Compressor<'static>> = Compressors::new();
    let new = || zstd::bulk::Compressor::new(level.into()).map_err(broken);
    if level >= HEAVY_ZSTD_LEVEL {
        let _only = HEAVY.lock().unwrap_or_else(PoisonError::into_inner);
        return new()?.compress(content).map_err(broken);
    }
    IDLE.with(level, new, |compressor| compressor.compress(content).map_err(broken))
}

/// Compressors that are not in use, each with its level: creating one takes as long as a small
/// batch, and its memory.
struct Compressors<C>(Mutex<Vec<(u8, C)>>);

impl<C> Compressors<C> {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn with<T>(&self, level: u8, new: impl FnOnce() -> Result<C>, work: impl FnOnce(&mut C) -> Result<T>) -> Result<T> {
        let kept = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let index = all.iter().position(|kept| kept.0 == level);
            index.map(|index| all.swap_remove(index).1)
        };
        let mut compressor = kept.map_or_else(new, Ok)?;
        let done = work(&mut compressor)?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == KEPT_COMPRESSORS {
            all.remove(0);
        }
        all.push((level, compressor));
        Ok(done)
    }
}

/// Bytes of the largest content that [`decompress`] returns.
const CONTENT_LIMIT: usize = 2 * MAX_BATCH_BYTES as usize;

/// Decompresses the body of an object, up to 128 MiB of content.
pub fn decompress(body: &[u8], compression: Compression) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    decompress_into(&mut content, body, compression, CONTENT_LIMIT)?;
    Ok(content)
}

/// Returns the SHA-256 of the content of an object, of which it reads up to `limit` bytes.
pub(super) fn content_sha256(body: &[u8], compression: Compression, limit: usize) -> std::io::Result<[u8; 32]> {
    let mut hasher = Hasher(Sha256::new());
    decompress_into(&mut hasher, body, compression, limit)?;
    Ok(hasher.0.finalize().into())
}

struct Hasher(Sha256);

impl std::io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn decompress_into(
    target: &mut impl std::io::Write,
    body: &[u8],
    compression: Compression,
    limit: usize,
) -> std::io::Result<()> {
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    match compression {
        Compression::None => std::io::copy(&mut body.take(limit), target)?,
        Compression::Gzip => std::io::copy(&mut flate2::read::MultiGzDecoder::new(body).take(limit), target)?,
        Compression::Zstd => std::io::copy(&mut zstd::stream::Decoder::new(body)?.take(limit), target)?,
    };
    Ok(())
}

pub(super) fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(format: Format) -> Encoded {
        let payloads: Vec<String> = (9..=11)
            .map(|n| format!(r#"{{"auditEventId":"{n}","auditEventMetadata":{{"#))
            .collect();
        let bytes = payloads.iter().map(String::len).sum();
        let mut encoder = Encoder::new(9, 11, bytes, format);
        payloads.iter().for_each(|payload| encoder.push(payload));
        encoder.finish()
    }

    fn compressed(compression: Compression) -> Vec<u8> {
        let text = encoded(Format::Ndjson).text;
        compress(text.as_bytes(), compression, None).unwrap()
    }

    #[test]
    fn the_same_batch_gives_the_same_bytes() {
        for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
            let once = compressed(compression);
            // A compressor that was used for something else in between.
            compress(&[7; 100_000], compression, None).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(1100));
            assert_eq!(once, compressed(compression), "{compression:?}");
        }
        let gzip = compress(b"x", Compression::Gzip, None).unwrap();
        assert_eq!(gzip[4..8], [0; 4], "no time in the header");
    }

    #[test]
    fn both_formats_contain_every_event_with_its_sequence_and_batch() {
        let lines = encoded(Format::Ndjson);
        assert_eq!(lines.text.lines().count(), 3);
        let text = encoded(Format::JsonArray).text;
        let array: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        for (index, line) in lines.text.lines().enumerate() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(event, array[index]);
            assert_eq!(event["auditEventMetadata"]["sequence"], index + 9);
            assert_eq!(event["auditEventMetadata"]["batchId"], "9-11");
        }
    }

    #[test]
    fn a_content_is_hashed_while_it_is_encoded() {
        let payload = r#"{"a":1,"auditEventMetadata":{"#.repeat(500);
        for format in [Format::Ndjson, Format::JsonArray] {
            let bytes = 20 * payload.len();
            let mut encoder = Encoder::new(1, 20, bytes, format);
            (0..20).for_each(|_| encoder.push(&payload));
            let encoded = encoder.finish();
            assert_eq!(encoded.sha256, sha256(encoded.text.as_bytes()));
            assert!(encoded.text.len() > 2 * HASHED_BYTES);
            assert!(encoded.text.capacity() < bytes + 20 * 50, "it never grew");
        }
    }

    #[test]
    fn compressed_content_can_be_decompressed() {
        let content = encoded(Format::Ndjson).text;
        let gzip = compressed(Compression::Gzip);
        let mut read = String::new();
        flate2::read::GzDecoder::new(gzip.as_slice())
            .read_to_string(&mut read)
            .unwrap();
        assert_eq!(read, content);
        // Stores and proxies may have gzip of several members.
        let twice = [gzip.clone(), gzip].concat();
        assert_eq!(
            decompress(&twice, Compression::Gzip).unwrap(),
            content.repeat(2).as_bytes()
        );
        let zstd = compressed(Compression::Zstd);
        assert_eq!(zstd::stream::decode_all(zstd.as_slice()).unwrap(), content.as_bytes());
        assert!(compress(b"x", Compression::Gzip, Some(99)).is_err());
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_room_for_them() {
        let incompressible = noise();
        for content in [encoded(Format::Ndjson).text.repeat(50).as_bytes(), &incompressible] {
            let level = CompressionLvl::new(6).unwrap();
            let mut compressor = libdeflater::Compressor::new(level);
            let mut out = vec![0; compressor.gzip_compress_bound(content.len())];
            let length = compressor.gzip_compress(content, &mut out).unwrap();
            assert_eq!(compress(content, Compression::Gzip, Some(6)).unwrap(), out[..length]);
        }
    }

    fn noise() -> Vec<u8> {
        let mut state = 1_u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(100_000).collect()
    }

    #[test]
    fn every_level_gives_the_same_content_and_the_default_is_one_of_them() {
        let content = encoded(Format::Ndjson).text.repeat(50);
        for compression in [Compression::Gzip, Compression::Zstd] {
            for level in compression.levels().unwrap() {
                let body = compress(content.as_bytes(), compression, Some(level)).unwrap();
                assert_eq!(decompress(&body, compression).unwrap(), content.as_bytes());
                if Some(level) == compression.default_level() {
                    assert_eq!(body, compress(content.as_bytes(), compression, None).unwrap());
                }
            }
        }
    }

    #[test]
    fn of_a_foreign_object_no_more_is_read_than_ours_could_have() {
        let zeros = vec![0; 1 << 20];
        for compression in Compression::ALL {
            let body = compress(&zeros, compression, None).unwrap();
            let found = |limit| content_sha256(&body, compression, limit).unwrap();
            assert_eq!(found(1 << 21), sha256(&zeros));
            assert_eq!(found(1000), sha256(&zeros[..1000]));
        }
    }
}
