//! Whether an object is the stated one, down to its events.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use auditstream_model::Format;
use sha2::{Digest, Sha256};

use super::super::leaf::leaf_of;
use super::super::statement::Segment;
use super::super::tree::{CompactRange, Hash, leaf_hash};
use super::diagnosis::{Line, diagnose};
use super::events::Splitter;
use super::report::{Finding, Kind, Totals};
use super::source::Source;

const BUFFER: usize = 64 << 10;
/// Lines of an object that are examined when something is wrong in it.
const EXAMINED_LINES: usize = 1_000_000;

/// The hashes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hashes {
    /// As stored.
    pub(super) stored: Hash,
    pub(super) stored_bytes: u64,
    /// Decompressed; `None` if it cannot be.
    pub(super) content: Option<Hash>,
    pub(super) content_bytes: u64,
}

/// Reads an object and calls `each` with pieces of its content. The compression is recognised by
/// the first bytes.
pub(super) fn read_content(
    object: Box<dyn Read + '_>,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(Hashes, io::Result<()>)> {
    let stored = Rc::new(RefCell::new((Sha256::new(), 0_u64)));
    let tee = Tee {
        object,
        stored: Rc::clone(&stored),
        failure: Rc::default(),
    };
    let failure = Rc::clone(&tee.failure);
    let mut reader = BufReader::with_capacity(BUFFER, tee);
    let magic: [u8; 4] = {
        let begin = reader.fill_buf()?;
        std::array::from_fn(|place| begin.get(place).copied().unwrap_or(0))
    };
    let (mut content, mut content_bytes) = (Sha256::new(), 0);
    let mut take = |bytes: &[u8]| {
        content.update(bytes);
        content_bytes += bytes.len() as u64;
        each(bytes)
    };
    let decoded = match magic {
        [0x1f, 0x8b, ..] => copy(flate2::bufread::MultiGzDecoder::new(&mut reader), &mut take),
        [0x28, 0xb5, 0x2f, 0xfd] => {
            zstd::stream::Decoder::with_buffer(&mut reader).and_then(|reader| copy(reader, &mut take))
        }
        _ => copy(&mut reader, &mut take),
    };
    // The rest of an object that could not be decompressed.
    io::copy(&mut reader, &mut io::sink())?;
    if let Some(failure) = failure.borrow_mut().take() {
        return Err(failure);
    }
    let (hasher, stored_bytes) = stored.borrow().clone();
    let hashes = Hashes {
        stored: hasher.finalize().into(),
        stored_bytes,
        content: decoded.is_ok().then(|| content.finalize().into()),
        content_bytes,
    };
    Ok((hashes, decoded))
}

fn copy(mut from: impl Read, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => take(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Hashes the bytes that are read, and keeps a failure to read apart from one to decompress.
struct Tee<'o> {
    object: Box<dyn Read + 'o>,
    stored: Rc<RefCell<(Sha256, u64)>>,
    failure: Rc<RefCell<Option<io::Error>>>,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.object.read(buffer) {
            Ok(length) => {
                let mut stored = self.stored.borrow_mut();
                stored.0.update(&buffer[..length]);
                stored.1 += length as u64;
                Ok(length)
            }
            Err(error) => {
                let kind = error.kind();
                *self.failure.borrow_mut() = Some(error);
                Err(kind.into())
            }
        }
    }
}

/// The events of an object, as they are compared with the statement.
struct Events<'s> {
    segment: &'s Segment,
    batch_id: String,
    count: i64,
    tree: CompactRange,
    /// Whether every event so far ends with the right numbers.
    are_numbered: bool,
}

impl Events<'_> {
    fn add(&mut self, event: &[u8]) {
        let sequence = self.segment.first.saturating_add(self.count);
        self.count += 1;
        match leaf_of(event, sequence, &self.batch_id) {
            Some(leaf) if self.are_numbered => self.tree.push(leaf_hash(leaf)),
            _ => self.are_numbered = false,
        }
    }

    fn are_right(&self) -> bool {
        let segment = self.segment;
        self.are_numbered && self.count == segment.count && self.tree.root() == segment.root
    }
}

