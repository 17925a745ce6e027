//! The text search: whether an event contains a text, however its sender escaped it.
//!
//! Text and event are compared in one form, in which letters have no case and equal characters
//! equal code points (NFKC, folded, NFKC). The time is linear in the size of the event.

use memchr::{memchr, memmem};
use unicode_normalization::UnicodeNormalization as _;

/// A text that is searched for.
#[derive(Clone, Debug)]
pub(super) struct SearchText {
    is_ascii: bool,
    finder: memmem::Finder<'static>,
}

/// Buffers that are reused from event to event.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    folded: String,
    unescaped: String,
}

impl SearchText {
    pub(super) fn new(text: &str) -> Self {
        let mut folded = String::new();
        fold(text, &mut folded);
        Self {
            is_ascii: folded.is_ascii(),
            finder: memmem::Finder::new(folded.as_bytes()).into_owned(),
        }
    }

    /// Whether the JSON text of an event contains the text, as it is or with its escapes resolved.
    pub(super) fn is_in(&self, json: &str, buffers: &mut Buffers) -> bool {
        if self.is_in_plain(json, &mut buffers.folded) {
            return true;
        }
        if memchr(b'\\', json.as_bytes()).is_none() {
            return false;
        }
        unescape(json, &mut buffers.unescaped);
        self.is_in_plain(&buffers.unescaped, &mut buffers.folded)
    }

    fn is_in_plain(&self, text: &str, folded: &mut String) -> bool {
        if !self.is_ascii && text.is_ascii() {
            return false;
        }
        fold(text, folded);
        self.finder.find(folded.as_bytes()).is_some()
    }
}

/// Replaces `out` with the form of a text in which texts are compared.
pub(in crate::trail) fn fold(text: &str, out: &mut String) {
    out.clear();
    out.reserve(text.len());
    if text.is_ascii() {
        push_lowercase(text, out);
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !byte.is_ascii()) {
        // The character before may be the base of a combining one; no other ASCII character
        // changes, since none follows another character in a composition.
        let (plain, from) = rest.split_at(at.saturating_sub(1));
        push_lowercase(plain, out);
        let end = from
            .bytes()
            .skip(1)
            .position(|byte| byte.is_ascii())
            .map_or(from.len(), |length| length + 1);
        let (segment, after) = from.split_at(end);
        out.extend(segment.nfkc().flat_map(fold_char).nfkc());
        rest = after;
    }
    push_lowercase(rest, out);
}

fn push_lowercase(ascii: &str, out: &mut String) {
    let start = out.len();
    out.push_str(ascii);
    if let Some(pushed) = out.get_mut(start..) {
        pushed.make_ascii_lowercase();
    }
}

/// The full case folding of a character: all its cases have the same one.
fn fold_char(character: char) -> impl Iterator<Item = char> {
    character
        .to_lowercase()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
}

/// Replaces `out` with a JSON text whose escapes are resolved. A lone surrogate becomes U+FFFD.
pub(in crate::trail) fn unescape(json: &str, out: &mut String) {
    out.clear();
    out.reserve(json.len());
    let mut rest = json;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        let (plain, escape) = rest.split_at(at);
        out.push_str(plain);
        let (character, length) = character_of(escape);
        out.push(character);
        // Escapes are ASCII, so that this is a boundary; a broken one at the end has no rest.
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
}

/// Returns the character of the escape at the beginning of a text, and the escape's length.
fn character_of(escape: &str) -> (char, usize) {
    let simple = |character| (character, 2);
    match escape.as_bytes().get(1) {
        Some(b'b') => simple('\u{8}'),
        Some(b'f') => simple('\u{c}'),
        Some(b'n') => simple('\n'),
        Some(b'r') => simple('\r'),
        Some(b't') => simple('\t'),
        Some(b'u') => unicode_escape(escape),
        Some(other) if other.is_ascii() => simple(char::from(*other)),
        _ => (char::REPLACEMENT_CHARACTER, 1),
    }
}

fn unicode_escape(escape: &str) -> (char, usize) {
    let unit = |at: usize| u32::from_str_radix(escape.get(at..at + 4)?, 16).ok();
    let Some(first) = unit(2) else {
        return (char::REPLACEMENT_CHARACTER, 2);
    };
    if (0xd800..0xdc00).contains(&first)
        && escape.get(6..8) == Some("\\u")
        && let Some(second @ 0xdc00..0xe000) = unit(8)
    {
        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(text: &str, json: &str) -> bool {
        SearchText::new(text).is_in(json, &mut Buffers::default())
    }

    fn folded(text: &str) -> String {
        let mut out = String::new();
        fold(text, &mut out);
        out
    }

    #[test]
    fn a_text_is_found_however_its_sender_escaped_it() {
        for (text, json) in [
            ("Jürgen Groß", r#"{"who":"J\u00fcrgen Gro\u00df"}"#),
            ("/etc/passwd", r#"{"path":"\/etc\/passwd"}"#),
            (r"C:\Users\ann", r#"{"file":"C:\\Users\\ann"}"#),
            (r#"the "big" plan"#, r#"{"said":"the \"big\" plan"}"#),
            ("two\nlines", r#"{"said":"two\nlines"}"#),
            ("name with é", r#"{"name with \u00e9":1}"#),
            ("🎉 party", r#"{"said":"\ud83c\udf89 party"}"#),
            ("a🎉", r#"{"said":"\u0061\uD83C\uDF89"}"#),
            ("18446744073709551617", r#"{"amount":18446744073709551617}"#),
            (r#""path":"\/etc"#, r#"{"path":"\/etc\/passwd"}"#),
            (r#""path":"/etc"#, r#"{"path":"\/etc\/passwd"}"#),
        ] {
            assert!(finds(text, json), "{text} in {json}");
            assert!(!finds(&format!("{text}x"), json), "{text}x in {json}");
        }
    }

    #[test]
    fn the_case_and_the_composition_of_letters_do_not_matter() {
        for (text, json) in [
            ("MÜLLER", "Müller"),
            ("mu\u{308}ller", "MÜLLER"),
            ("müller", "MU\u{308}LLER"),
            ("STRASSE", "straße"),
            ("straẞe", "STRASSE"),
            ("ὈΔΥΣΣΕΎΣ", "ὀδυσσεύς"),
            ("привет", "ПРИВЕТ"),
            ("Å", "\u{212b}"),
            ("ｆｕｌｌ", "FULL"),
            ("file", "ﬁle"),
            ("q\u{307}\u{323}", "Q\u{323}\u{307}"),
        ] {
            assert!(finds(text, json), "{text} in {json}");
        }
        assert!(!finds("cafe", "café"), "an accent matters");
    }

    #[test]
    fn all_cases_of_every_character_fold_alike() {
        // No character beyond has another case or a decomposition.
        for character in '\u{0}'..'\u{30000}' {
            let others: [String; 4] = [
                character.to_uppercase().collect(),
                character.to_lowercase().collect(),
                std::iter::once(character).nfd().collect(),
                std::iter::once(character).nfkd().collect(),
            ];
            let alone = character.to_string();
            for other in others.iter().filter(|other| **other != alone) {
                let [one, other] = [&alone, other].map(|text| folded(&format!("x{text}")));
                assert_eq!(other, one, "{character:?}");
            }
        }
    }

    #[test]
    fn broken_escapes_are_survived() {
        for json in ["\\", "\\u", "\\u12", "\\ud800", "\\ud800\\u0041", "\\é", "é\\uzzzz"] {
            assert!(!finds("absent", json), "{json}");
        }
    }
}
