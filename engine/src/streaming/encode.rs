//! A batch's content and its compressed form. Both follow from the batch alone: no clock, no map
//! order, no time in the gzip header. So every attempt, by any server, sends the same bytes under
//! the same key.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};

use auditstream_model::limits::BATCH_BYTES;
use auditstream_model::{Compression, Format, Sequence};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::trail::close;

/// Returns the uncompressed content: each event with its sequence and `batchId` (`first-last`).
#[must_use]
pub fn content(events: &[(Sequence, String)], format: Format) -> String {
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return String::new();
    };
    let batch_id = format!("{}-{}", first.0, last.0);
    let mut out = String::with_capacity(events.iter().map(|event| event.1.len() + 80).sum());
    for (index, (sequence, payload)) in events.iter().enumerate() {
        if format == Format::JsonArray {
            out.push(if index == 0 { '[' } else { ',' });
        }
        close(&mut out, payload, *sequence, Some(&batch_id));
        if format == Format::Ndjson {
            out.push('\n');
        }
    }
    if format == Format::JsonArray {
        out.push(']');
    }
    out
}

/// Returns the SHA-256 of a content.
#[must_use]
pub fn sha256(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

/// Returns the compressed content.
///
/// # Errors
/// [`Error::Broken`] if the compressor fails, which happens only if memory is exhausted.
pub fn compress(content: &[u8], compression: Compression) -> Result<Vec<u8>> {
    let broken = |error: std::io::Error| Error::Broken(format!("a batch cannot be compressed: {error}"));
    match compression {
        Compression::None => Ok(content.to_vec()),
        Compression::Zstd => zstd::bulk::compress(content, 3).map_err(broken),
        Compression::Gzip => {
            let mut gzip =
                flate2::GzBuilder::new().write(Vec::with_capacity(content.len() / 6), flate2::Compression::new(6));
            gzip.write_all(content).map_err(broken)?;
            gzip.finish().map_err(broken)
        }
    }
}

pub(crate) const CONTENT_LIMIT: u64 = 2 * BATCH_BYTES as u64;

/// Decompresses the body of an object, up to 32 MiB of content.
pub fn decompress(body: &[u8], compression: Compression) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    match compression {
        Compression::None => content.extend_from_slice(body),
        Compression::Gzip => {
            let gzip = flate2::read::MultiGzDecoder::new(body);
            gzip.take(CONTENT_LIMIT).read_to_end(&mut content)?;
        }
        Compression::Zstd => {
            let zstd = zstd::stream::Decoder::new(body)?;
            zstd.take(CONTENT_LIMIT).read_to_end(&mut content)?;
        }
    }
    Ok(content)
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

    fn events() -> Vec<(Sequence, String)> {
        (1..=3)
            .map(|n| (n, format!(r#"{{"auditEventId":"{n}","auditEventMetadata":{{"#)))
            .collect()
    }

    #[test]
    fn the_same_batch_gives_the_same_bytes() {
        for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
            let once = compress(content(&events(), Format::Ndjson).as_bytes(), compression).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(1100));
            let again = compress(content(&events(), Format::Ndjson).as_bytes(), compression).unwrap();
            assert_eq!(once, again, "{compression:?}");
        }
        let gzip = compress(b"x", Compression::Gzip).unwrap();
        assert_eq!(gzip[4..8], [0; 4], "no time in the header");
    }

    #[test]
    fn both_formats_contain_every_event_with_its_sequence_and_batch() {
        let lines = content(&events(), Format::Ndjson);
        assert_eq!(lines.lines().count(), 3);
        let array: Vec<serde_json::Value> = serde_json::from_str(&content(&events(), Format::JsonArray)).unwrap();
        for (index, line) in lines.lines().enumerate() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(event, array[index]);
            assert_eq!(event["auditEventMetadata"]["sequence"], index + 1);
            assert_eq!(event["auditEventMetadata"]["batchId"], "1-3");
        }
    }

    #[test]
    fn compressed_content_can_be_decompressed() {
        let content = content(&events(), Format::Ndjson);
        let mut read = String::new();
        let gzip = compress(content.as_bytes(), Compression::Gzip).unwrap();
        flate2::read::GzDecoder::new(gzip.as_slice())
            .read_to_string(&mut read)
            .unwrap();
        assert_eq!(read, content);
        let zstd = compress(content.as_bytes(), Compression::Zstd).unwrap();
        assert_eq!(zstd::stream::decode_all(zstd.as_slice()).unwrap(), content.as_bytes());
    }
}
