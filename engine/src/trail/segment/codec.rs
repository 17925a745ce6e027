//! The bytes of a segment: its payloads in one compressed frame, and the times of its events.

use auditstream_model::EpochMillis;

use super::{SEGMENT_BYTES, SEGMENT_EVENTS};
use crate::error::{Error, Result};

/// The level of zstd. Higher ones take longer and save little; see docs/decisions/0010-segments.md.
const LEVEL: i32 = 1;
/// The most bytes of an encoded length.
const LENGTH_BYTES: usize = 5;

/// Consecutive events as they are stored, without their place in the trail.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(super) events: usize,
    /// The bytes of the payloads.
    pub(super) bytes: usize,
    pub(super) times: Vec<u8>,
    pub(super) content: Vec<u8>,
}

impl Encoded {
    pub(super) fn decode(&self, zstd: &mut zstd::bulk::Decompressor<'_>) -> Option<Decoded> {
        let size = (self.events, self.bytes);
        decode(zstd, &self.content, &self.times, size, Decoded::default())
    }
}

/// The decoded content of a segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decoded {
    /// The payloads, one after another.
    pub(super) text: String,
    /// The end of each payload in the text.
    pub(super) ends: Vec<usize>,
    pub(super) times: Vec<EpochMillis>,
}

/// Cuts events into segments and encodes each.
///
/// # Errors
/// [`Error::Broken`] if the compressor fails, which happens only if memory is exhausted.
pub(crate) fn encode<'p>(events: impl IntoIterator<Item = (EpochMillis, &'p str)>) -> Result<Vec<Encoded>> {
    let mut encoder = Encoder::new()?;
    let mut encoded = Vec::new();
    for (time, payload) in events {
        if !encoder.has_room(payload) {
            encoded.push(encoder.finish()?);
        }
        encoder.push(time, payload);
    }
    if !encoder.is_empty() {
        encoded.push(encoder.finish()?);
    }
    Ok(encoded)
}

/// Encodes segments, one after another.
pub(super) struct Encoder {
    zstd: zstd::bulk::Compressor<'static>,
    text: Vec<u8>,
    lengths: Vec<u8>,
    times: Vec<u8>,
    last_time: EpochMillis,
    events: usize,
}

