//! Names of things, and the texts that describe them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{DESCRIPTION_CHARS, IDENTIFIER_CHARS, NAME_CHARS, TAG_CHARS, TAGS};

/// Words that the reference system keeps for its expressions, and two paths of our API.
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

/// What a text must be; its [`fmt::Display`] is a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TextError(String);

impl TextError {
    /// A refusal with its sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = TextError;
            fn try_from(text: String) -> Result<Self, TextError> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

text_type! {
    /// The id of a connector or a streaming destination: `^[a-zA-Z_][0-9a-zA-Z_$]{0,127}$`, none of the reserved words.
    /// Unique within its account and its kind, and fixed once saved.
    Identifier
}

impl Identifier {
    /// # Errors
    /// A sentence that says what an identifier must be.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::new("An id is needed."));
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
                "An id starts with a letter or _, and has only letters, digits, _ and $.",
            ));
        }
        if RESERVED.contains(&text) {
            return Err(TextError::new(format!(
                "“{text}” is a reserved word: choose another id."
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// The id that the console proposes for a name: trimmed, without what an id can not have, `_` for spaces, and `_`
    /// before a digit at the start. Empty when nothing is left.
    #[must_use]
    pub fn propose(name: &str) -> String {
        let kept = name
            .trim()
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | ' '));
        let mut id: String = kept.map(|c| if c == ' ' { '_' } else { c }).collect();
        if id.starts_with(|c: char| !c.is_ascii_alphabetic() && c != '_') {
            id.insert(0, '_');
        }
        id.truncate(IDENTIFIER_CHARS);
        id
    }
}

text_type! {
    /// What people call a thing: 1 to 128 of `A-Za-z0-9-_. /` and space.
    Name
}

impl Name {
    /// # Errors
    /// A sentence that says what a name must be.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(TextError::new("A name is needed."));
        }
        if trimmed.chars().count() > NAME_CHARS {
            return Err(TextError::new(format!("A name has at most {NAME_CHARS} characters.")));
        }
        if !trimmed
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ' | '/'))
        {
            return Err(TextError::new("A name has only letters, digits, spaces and - _ . /"));
        }
        Ok(Self(trimmed.to_owned()))
    }
}

text_type! {
    /// Free text of at most 1,024 characters; may be empty.
    Description
}

impl Description {
    /// # Errors
    /// A sentence when it is too long or holds U+0000.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.chars().count() > DESCRIPTION_CHARS {
            return Err(TextError::new(format!(
                "A description has at most {DESCRIPTION_CHARS} characters."
            )));
        }
        if text.contains('\0') {
            return Err(TextError::new("A description can not hold the character U+0000."));
        }
        Ok(Self(text.to_owned()))
    }
}

text_type! {
    /// The name of an account: 1 to 64 of `a-z0-9_-`, starting with a letter or digit. It stands in object keys.
    AccountName
}

impl AccountName {
    /// The account that every installation starts with.
    #[must_use]
    pub fn default_account() -> Self {
        Self("default".to_owned())
    }

    /// # Errors
    /// A sentence that says what an account's name must be.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let head = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let rest = text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
        if head && rest && text.len() <= 64 {
            return Ok(Self(text.to_owned()));
        }
        Err(TextError::new(
            "An account's name has 1 to 64 lower-case letters, digits, - and _, and starts with a letter or digit.",
        ))
    }
}

/// Words that people file a thing under: keys with an optional value, at most 128, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// # Errors
    /// A sentence that says what tags must be.
    pub fn parse(tags: BTreeMap<String, String>) -> Result<Self, TextError> {
        if tags.len() > TAGS {
            return Err(TextError::new(format!("There can be at most {TAGS} tags.")));
        }
        for (key, value) in &tags {
            if key.trim().is_empty() {
                return Err(TextError::new("A tag needs a key."));
            }
            if key.chars().count() > TAG_CHARS || value.chars().count() > TAG_CHARS {
                return Err(TextError::new(format!(
                    "A tag's key and value have at most {TAG_CHARS} characters each."
                )));
            }
            if key.contains('\0') || value.contains('\0') {
                return Err(TextError::new("A tag can not hold the character U+0000."));
            }
        }
        Ok(Self(tags))
    }

    /// Keys with their values, sorted.
    #[must_use]
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl TryFrom<BTreeMap<String, String>> for Tags {
    type Error = TextError;
    fn try_from(tags: BTreeMap<String, String>) -> Result<Self, TextError> {
        Self::parse(tags)
    }
}

impl From<Tags> for BTreeMap<String, String> {
    fn from(tags: Tags) -> Self {
        tags.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_follows_the_pattern_of_the_reference() {
        for good in ["a", "_1", "splunk_prod", "A$9", &"x".repeat(128)] {
            assert!(Identifier::parse(good).is_ok(), "{good}");
        }
        for bad in [
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
            assert!(Identifier::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_proposed_id_is_an_identifier_whenever_anything_is_left_of_the_name() {
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

    #[test]
    fn names_are_trimmed_and_limited_to_plain_characters() {
        assert_eq!(Name::parse(" SIEM - eu/1. ").unwrap().as_str(), "SIEM - eu/1.");
        for bad in ["", "  ", "a\nb", "<b>", &"n".repeat(129)] {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn tags_are_counted_and_measured() {
        let many = (0..129).map(|n| (n.to_string(), String::new())).collect();
        assert!(Tags::parse(many).is_err());
        assert!(Tags::parse(BTreeMap::from([(" ".into(), String::new())])).is_err());
        assert!(Tags::parse(BTreeMap::from([("team".into(), "secops".into())])).is_ok());
    }
}
