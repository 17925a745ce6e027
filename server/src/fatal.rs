//! An error that ends the program: one line that says what happened and what to do.

use std::fmt;

use crate::http::tls::TlsError;

/// An error that the program cannot continue after. Shown as one line.
#[derive(Debug)]
pub struct Fatal(String);

impl Fatal {
    /// An error with its message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
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

impl From<TlsError> for Fatal {
    fn from(error: TlsError) -> Self {
        Self(error.to_string())
    }
}