impl Encoder {
    pub(super) fn new() -> Result<Self> {
        let mut zstd = zstd::bulk::Compressor::new(LEVEL).map_err(|error| failed(&error))?;
        zstd.include_checksum(true).map_err(|error| failed(&error))?;
        Ok(Self {
            zstd,
            text: Vec::new(),
            lengths: Vec::new(),
            times: Vec::new(),
            last_time: 0,
            events: 0,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Whether the segment may have this event as well. The first event always has room.
    pub(super) fn has_room(&self, payload: &str) -> bool {
        self.is_empty() || self.events < SEGMENT_EVENTS && self.text.len() + payload.len() <= SEGMENT_BYTES
    }

    pub(super) fn push(&mut self, time: EpochMillis, payload: &str) {
        self.text.extend_from_slice(payload.as_bytes());
        push_varint(&mut self.lengths, payload.len() as u64);
        push_varint(&mut self.times, zigzag(time.wrapping_sub(self.last_time)));
        self.last_time = time;
        self.events += 1;
    }

    pub(super) fn finish(&mut self) -> Result<Encoded> {
        let bytes = self.text.len();
        self.text.append(&mut self.lengths);
        let mut content = self.zstd.compress(&self.text).map_err(|error| failed(&error))?;
        content.shrink_to_fit();
        let encoded = Encoded {
            events: self.events,
            bytes,
            times: std::mem::take(&mut self.times),
            content,
        };
        self.text.clear();
        self.last_time = 0;
        self.events = 0;
        Ok(encoded)
    }
}

fn failed(error: &std::io::Error) -> Error {
    Error::Broken(format!("events cannot be compressed: {error}"))
}

/// Decodes a segment of `events` events with `bytes` of payloads, in the memory of one that is no
/// longer needed. `None` if it is damaged.
pub(super) fn decode(
    zstd: &mut zstd::bulk::Decompressor<'_>,
    content: &[u8],
    times: &[u8],
    (events, bytes): (usize, usize),
    reused: Decoded,
) -> Option<Decoded> {
    let most = bytes.checked_add(events.checked_mul(LENGTH_BYTES)?)?;
    let (mut text, mut ends) = (reused.text.into_bytes(), reused.ends);
    text.clear();
    text.reserve(most);
    zstd.decompress_to_buffer(content, &mut text).ok()?;
    let mut lengths = text.get(bytes..)?;
    ends.clear();
    ends.reserve(events);
    let mut end = 0_usize;
    for _ in 0..events {
        end = end.checked_add(usize::try_from(take_varint(&mut lengths)?).ok()?)?;
        ends.push(end);
    }
    let times = decode_times(times, events)?;
    if end != bytes || !lengths.is_empty() {
        return None;
    }
    text.truncate(bytes);
    let text = String::from_utf8(text).ok()?;
    let are_boundaries = ends.iter().all(|end| text.is_char_boundary(*end));
    are_boundaries.then_some(Decoded { text, ends, times })
}

/// Decodes the times of a segment. `None` if there are not as many as events.
pub(crate) fn decode_times(mut encoded: &[u8], events: usize) -> Option<Vec<EpochMillis>> {
    let mut times = Vec::with_capacity(events.min(encoded.len()));
    let mut last: EpochMillis = 0;
    for _ in 0..events {
        last = last.wrapping_add(unzigzag(take_varint(&mut encoded)?));
        times.push(last);
    }
    encoded.is_empty().then_some(times)
}

/// Maps integers to natural numbers so that small ones of either sign stay small.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// Appends a number, seven bits a byte, the lowest first; the highest bit is set if more follow.
fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

fn take_varint(encoded: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = encoded.split_first()?;
        *encoded = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(encoded: &Encoded) -> Option<Decoded> {
        let mut zstd = zstd::bulk::Decompressor::new().unwrap();
        encoded.decode(&mut zstd)
    }

    proptest! {
        #[test]
        fn what_is_decoded_was_encoded(events in proptest::collection::vec((any::<i64>(), "\\PC{0,40}"), 0..1_200)) {
            let encoded = encode(events.iter().map(|(time, payload)| (*time, payload.as_str()))).unwrap();
            let mut read = Vec::new();
            for segment in &encoded {
                let decoded = decoded(segment).unwrap();
                let mut start = 0;
                for (time, end) in decoded.times.iter().zip(decoded.ends) {
                    read.push((*time, decoded.text[start..end].to_owned()));
                    start = end;
                }
            }
            prop_assert_eq!(read, events);
        }

        #[test]
        fn damage_is_noticed(at in any::<proptest::sample::Index>(), bit in 0..8_u32) {
            let payloads: Vec<String> = (0..20).map(|n| format!("{{\"auditEventId\":\"{n} é\",")).collect();
            let events = payloads.iter().map(|payload| (1_700_000_000_000, payload.as_str()));
            let mut encoded = encode(events).unwrap().remove(0);
            let was = decoded(&encoded);
            let at = at.index(encoded.content.len());
            encoded.content[at] ^= 1 << bit;
            // A change of an unused bit of the header does not change the content.
            let is = decoded(&encoded);
            prop_assert!(is.is_none() || is == was);
        }
    }

    #[test]
    fn segments_end_at_their_limits_and_a_large_event_is_alone() {
        let large = "x".repeat(SEGMENT_BYTES + 1);
        let small = "y".repeat(SEGMENT_BYTES / SEGMENT_EVENTS);
        let mut events = vec![(1, small.as_str()); SEGMENT_EVENTS + 1];
        events.extend([(2, large.as_str()), (3, small.as_str())]);
        let lengths: Vec<_> = encode(events).unwrap().iter().map(|segment| segment.events).collect();
        assert_eq!(lengths, [SEGMENT_EVENTS, 1, 1, 1]);
    }

    #[test]
    fn a_segment_is_decoded_in_the_memory_of_a_larger_one() {
        let large = encode([(1, "x".repeat(1_000).as_str()), (2, "y")]).unwrap().remove(0);
        let small = encode([(3, "z")]).unwrap().remove(0);
        let mut zstd = zstd::bulk::Decompressor::new().unwrap();
        let reused = large.decode(&mut zstd).unwrap();
        let memory = reused.text.as_ptr();
        let size = (small.events, small.bytes);
        let again = super::decode(&mut zstd, &small.content, &small.times, size, reused).unwrap();
        assert_eq!(Some(&again), decoded(&small).as_ref());
        assert_eq!(again.text.as_ptr(), memory);
    }

    #[test]
    fn a_segment_that_claims_another_size_is_damaged() {
        let encoded = encode([(1, "one"), (2, "two")]).unwrap().remove(0);
        for (events, bytes) in [(1, 6), (3, 6), (2, 5), (2, 7)] {
            let wrong = Encoded {
                events,
                bytes,
                ..encoded.clone()
            };
            assert_eq!(decoded(&wrong), None, "{events} events, {bytes} bytes");
        }
    }
}
