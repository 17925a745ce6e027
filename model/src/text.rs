//! Texts that follow a rule: names and descriptions.

use crate::limits::{ACCOUNT_NAME_CHARS, DESCRIPTION_CHARS, NAME_CHARS};

/// The rule that a text breaks; its [`Display`](std::fmt::Display) is a message for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TextError(String);

impl TextError {
    /// Creates an error from its message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Defines a newtype over `String` that only its own `parse` can create.
macro_rules! text_type {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = crate::TextError;
            fn try_from(text: String) -> Result<Self, Self::Error> {
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

pub(crate) use text_type;

text_type! {
    /// A display name: 1 to 128 of `A-Za-z0-9-_. /` and space.
    Name
}

impl Name {
    /// Parses a name, without its outer spaces.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(TextError::new("A name is required."));
        }
        if trimmed.chars().count() > NAME_CHARS {
            return Err(TextError::new(format!("A name has at most {NAME_CHARS} characters.")));
        }
        if !trimmed
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ' | '/'))
        {
            return Err(TextError::new(
                "A name can contain only letters, digits, spaces and - _ . /",
            ));
        }
        Ok(Self(trimmed.to_owned()))
    }
}

text_type! {
    /// Free text of at most 1,024 characters; may be empty.
    Description
}

impl Description {
    /// Parses a description. U+0000 is invalid, because databases cannot store it.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.chars().count() > DESCRIPTION_CHARS {
            return Err(TextError::new(format!(
                "A description has at most {DESCRIPTION_CHARS} characters."
            )));
        }
        if text.contains('\0') {
            return Err(TextError::new("A description cannot contain the character U+0000."));
        }
        Ok(Self(text.to_owned()))
    }
}

text_type! {
    /// The name of an account, part of its object keys: 1 to 64 of `a-z0-9_-`, starting with a
    /// letter or digit.
    AccountName
}

impl AccountName {
    /// Returns the name of the account that every installation starts with.
    #[must_use]
    pub fn default_account() -> Self {
        Self("default".to_owned())
    }

    /// Parses the name of an account.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let head = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let rest = text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
        if head && rest && text.len() <= ACCOUNT_NAME_CHARS {
            return Ok(Self(text.to_owned()));
        }
        Err(TextError::new(format!(
            "An account's name has 1 to {ACCOUNT_NAME_CHARS} lower-case letters, digits, - and _, and starts with a letter or digit."
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_limited_to_plain_characters() {
        assert_eq!(Name::parse(" SIEM - eu/1. ").unwrap().as_str(), "SIEM - eu/1.");
        for invalid in ["", "  ", "a\nb", "<b>", &"n".repeat(129)] {
            assert!(Name::parse(invalid).is_err(), "{invalid:?}");
        }
    }
}
