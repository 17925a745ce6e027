//! What ends the program: one line that says what happened and what to do.

use std::fmt;

/// An error that the program can not go on after.
#[derive(Debug)]
pub struct Fatal(String);

impl Fatal {
    /// An end with its sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.replace('\n', " "))
    }
}

impl std::error::Error for Fatal {}

impl From<auditstream_engine::Error> for Fatal {
    fn from(error: auditstream_engine::Error) -> Self {
        Self(error.to_string())
    }
}
