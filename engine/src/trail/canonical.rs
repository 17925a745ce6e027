//! The canonical form of JSON, by which events are compared: members sorted by key, each string
//! with the fewest escapes, numbers digit by digit as written.

use std::ops::Range;

use memchr::memchr2;
use sha2::{Digest as _, Sha256};

use super::error_limits::{EVENT_ERRORS, shorten};

/// The first 16 bytes of the SHA-256 of a canonical form.
pub type ContentDigest = [u8; 16];

/// The canonical form of a JSON text, and the keys that it repeats.
pub(super) struct Canonical {
    form: Vec<u8>,
    /// The paths of members whose key their object has already, at most [`EVENT_ERRORS`].
    pub(super) duplicates: Vec<String>,
}

enum Step {
    /// A member; where its key is in the form.
    Key(Range<usize>),
    Element(usize),
}

/// Where a member is in the form.
struct Member {
    start: usize,
    key_end: usize,
    /// After its comma.
    end: usize,
}

impl Member {
    fn key<'f>(&self, form: &'f [u8]) -> &'f [u8] {
        form.get(self.start..self.key_end).unwrap_or_default()
    }
}

struct Writer<'a> {
    json: &'a [u8],
    at: usize,
    form: Vec<u8>,
    /// The members of the objects that are open, the innermost object's last.
    members: Vec<Member>,
    /// Where the members of an object are sorted.
    sorted: Vec<u8>,
    path: Vec<Step>,
    duplicates: Vec<String>,
}

impl Canonical {
    /// The canonical form of compact JSON that has been checked. Objects that are open at the end,
    /// as those of a stored payload, count as closed there.
    pub(super) fn of(json: &str) -> Self {
        let mut writer = Writer {
            json: json.as_bytes(),
            at: 0,
            form: Vec::with_capacity(json.len()),
            members: Vec::with_capacity(32),
            sorted: Vec::with_capacity(json.len()),
            path: Vec::with_capacity(8),
            duplicates: Vec::new(),
        };
        writer.value();
        Self {
            form: writer.form,
            duplicates: writer.duplicates,
        }
    }

    pub(super) fn digest(&self) -> ContentDigest {
        let sha256 = Sha256::digest(&self.form);
        let mut digest = ContentDigest::default();
        digest.copy_from_slice(&sha256[..16]);
        digest
    }
}

