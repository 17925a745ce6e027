//! Labels for organising connectors and destinations.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::{TAG_CHARS, TAGS};
use crate::text::TextError;

/// At most 128 keys, sorted, each with a value that may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// Checks the tags' number and lengths.
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
                return Err(TextError::new("A tag cannot contain the character U+0000."));
            }
        }
        Ok(Self(tags))
    }

    /// Returns the keys with their values.
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
    fn tags_are_limited_in_number_and_need_a_key() {
        let too_many = (0..129).map(|n| (n.to_string(), String::new())).collect();
        assert!(Tags::parse(too_many).is_err());
        assert!(Tags::parse(BTreeMap::from([(" ".into(), String::new())])).is_err());
        assert!(Tags::parse(BTreeMap::from([("team".into(), "secops".into())])).is_ok());
    }
}
