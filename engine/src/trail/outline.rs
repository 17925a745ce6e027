//! Removes white space from an event, and notes where its members are.

use std::borrow::Cow;
use std::ops::Range;

use auditstream_model::limits::EVENT_DEPTH;
use memchr::{memchr, memchr2};

/// The payload schema names members of objects that are nested up to here:
/// `auditEventAuthor.principal.type`.
const LEVELS: usize = 3;

/// JSON without white space, and the places of the members down to the third level.
#[derive(Debug)]
pub(super) struct Outline<'a> {
    text: Cow<'a, str>,
    /// In the order of the text: the members of an object follow the member whose value it is.
    members: Vec<Span>,
}

/// The place of a member.
#[derive(Debug)]
struct Span {
    level: usize,
    /// Without the quotation marks.
    key: Range<usize>,
    /// Whether the key is written with an escape.
    is_escaped: bool,
    value: Range<usize>,
    /// The number of members within the value.
    within: usize,
}

/// An object in an outline. The default is empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Object<'o> {
    text: &'o str,
    /// The members that can be in the object.
    spans: &'o [Span],
    level: usize,
}

/// A member of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'o> {
    text: &'o str,
    span: &'o Span,
    /// The members that follow.
    spans: &'o [Span],
}

impl<'a> Outline<'a> {
    /// Reads valid JSON. Refuses JSON on which readers disagree: U+0000, half a surrogate pair,
    /// nesting that is too deep.
    pub(super) fn of(json: &'a str) -> Result<Self, String> {
        let mut scan = Scan::new(json);
        let mut at = 0;
        while let Some(byte) = json.as_bytes().get(at) {
            at = match byte {
                b'"' => scan.string(at)?,
                b' ' | b'\t' | b'\n' | b'\r' => scan.white_space(at),
                b'{' | b'[' => scan.open(at, *byte == b'{')?,
                b'}' | b']' => scan.close(at),
                b':' => scan.colon(at),
                b',' => scan.comma(at),
                _ => at + 1,
            };
        }
        Ok(scan.finish())
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The value as an object; `None` if it is another kind of value.
    pub(super) fn object(&self) -> Option<Object<'_>> {
        self.text.starts_with('{').then_some(Object {
            text: &self.text,
            spans: &self.members,
            level: 1,
        })
    }
}

impl<'o> Object<'o> {
    pub(super) fn members(self) -> impl Iterator<Item = Member<'o>> {
        let Self { text, mut spans, level } = self;
        std::iter::from_fn(move || {
            let (span, after) = spans.split_first()?;
            spans = after.get(span.within..).unwrap_or_default();
            (span.level == level).then_some(Member {
                text,
                span,
                spans: after,
            })
        })
    }

    /// The length of the whole text, in bytes.
    pub(super) fn bytes(self) -> usize {
        self.text.len()
    }

    /// The first member with a key.
    pub(super) fn find(self, key: &str) -> Option<Member<'o>> {
        self.members().find(|member| member.has_key(key))
    }

    pub(super) fn has_at_most_once(self, key: &str) -> bool {
        self.members().filter(|member| member.has_key(key)).nth(1).is_none()
    }
}

impl<'o> Member<'o> {
    /// The key as it was written, without the quotation marks.
    fn written_key(&self) -> &'o str {
        self.text.get(self.span.key.clone()).unwrap_or_default()
    }

    pub(super) fn key(&self) -> Cow<'o, str> {
        let key = self.written_key();
        if !self.span.is_escaped {
            return Cow::Borrowed(key);
        }
        Cow::Owned(serde_json::from_str(&format!("\"{key}\"")).unwrap_or_default())
    }

    pub(super) fn has_key(&self, key: &str) -> bool {
        if self.span.is_escaped {
            self.key() == key
        } else {
            self.written_key() == key
        }
    }

    /// The value as it was written, without white space.
    pub(super) fn value(&self) -> &'o str {
        self.text.get(self.span.value.clone()).unwrap_or_default()
    }

    /// The value as an object; `None` if it is another kind of value or on a level that is not
    /// noted.
    pub(super) fn object(&self) -> Option<Object<'o>> {
        (self.span.level < LEVELS && self.value().starts_with('{')).then_some(Object {
            text: self.text,
            spans: self.spans,
            level: self.span.level + 1,
        })
    }

    /// The value as text; `None` if it is not a string.
    pub(super) fn string(&self) -> Option<Cow<'o, str>> {
        let value = self.value();
        let text = value.strip_prefix('"')?.strip_suffix('"')?;
        if text.contains('\\') {
            return serde_json::from_str(value).ok().map(Cow::Owned);
        }
        Some(Cow::Borrowed(text))
    }

    /// Appends the member and a comma. A key has the fewest escapes, a value has those of the
    /// input.
    pub(super) fn push_to(&self, out: &mut String) {
        self.push_with(out, self.value());
    }

    /// Appends the member with another value, and a comma.
    pub(super) fn push_with(&self, out: &mut String, value: &str) {
        let key = self.written_key();
        if self.span.is_escaped {
            out.push_str(&serde_json::Value::from(self.key()).to_string());
        } else {
            out.push('"');
            out.push_str(key);
            out.push('"');
        }
        out.push(':');
        out.push_str(value);
        out.push(',');
    }
}

