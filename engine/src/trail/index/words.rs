//! Splits events into words: runs of letters and digits in the text of the values, in the form in
//! which a search compares texts. The names of members are not indexed.

use memchr::{memchr, memchr2};

use crate::trail::search::text::{fold, unescape};

/// The most bytes of a word in the index. A longer word is indexed by its beginning: every
/// candidate is compared with the filter anyway.
pub(super) const WORD_BYTES: usize = 32;

/// Calls `each` with every word of the text of a value, in their order and as often as it occurs.
/// `folded` is a buffer.
pub(super) fn of_value(value: &str, folded: &mut String, mut each: impl FnMut(&[u8])) {
    fold(value, folded);
    of_folded(folded, |word, _| each(word));
}

/// Calls `each` with every word of a folded text, cut to [`WORD_BYTES`], and the position of the
/// word's end in the text.
fn of_folded(text: &str, mut each: impl FnMut(&[u8], usize)) {
    let bytes = text.as_bytes();
    if text.is_ascii() {
        let mut from = 0;
        for word in bytes.split(|byte| !byte.is_ascii_alphanumeric()) {
            let end = from + word.len();
            if !word.is_empty() {
                each(cut(word, WORD_BYTES), end);
            }
            from = end + 1;
        }
        return;
    }
    let mut rest = text;
    let mut end = 0;
    while let Some(start) = rest.find(char::is_alphanumeric) {
        let (_, from) = rest.split_at(start);
        let length = from.find(|other: char| !other.is_alphanumeric()).unwrap_or(from.len());
        let (word, after) = from.split_at(length);
        end += start + length;
        each(cut(word.as_bytes(), WORD_BYTES), end);
        rest = after;
    }
}

/// The beginning of a text of at most `most` bytes, which does not end within a character.
pub(super) fn cut(text: &[u8], most: usize) -> &[u8] {
    if text.len() <= most {
        return text;
    }
    let is_boundary = |end: &usize| text.get(*end).is_none_or(|byte| byte & 0xc0 != 0x80);
    let end = (0..=most).rev().find(is_boundary).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// Words by which the index finds a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SearchedWords {
    /// The complete words.
    pub(super) whole: Vec<Vec<u8>>,
    /// The beginning of the last word, if the text may end within it.
    pub(super) beginning: Option<Vec<u8>>,
}

impl SearchedWords {
    /// Splits a text that is searched for into words. Returns `None` if it has no word.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut folded = String::new();
        fold(text, &mut folded);
        let mut found = Self {
            whole: Vec::new(),
            beginning: None,
        };
        of_folded(&folded, |word, end| {
            if end == folded.len() {
                found.beginning = Some(word.to_vec());
            } else if !found.whole.iter().any(|known| known == word) {
                found.whole.push(word.to_vec());
            }
        });
        (found.beginning.is_some() || !found.whole.is_empty()).then_some(found)
    }
}

/// Calls `each` with the text of every value of a compact JSON text that may lack its end: strings
/// without their escapes, numbers and Booleans as written. `unescaped` is a buffer.
pub(super) fn each_value(json: &str, unescaped: &mut String, mut each: impl FnMut(&str)) {
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let (end, has_escape) = end_of_string(bytes, at);
                let text = json.get(at..end).unwrap_or_default();
                at = end + 1;
                if bytes.get(at) == Some(&b':') {
                    continue;
                }
                if has_escape {
                    unescape(text, unescaped);
                    each(unescaped);
                } else {
                    each(text);
                }
            }
            b'-' | b'0'..=b'9' | b't' | b'f' => {
                let rest = bytes.get(at..).unwrap_or_default();
                let length = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']'));
                let end = length.map_or(bytes.len(), |length| at + length);
                each(json.get(at - 1..end).unwrap_or_default());
                at = end;
            }
            b'n' => at += 3,
            _ => {}
        }
    }
}

/// Returns the end of the string that begins at `from`, and whether it has an escape.
fn end_of_string(bytes: &[u8], from: usize) -> (usize, bool) {
    let mut at = from;
    while let Some(length) = memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += length;
        if bytes.get(at) == Some(&b'"') {
            let text = bytes.get(from..at).unwrap_or_default();
            return (at, memchr(b'\\', text).is_some());
        }
        at += 2;
    }
    (bytes.len(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(payload: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut folded = String::new();
        each_value(payload, &mut String::new(), |value| {
            of_value(value, &mut folded, |word| {
                found.push(String::from_utf8(word.to_vec()).unwrap());
            });
        });
        found
    }

    #[test]
    fn words_are_those_of_the_values_in_one_form() {
        let payload = r#"{"key":"Hello, World","n":-12.50,"t":true,"none":null,"a":["x_y",{"deep key":"\u00dcBER \"a\\b\""}],"auditEventMetadata":{"open":"end","#;
        let expected = ["hello", "world", "12", "50", "true", "x", "y", "über", "a", "b", "end"];
        assert_eq!(words(payload), expected);
        assert_eq!(words(r#"{"a":"","b":"-","c":"\u2028é\u0301x"}"#), ["é", "x"]);
        assert!(words(r#"{"unfinished":"te"#).len() <= 1);
        assert!(words("\"\\").is_empty());
    }

    #[test]
    fn a_long_word_is_cut_between_characters() {
        let long = "é".repeat(40);
        assert_eq!(words(&format!(r#"{{"a":"{long}"}}"#)), ["é".repeat(16)]);
        assert_eq!(cut("aé".as_bytes(), 2), b"a");
    }

    #[test]
    fn a_searched_text_has_whole_words_and_the_beginning_of_its_last_one() {
        let words = |text: &str| SearchedWords::of(text);
        let found = words("User@Example.co").unwrap();
        assert_eq!(found.whole, [b"user".to_vec(), b"example".to_vec()]);
        assert_eq!(found.beginning, Some(b"co".to_vec()));
        let found = words("/etc/").unwrap();
        assert_eq!((found.whole.len(), found.beginning), (1, None));
        assert_eq!(words("Grüße,").unwrap().whole, ["grüsse".as_bytes().to_vec()]);
        assert_eq!(words("--"), None);
    }
}