impl Writer<'_> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn value(&mut self) {
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string(),
            _ => self.scalar(),
        }
    }

    /// A number as written, `true`, `false` or `null`.
    fn scalar(&mut self) {
        let rest = self.json.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| matches!(byte, b',' | b']' | b'}'));
        let (scalar, _) = rest.split_at(length.unwrap_or(rest.len()));
        self.form.extend_from_slice(scalar);
        // Also moves past what no JSON has, so that no text is read for ever.
        self.at += scalar.len().max(1);
    }

    fn array(&mut self) {
        self.at += 1;
        self.form.push(b'[');
        let mut index = 0;
        while let Some(byte) = self.peek() {
            match byte {
                b']' => break,
                b',' => {
                    self.at += 1;
                    self.form.push(b',');
                    index += 1;
                }
                _ => {
                    self.path.push(Step::Element(index));
                    self.value();
                    self.path.pop();
                }
            }
        }
        self.at += 1;
        self.form.push(b']');
    }

    fn object(&mut self) {
        self.at += 1;
        self.form.push(b'{');
        let start = self.form.len();
        let first = self.members.len();
        while let Some(byte) = self.peek() {
            match byte {
                b'}' => break,
                b'"' => {
                    let member = self.member();
                    self.members.push(member);
                }
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.sort(start, first);
        self.members.truncate(first);
        if self.form.len() > start {
            // The comma of the last member.
            self.form.pop();
        }
        self.form.push(b'}');
    }

    fn member(&mut self) -> Member {
        let start = self.form.len();
        self.string();
        let key_end = self.form.len();
        // The colon.
        self.at += 1;
        self.form.push(b':');
        self.path.push(Step::Key(start..key_end));
        self.value();
        self.path.pop();
        self.form.push(b',');
        let end = self.form.len();
        Member { start, key_end, end }
    }

    /// Sorts the members of an object, which begin at `start` and with the member `first`, and
    /// notes the keys that come twice.
    fn sort(&mut self, start: usize, first: usize) {
        let form = &self.form;
        let members = self.members.get_mut(first..).unwrap_or_default();
        let in_order = |members: &[Member]| members.is_sorted_by(|one, next| one.key(form) <= next.key(form));
        let was_in_order = in_order(members);
        if !was_in_order {
            members.sort_by(|one, other| one.key(form).cmp(other.key(form)));
        }
        let mut last_duplicate = None;
        for (one, next) in members.iter().zip(members.iter().skip(1)) {
            let key = next.key(form);
            if self.duplicates.len() < EVENT_ERRORS && one.key(form) == key && last_duplicate != Some(key) {
                last_duplicate = Some(key);
                self.duplicates.push(path_of(form, &self.path, key));
            }
        }
        if !was_in_order {
            self.sorted.clear();
            for member in members.iter() {
                let member = form.get(member.start..member.end).unwrap_or_default();
                self.sorted.extend_from_slice(member);
            }
            self.form.truncate(start);
            self.form.extend_from_slice(&self.sorted);
        }
    }

    fn string(&mut self) {
        self.at += 1;
        self.form.push(b'"');
        loop {
            let rest = self.json.get(self.at..).unwrap_or_default();
            let plain = memchr2(b'"', b'\\', rest);
            let (plain, rest) = rest.split_at(plain.unwrap_or(rest.len()));
            self.form.extend_from_slice(plain);
            self.at += plain.len() + 1;
            match rest.first() {
                Some(b'\\') => self.escape(),
                _ => break,
            }
        }
        self.form.push(b'"');
    }

    /// Writes the character of an escape sequence, after its backslash.
    fn escape(&mut self) {
        let Some(letter) = self.peek() else { return };
        self.at += 1;
        let character = match letter {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.code_point(),
            other => char::from(other),
        };
        match character {
            '"' | '\\' => self.form.extend_from_slice(&[b'\\', letter_of(character)]),
            control if control < ' ' => {
                let escape = format!("\\u{:04x}", u32::from(control));
                self.form.extend_from_slice(escape.as_bytes());
            }
            other => self.form.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }

    /// The character of `\uXXXX`, or of two of them that are a surrogate pair.
    fn code_point(&mut self) -> char {
        let first = self.code_unit();
        let mut units = vec![first];
        if (0xd800..0xdc00).contains(&first) {
            // The backslash and the u.
            self.at += 2;
            units.push(self.code_unit());
        }
        let character = char::decode_utf16(units).next().and_then(Result::ok);
        character.unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn code_unit(&mut self) -> u16 {
        let digits = self.json.get(self.at..self.at + 4).unwrap_or_default();
        self.at += 4;
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        u16::from_str_radix(digits, 16).unwrap_or_default()
    }
}

/// Only the quotation mark and the backslash, which are one byte each.
fn letter_of(character: char) -> u8 {
    if character == '"' { b'"' } else { b'\\' }
}

/// The path of a member, as error responses name it: `auditEventMetadata.items[2].name`.
fn path_of(form: &[u8], path: &[Step], key: &[u8]) -> String {
    let name = |key: &[u8]| serde_json::from_slice::<String>(key).unwrap_or_default();
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(range) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&name(form.get(range.clone()).unwrap_or_default()));
            }
            Step::Element(index) => text.push_str(&format!("[{index}]")),
        }
    }
    if !text.is_empty() {
        text.push('.');
    }
    shorten(text + &name(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(json: &str) -> String {
        String::from_utf8(Canonical::of(json).form).unwrap()
    }

    #[test]
    fn the_form_sorts_members_and_unescapes_strings_and_keeps_every_digit() {
        for (json, expected) in [
            (r#"{"b":1,"a":{"d":[],"c":{}}}"#, r#"{"a":{"c":{},"d":[]},"b":1}"#),
            (
                r#"["\u0041\/\u00e9\ud83d\ude00","\n\u0001\"\\"]"#,
                r#"["A/é😀","\u000a\u0001\"\\"]"#,
            ),
            (r#"["\u0022\u005c"]"#, r#"["\"\\"]"#),
            (r#"{"\u0062":1,"a":2}"#, r#"{"a":2,"b":1}"#),
            ("[18446744073709551617,1.0,1e2,-0]", "[18446744073709551617,1.0,1e2,-0]"),
            (r#"[true,{"a":null},"",false]"#, r#"[true,{"a":null},"",false]"#),
            (r#"{"a":1,"m":{"x":"y","#, r#"{"a":1,"m":{"x":"y"}}"#),
        ] {
            assert_eq!(form(json), expected, "{json}");
        }
    }

    #[test]
    fn a_repeated_key_is_named_with_its_path_at_any_depth_and_in_any_spelling() {
        let duplicates = |json: &str| Canonical::of(json).duplicates;
        assert_eq!(duplicates(r#"{"a":1,"b":{"c":[0,{"d":1,"e":2,"d":3}]}}"#), ["b.c[1].d"]);
        assert_eq!(duplicates(r#"{"a":1,"\u0061":2,"a":3}"#), ["a"], "once for each key");
        assert_eq!(duplicates(r#"{"a":1,"A":2,"b":{"a":1}}"#), [""; 0]);
        let many: Vec<_> = (0..100).map(|n| format!(r#""{n}":1,"{n}":2"#)).collect();
        assert_eq!(duplicates(&format!("{{{}}}", many.join(","))).len(), EVENT_ERRORS);
    }
}
