//! An error that ends the program: one line that says what happened and what to do.

use std::fmt;
use std::process::ExitCode;

use crate::http::tls::TlsError;

/// The exit code of most errors.
const FAILURE: u8 = 1;
/// The exit code of mistakes in the program: `EX_SOFTWARE` of `sysexits.h`.
const INTERNAL: u8 = 70;

/// An error that the program cannot continue after. Shown as one line.
#[derive(Debug)]
pub struct Fatal {
    message: String,
    exit_code: u8,
}

impl Fatal {
    /// An error with its message.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            exit_code: FAILURE,
        }
    }

    /// Ends the program with another exit code.
    #[must_use]
    pub fn with_exit_code(self, exit_code: u8) -> Self {
        Self { exit_code, ..self }
    }

    /// The end of a program because of a mistake in it, which has been logged.
    #[must_use]
    pub fn internal() -> Self {
        Self {
            message: "ended because of an internal error: start it again, and report the lines above".to_owned(),
            exit_code: INTERNAL,
        }
    }

    /// The end of a server that received a second signal, by its number, while it was stopping.
    #[must_use]
    pub fn interrupted(signal: u8) -> Self {
        Self {
            message: "a second signal ended the server at once; the next start continues its work".to_owned(),
            exit_code: 128 + signal,
        }
    }

    /// The exit code of the program.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        self.exit_code.into()
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message.replace('\n', " "))
    }
}

impl std::error::Error for Fatal {}

impl From<auditstream_engine::Error> for Fatal {
    fn from(error: auditstream_engine::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<TlsError> for Fatal {
    fn from(error: TlsError) -> Self {
        Self::new(error.to_string())
    }
}
