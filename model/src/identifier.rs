//! The ids of connectors and streaming destinations.

use crate::limits::IDENTIFIER_CHARS;
use crate::text::{TextError, text_type};

/// The reserved words of the reference's expressions, and two paths of our API.
pub(crate) const RESERVED: [&str; 26] = [
    "or",
    "and",
    "eq",
    "ne",
    "lt",
    "gt",
    "le",
    "ge",
    "div",
    "mod",
    "not",
    "null",
    "true",
    "false",
    "new",
    "var",
    "return",
    "step",
    "parallel",
    "stepGroup",
    "org",
    "account",
    "class",
    "shellScriptProvisioner",
    "cards",
    "aggregate",
];

text_type! {
    /// The id of a connector or a streaming destination: `^[a-zA-Z_][0-9a-zA-Z_$]{0,127}$`, except
    /// reserved words.
    ///
    /// Unique within its account and its kind, and fixed once saved.
    Identifier
}

impl Identifier {
    /// Parses an id.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::new("An id is required."));
        }
        if text.chars().count() > IDENTIFIER_CHARS {
            return Err(TextError::new(format!(
                "An id has at most {IDENTIFIER_CHARS} characters."
            )));
        }
        let head = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
        if !head || !rest {
            return Err(TextError::new(
                "An id starts with a letter or _, and can contain only letters, digits, _ and $.",
            ));
        }
        if RESERVED.contains(&text) {
            return Err(TextError::new(format!(
                "“{text}” is a reserved word. Choose another id."
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// Derives an id from a name, as the console proposes it; empty when nothing is left.
    #[must_use]
    pub fn propose(name: &str) -> String {
        let allowed = name
            .trim()
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | ' '));
        let mut id: String = allowed.map(|c| if c == ' ' { '_' } else { c }).collect();
        if id.starts_with(|c: char| !c.is_ascii_alphabetic() && c != '_') {
            id.insert(0, '_');
        }
        id.truncate(IDENTIFIER_CHARS);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_follows_the_pattern_of_the_reference() {
        for valid in ["a", "_1", "splunk_prod", "A$9", &"x".repeat(128)] {
            assert!(Identifier::parse(valid).is_ok(), "{valid}");
        }
        for invalid in [
            "",
            "1a",
            "a-b",
            "a b",
            "ä",
            "$a",
            "a\0",
            &"x".repeat(129),
            "account",
            "cards",
            "null",
        ] {
            assert!(Identifier::parse(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_proposed_id_is_empty_or_valid() {
        for (name, id) in [
            ("  Splunk prod ", "Splunk_prod"),
            ("2024 archive", "_2024_archive"),
            ("a-b.c/d", "abcd"),
            ("$x", "_$x"),
            ("日本", ""),
        ] {
            assert_eq!(Identifier::propose(name), id);
            assert!(id.is_empty() || Identifier::parse(id).is_ok());
        }
        assert!(Identifier::parse(&Identifier::propose(&"9".repeat(300))).is_ok());
    }
}