/// The result of checking an object.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    pub(super) totals: Totals,
    /// Whether the copy has the object, at this key or compressed otherwise at another.
    pub(super) is_there: bool,
    /// The key at which it is, if that is another one.
    pub(super) other_key: Option<String>,
}

/// Compares an object with its statement. `key` is its key in the copy.
pub(super) fn check(source: &dyn Source, key: &str, segment: &Segment) -> io::Result<Checked> {
    let mut checked = Checked::default();
    let opened = match source.open(key)? {
        Some(object) => Some((key.to_owned(), object)),
        None => open_other(source, key)?,
    };
    let Some((found_at, object)) = opened else {
        return Ok(checked);
    };
    let mut events = Events {
        segment,
        batch_id: format!("{}-{}", segment.first, segment.last),
        count: 0,
        tree: CompactRange::new(),
        are_numbered: true,
    };
    let mut splitter = Splitter::new(segment.format);
    let read = read_content(object, &mut |bytes| {
        splitter.push(bytes, &mut |event| events.add(event))
    })?;
    let (hashes, decoded) = read;
    let ended = decoded.and_then(|()| splitter.finish());
    checked.is_there = true;
    checked.totals = Totals {
        objects: 1,
        events: events.count.unsigned_abs(),
        bytes: hashes.stored_bytes,
        content_bytes: hashes.content_bytes,
    };
    if ended.is_ok() && events.are_right() && hashes.content == Some(segment.content_sha256) {
        checked
            .findings
            .extend(compare_stored(&found_at, key, segment, &hashes));
    } else {
        checked.findings = examine(source, &found_at, segment, ended.err())?;
    }
    checked.other_key = (found_at != key).then_some(found_at);
    Ok(checked)
}

/// An object that was decompressed, or compressed otherwise, may have another ending.
fn open_other<'s>(source: &'s dyn Source, key: &str) -> io::Result<Option<(String, Box<dyn Read + 's>)>> {
    let stem = key
        .strip_suffix(".gz")
        .or_else(|| key.strip_suffix(".zst"))
        .unwrap_or(key);
    for ending in ["", ".gz", ".zst"] {
        let other = format!("{stem}{ending}");
        if let Some(object) = source.open(&other)? {
            return Ok(Some((other, object)));
        }
    }
    Ok(None)
}

fn compare_stored(found_at: &str, key: &str, segment: &Segment, hashes: &Hashes) -> Option<Finding> {
    let Some(stated) = segment.sha256 else {
        let message = "the server could not read the object when it stated it; its content is the sent one";
        return Some(Finding::new(Kind::StatedUnread, message));
    };
    let is_same = stated == hashes.stored && segment.bytes.is_none_or(|bytes| bytes == hashes.stored_bytes);
    if is_same && found_at == key {
        return None;
    }
    let place = if found_at == key {
        String::new()
    } else {
        format!(" at {found_at}")
    };
    let message = format!("the content is the stated one, and is compressed otherwise{place}");
    Some(Finding::new(Kind::Recompressed, message))
}

/// Reads an object again that is not the stated one, and finds the differences.
fn examine(source: &dyn Source, key: &str, segment: &Segment, failure: Option<io::Error>) -> io::Result<Vec<Finding>> {
    let mut lines: Vec<Line> = Vec::new();
    if let Some(object) = source.open(key)? {
        let mut splitter = Splitter::new(segment.format);
        let mut add = |event: &[u8]| {
            if lines.len() < EXAMINED_LINES {
                lines.push(Line::of(event));
            }
        };
        // It fails as it did the first time.
        let _ = read_content(object, &mut |bytes| splitter.push(bytes, &mut add))?;
    }
    if let Some(failure) = failure {
        let unit = if segment.format == Format::JsonArray {
            "element"
        } else {
            "line"
        };
        let message = format!("the object cannot be read after its {unit} {}: {failure}", lines.len());
        return Ok(vec![Finding::new(Kind::ObjectAltered, message)]);
    }
    Ok(diagnose(&lines, segment.first, segment.last))
}
