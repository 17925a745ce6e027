//! The events of an object, one after the other.

use std::io;

use auditstream_model::Format;
use memchr::{memchr, memchr2};

/// Bytes of the longest event that is looked at: several times as many as the server accepts.
const EVENT_LIMIT: usize = 8 << 20;

/// Splits the content of an object into its events, as it arrives.
#[derive(Debug)]
pub(super) struct Splitter {
    /// The beginning of an event whose end has not arrived.
    begun: Vec<u8>,
    array: Option<Array>,
}

/// Where a JSON array was left.
#[derive(Debug, Default)]
struct Array {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    has_ended: bool,
}

impl Splitter {
    pub(super) fn new(format: Format) -> Self {
        Self {
            begun: Vec::new(),
            array: (format == Format::JsonArray).then(Array::default),
        }
    }

    /// Calls `each` with the events that end in `bytes`.
    pub(super) fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let rest = match &mut self.array {
            None => lines(bytes, &mut self.begun, each),
            Some(array) => array.elements(bytes, &mut self.begun, each)?,
        };
        self.begun.extend_from_slice(rest);
        if self.begun.len() > EVENT_LIMIT {
            return Err(invalid("a line is longer than any event"));
        }
        Ok(())
    }

    /// Ends the content.
    pub(super) fn finish(self) -> io::Result<()> {
        match self.array {
            None if self.begun.is_empty() => Ok(()),
            None => Err(invalid("the last line does not end")),
            Some(array) if array.has_ended => Ok(()),
            Some(_) => Err(invalid("the array does not end")),
        }
    }
}

/// Returns the bytes of the line that does not end.
fn lines<'b>(mut bytes: &'b [u8], begun: &mut Vec<u8>, each: &mut dyn FnMut(&[u8])) -> &'b [u8] {
    while let Some(end) = memchr(b'\n', bytes) {
        emit(&bytes[..end], begun, each);
        bytes = &bytes[end + 1..];
    }
    bytes
}

fn emit(end: &[u8], begun: &mut Vec<u8>, each: &mut dyn FnMut(&[u8])) {
    if begun.is_empty() {
        each(end);
    } else {
        begun.extend_from_slice(end);
        each(begun);
        begun.clear();
    }
}

impl Array {
    fn elements<'b>(
        &mut self,
        bytes: &'b [u8],
        begun: &mut Vec<u8>,
        each: &mut dyn FnMut(&[u8]),
    ) -> io::Result<&'b [u8]> {
        let (mut start, mut at) = (0, 0);
        while at < bytes.len() {
            if self.in_string {
                at = self.skip_string(bytes, at);
                continue;
            }
            let byte = bytes[at];
            match byte {
                _ if self.has_ended && !byte.is_ascii_whitespace() => {
                    return Err(invalid("there is text after the array"));
                }
                _ if self.depth == 0 && byte != b'[' && !byte.is_ascii_whitespace() => {
                    return Err(invalid("it is not an array"));
                }
                b'"' => self.in_string = true,
                b'[' | b'{' => {
                    self.depth += 1;
                    if self.depth == 1 {
                        start = at + 1;
                    }
                }
                b'}' | b']' if self.depth > 1 => self.depth -= 1,
                b',' | b']' if self.depth == 1 => {
                    let is_empty = begun.is_empty() && at == start;
                    if byte == b']' {
                        self.depth = 0;
                        self.has_ended = true;
                    }
                    if !(is_empty && byte == b']') {
                        emit(&bytes[start..at], begun, each);
                    }
                    start = at + 1;
                }
                _ => {}
            }
            at += 1;
        }
        Ok(if self.depth == 0 { &[] } else { &bytes[start..] })
    }

    /// Returns the place after the string, or the end of the bytes.
    fn skip_string(&mut self, bytes: &[u8], mut at: usize) -> usize {
        while at < bytes.len() {
            if std::mem::take(&mut self.is_escaped) {
                at += 1;
                continue;
            }
            let Some(found) = memchr2(b'"', b'\\', &bytes[at..]) else {
                return bytes.len();
            };
            at += found + 1;
            if bytes[at - 1] == b'"' {
                self.in_string = false;
                return at;
            }
            self.is_escaped = true;
        }
        at
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The ending of an event: its sequence, and the id of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending<'e> {
    pub(super) sequence: i64,
    pub(super) batch_id: &'e str,
}

/// Returns the ending of an event; `None` if it has none. It is taken from the end, and never
/// searched for.
pub(super) fn ending(event: &[u8]) -> Option<Ending<'_>> {
    let event = event.strip_suffix(b"\"}}")?;
    let (event, batch_id) = split_back(event, |byte| byte.is_ascii_digit() || byte == b'-');
    let event = event.strip_suffix(b",\"batchId\":\"")?;
    let (event, sequence) = split_back(event, |byte| byte.is_ascii_digit());
    event.strip_suffix(b"\"sequence\":")?;
    Some(Ending {
        sequence: std::str::from_utf8(sequence).ok()?.parse().ok()?,
        batch_id: std::str::from_utf8(batch_id).ok()?,
    })
}

fn split_back(bytes: &[u8], is_part: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let rest = bytes
        .iter()
        .rposition(|byte| !is_part(*byte))
        .map_or(0, |last| last + 1);
    bytes.split_at(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(format: Format, content: &str, step: usize) -> io::Result<Vec<String>> {
        let (mut splitter, mut events) = (Splitter::new(format), Vec::new());
        for bytes in content.as_bytes().chunks(step) {
            splitter.push(bytes, &mut |event| {
                events.push(String::from_utf8_lossy(event).into_owned())
            })?;
        }
        splitter.finish()?;
        Ok(events)
    }

    #[test]
    fn events_are_split_wherever_their_bytes_are_cut() {
        let array = r#"[{"a":[1,"],{\"\\"]},{"b":"\\\"[,"},{}]"#;
        for step in 1..array.len() {
            let events = split(Format::JsonArray, array, step).unwrap();
            assert_eq!(events, [r#"{"a":[1,"],{\"\\"]}"#, r#"{"b":"\\\"[,"}"#, "{}"]);
            let lines = split(Format::Ndjson, "{\"a\":1}\n\n{}\n", step).unwrap();
            assert_eq!(lines, [r#"{"a":1}"#, "", "{}"]);
        }
        assert!(split(Format::JsonArray, "[]", 1).unwrap().is_empty());
        for broken in ["", "{}", "[{}", "[{}]{}"] {
            assert!(split(Format::JsonArray, broken, 1).is_err(), "{broken}");
        }
        assert!(split(Format::Ndjson, "{}", 1).is_err());
    }

    #[test]
    fn an_ending_is_read_from_the_end() {
        let found = ending(br#"{"x":"\"sequence\":1","auditEventMetadata":{"sequence":12,"batchId":"9-14"}}"#).unwrap();
        assert_eq!((found.sequence, found.batch_id), (12, "9-14"));
        for none in [
            "",
            "{}",
            r#"{"sequence":12,"batchId":"9-14"}"#,
            r#"{"a":{"sequence":x,"batchId":"9-14"}}"#,
        ] {
            assert_eq!(ending(none.as_bytes()), None, "{none}");
        }
    }
}
