//! Splits the body of a request into events.

use std::fmt;

use auditstream_model::Code;
use auditstream_model::limits::REQUEST_EVENTS;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{Error, Result};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// How the events of a body are delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// One event, or an array of them.
    Json,
    /// One event per line.
    Ndjson,
}

/// The text of a body, without a byte order mark.
pub(super) fn decode(body: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let position = error.valid_up_to();
        refuse(format!(
            "The body is not UTF-8 at byte {position}.{}",
            likely_encoding(body)
        ))
    })?;
    if text.bytes().take(4).any(|byte| byte == 0) {
        return Err(refuse(format!("The body is not JSON.{}", likely_encoding(body))));
    }
    Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))
}

/// A hint at an encoding that is recognised by its first bytes; empty otherwise.
fn likely_encoding(body: &[u8]) -> &'static str {
    match body {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => " It seems to be UTF-16: send UTF-8.",
        [0x1f, 0x8b, ..] => " It seems to be gzip: send the header Content-Encoding: gzip.",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => " It seems to be zstd: send the header Content-Encoding: zstd.",
        _ => "",
    }
}

/// The events of a body. Values that follow one another are accepted in either format, since each
/// of them says where it ends; of arrays the elements are events.
pub(super) fn split(format: BodyFormat, text: &str) -> Result<Vec<&RawValue>> {
    let text_start = text.trim_ascii_start();
    match format {
        BodyFormat::Json if text_start.is_empty() => Err(refuse(
            "The body is empty: send one event, an array of events, or NDJSON.".to_owned(),
        )),
        BodyFormat::Json => values(text),
        BodyFormat::Ndjson if text_start.starts_with('[') => values(text),
        BodyFormat::Ndjson => match lines(text) {
            // An event may also be written on several lines.
            Err(Error::Refused(problem)) if problem.code == Code::MalformedBody => {
                values(text).map_err(|_| Error::Refused(problem))
            }
            lines => lines,
        },
    }
}

fn lines(text: &str) -> Result<Vec<&RawValue>> {
    let mut events = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        // Files that were concatenated have one each.
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        let event = serde_json::from_str(line).map_err(|error| {
            let number = number + 1;
            refuse(format!("The body is not JSON in line {number}: {error}."))
        })?;
        push(&mut events, event)?;
    }
    Ok(events)
}

fn values(text: &str) -> Result<Vec<&RawValue>> {
    if text.trim_ascii_start().starts_with('[')
        && let Some(events) = one_array(text)?
    {
        return Ok(events);
    }
    let mut events = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let value = value.map_err(|error| {
            let hint = if events.is_empty() {
                ""
            } else {
                " To send several events, send an array, or one event per line."
            };
            refuse(format!("The body is not JSON: {error}.{hint}"))
        })?;
        if value.get().starts_with('[') {
            for event in one_array(value.get())?.unwrap_or_default() {
                push(&mut events, event)?;
            }
        } else {
            push(&mut events, value)?;
        }
    }
    Ok(events)
}

/// The elements of an array; `None` if more follows after it.
fn one_array(text: &str) -> Result<Option<Vec<&RawValue>>> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut elements = Elements::default();
    match elements.deserialize(&mut reader) {
        Ok(()) => Ok(reader.end().is_ok().then_some(elements.events)),
        Err(_) if elements.too_many => Err(too_many()),
        Err(error) => Err(refuse(format!("The body is not JSON: {error}."))),
    }
}

fn push<'a>(events: &mut Vec<&'a RawValue>, event: &'a RawValue) -> Result<()> {
    if events.len() == REQUEST_EVENTS {
        return Err(too_many());
    }
    events.push(event);
    Ok(())
}

fn too_many() -> Error {
    Error::refused(
        Code::TooLarge,
        format!("A request has at most {REQUEST_EVENTS} events; this one has more. Send smaller requests."),
    )
}

fn refuse(detail: String) -> Error {
    Error::refused(Code::MalformedBody, detail)
}

/// The elements of an array, which is read no further than to the first one too many.
#[derive(Default)]
struct Elements<'a> {
    events: Vec<&'a RawValue>,
    too_many: bool,
}

impl<'de> DeserializeSeed<'de> for &mut Elements<'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Elements<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while let Some(event) = sequence.next_element()? {
            if self.events.len() == REQUEST_EVENTS {
                self.too_many = true;
                return Err(A::Error::custom("too many events"));
            }
            self.events.push(event);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(format: BodyFormat, body: &[u8]) -> Result<Vec<String>, String> {
        let events = decode(body).and_then(|text| split(format, text));
        let events = events.map_err(|error| error.to_string())?;
        Ok(events.into_iter().map(|event| event.get().to_owned()).collect())
    }

    #[test]
    fn events_are_found_however_they_are_delimited() {
        use BodyFormat::{Json, Ndjson};
        for (format, body, count) in [
            (Json, "[1,2]", 2),
            (Json, "\u{feff}[1,2]", 2),
            (Json, "[]", 0),
            (Json, "{}\n{}\n", 2),
            (Json, "{}{}", 2),
            (Json, "[1,2] [3]\n{}", 4),
            (Json, "{\n}\n{\n}", 2),
            (Json, "[[]]", 1),
            (Ndjson, "{}\r\n\n{}", 2),
            (Ndjson, "\u{feff}{}\n\u{feff}{}", 2),
            (Ndjson, "[1,\n2]", 2),
            (Ndjson, "{\n}\n{\n}", 2),
            (Ndjson, "", 0),
        ] {
            assert_eq!(
                events(format, body.as_bytes()).map(|events| events.len()),
                Ok(count),
                "{body}"
            );
        }
    }

    #[test]
    fn a_body_that_is_not_json_is_refused_with_the_likely_cause() {
        for (body, says) in [
            (&b"{},{}"[..], "send an array"),
            (b"{\0}\0", "UTF-16"),
            (b"\xff\xfe{\0}\0", "UTF-16"),
            (b"\x1f\x8b\x08\0", "Content-Encoding: gzip"),
            (b"\x28\xb5\x2f\xfd", "Content-Encoding: zstd"),
            (b"[1", "EOF"),
            (b"{} ]", "send an array"),
        ] {
            let refused = events(BodyFormat::Json, body).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn reading_stops_at_the_first_event_too_many() {
        // The rest is not even JSON.
        let array = format!("[{}oops", "1,".repeat(REQUEST_EVENTS + 1));
        let rest = "1\n".repeat(REQUEST_EVENTS + 1) + "oops";
        for (format, body) in [
            (BodyFormat::Json, &array),
            (BodyFormat::Json, &rest),
            (BodyFormat::Ndjson, &rest),
        ] {
            let refused = events(format, body.as_bytes()).unwrap_err();
            assert!(refused.contains("at most 10000"), "{refused}");
        }
    }
}