struct Scan<'a> {
    json: &'a str,
    /// The copied part of the text; empty until there is white space.
    out: String,
    /// The beginning of the part that is not copied yet.
    run: usize,
    depth: usize,
    /// Which of the open brackets are those of objects: the lowest bit is the innermost one's.
    objects: u64,
    /// The number of open brackets of arrays.
    arrays: usize,
    /// Whether the next string is a key.
    expects_key: bool,
    members: Vec<Span>,
    /// On each level the member whose value is being read.
    open: [Option<usize>; LEVELS + 1],
}

impl<'a> Scan<'a> {
    fn new(json: &'a str) -> Self {
        Self {
            json,
            out: String::new(),
            run: 0,
            depth: 0,
            objects: 0,
            arrays: 0,
            expects_key: false,
            members: Vec::with_capacity(48),
            open: [None; LEVELS + 1],
        }
    }

    /// Where a byte is without white space.
    fn place(&self, at: usize) -> usize {
        self.out.len() + at - self.run
    }

    fn copy_until(&mut self, at: usize) {
        if self.out.capacity() == 0 {
            self.out.reserve_exact(self.json.len());
        }
        self.out.push_str(self.json.get(self.run..at).unwrap_or_default());
    }

    fn white_space(&mut self, at: usize) -> usize {
        self.copy_until(at);
        self.run = at + 1;
        self.run
    }

    fn string(&mut self, at: usize) -> Result<usize, String> {
        let end = string_end(self.json, at)?;
        if self.expects_key {
            self.expects_key = false;
            if self.is_noted() {
                let key = self.place(at + 1)..self.place(end).saturating_sub(1);
                let written = self.json.as_bytes().get(at..end).unwrap_or_default();
                if let Some(open) = self.open.get_mut(self.depth) {
                    *open = Some(self.members.len());
                }
                self.members.push(Span {
                    level: self.depth,
                    key,
                    is_escaped: memchr(b'\\', written).is_some(),
                    value: 0..0,
                    within: 0,
                });
            }
        }
        Ok(end)
    }

    /// Whether the members of the innermost object are noted.
    fn is_noted(&self) -> bool {
        self.depth <= LEVELS && self.arrays == 0
    }

    fn open(&mut self, at: usize, is_object: bool) -> Result<usize, String> {
        self.depth += 1;
        if self.depth > EVENT_DEPTH {
            return Err(format!(
                "The event nests deeper than {EVENT_DEPTH} levels at byte {at}."
            ));
        }
        self.objects = self.objects << 1 | u64::from(is_object);
        self.arrays += usize::from(!is_object);
        self.expects_key = is_object;
        if is_object
            && self.is_noted()
            && let Some(open) = self.open.get_mut(self.depth)
        {
            *open = None;
        }
        Ok(at + 1)
    }

    fn close(&mut self, at: usize) -> usize {
        self.end_of_value(at);
        self.arrays = self.arrays.saturating_sub(usize::from(self.objects & 1 == 0));
        self.depth = self.depth.saturating_sub(1);
        self.objects >>= 1;
        self.expects_key = false;
        at + 1
    }

    fn colon(&mut self, at: usize) -> usize {
        let place = self.place(at + 1);
        if let Some((_, member)) = self.current() {
            member.value.start = place;
        }
        at + 1
    }

    fn comma(&mut self, at: usize) -> usize {
        self.end_of_value(at);
        self.expects_key = self.objects & 1 == 1;
        at + 1
    }

    fn end_of_value(&mut self, at: usize) {
        let (place, members) = (self.place(at), self.members.len());
        if let Some((index, member)) = self.current() {
            member.value.end = place;
            member.within = members - index - 1;
        }
    }

    /// The member whose value is being read, of an object whose members are noted, and its index.
    fn current(&mut self) -> Option<(usize, &mut Span)> {
        if !self.is_noted() {
            return None;
        }
        let index = (*self.open.get(self.depth)?)?;
        Some((index, self.members.get_mut(index)?))
    }

    fn finish(mut self) -> Outline<'a> {
        let text = if self.out.is_empty() && self.run == 0 {
            Cow::Borrowed(self.json)
        } else {
            self.copy_until(self.json.len());
            Cow::Owned(self.out)
        };
        Outline {
            text,
            members: self.members,
        }
    }
}

/// The end of the string that begins at a byte.
fn string_end(json: &str, start: usize) -> Result<usize, String> {
    let mut at = start + 1;
    loop {
        let rest = json.as_bytes().get(at..).unwrap_or_default();
        let Some(length) = memchr2(b'"', b'\\', rest) else {
            return Ok(json.len());
        };
        at += length;
        if rest.get(length) == Some(&b'"') {
            return Ok(at + 1);
        }
        at += escape_length(json, at)?;
    }
}

/// The length of the escape sequence at a byte: `\n`, `\u00e9`, or both halves of a surrogate pair.
fn escape_length(json: &str, at: usize) -> Result<usize, String> {
    match code_unit(json, at) {
        None => Ok(2),
        Some(0) => Err(format!("The character U+0000 at byte {at} cannot be stored.")),
        Some(0xd800..0xdc00) if matches!(code_unit(json, at + 6), Some(0xdc00..0xe000)) => Ok(12),
        Some(0xd800..0xe000) => Err(format!("There is half a surrogate pair at byte {at}.")),
        Some(_) => Ok(6),
    }
}

fn code_unit(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The members down to the third level, as an outline has them.
    fn read(object: Object<'_>) -> Value {
        let members = object.members().map(|member| {
            let inner = member.object().map(read);
            let value = inner.unwrap_or_else(|| serde_json::from_str(member.value()).unwrap());
            (member.key().into_owned(), value)
        });
        Value::Object(members.collect())
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a\"\\\\\\n \u{e9}\u{1f600}:,{}\\[\\]]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 60, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a\"\\\\ \u{e9}:,{}]{0,3}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn the_members_of_any_json_are_found(value in value(), pretty in any::<bool>()) {
            let text = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            let outline = Outline::of(&text).unwrap();
            prop_assert_eq!(outline.text(), value.to_string());
            match outline.object() {
                Some(object) => prop_assert_eq!(read(object), value),
                None => prop_assert!(!value.is_object()),
            }
        }

        #[test]
        fn no_text_crashes_it(text in "[\\[\\]{}\",:\\\\u0-9a-f \u{e9}]{0,80}") {
            if let Ok(outline) = Outline::of(&text)
                && let Some(object) = outline.object()
            {
                for member in object.members() {
                    let _ = (member.key(), member.string(), member.object().map(|inner| inner.members().count()));
                }
            }
        }
    }

    #[test]
    fn keys_are_compared_unescaped_and_strings_unescaped() {
        let outline = Outline::of(r#"{ "\u0061b" : "x\ny", "ab":{"c":[{"d":1}]}, "e": 1.50 }"#).unwrap();
        let object = outline.object().unwrap();
        assert_eq!(object.find("ab").unwrap().string().unwrap(), "x\ny");
        assert!(!object.has_at_most_once("ab") && object.has_at_most_once("e"));
        assert_eq!(object.find("e").unwrap().value(), "1.50");
        assert!(object.find("c").is_none() && object.find("d").is_none());
        let mut out = String::new();
        for member in object.members() {
            member.push_to(&mut out);
        }
        assert_eq!(out, r#""ab":"x\ny","ab":{"c":[{"d":1}]},"e":1.50,"#);
        assert_eq!(outline.text(), r#"{"\u0061b":"x\ny","ab":{"c":[{"d":1}]},"e":1.50}"#);
    }

    #[test]
    fn an_empty_object_after_another_changes_nothing() {
        let outline = Outline::of(r#"{"a":{"x":{"y":1}},"b":{},"c":{"x":{}}}"#).unwrap();
        assert_eq!(
            read(outline.object().unwrap()),
            json!({"a": {"x": {"y": 1}}, "b": {}, "c": {"x": {}}})
        );
    }
}
