//! Checks of an installation, for `auditstream doctor`. They change nothing, and work while servers
//! run. No finding contains a secret.
//!
//! - [`database`](check_database): without opening the engine, which would bring an older database
//!   up to date
//! - [`endpoints`](check_secrets_and_endpoints): secrets, connectors, webhooks and clocks

mod clock;
mod database;
mod endpoints;

use std::fmt;

pub use self::database::{can_open, check_database};
pub use self::endpoints::check_secrets_and_endpoints;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing to do.
    Good,
    /// It works, but not as it should.
    Warning,
    /// It does not work.
    Failed,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How serious it is.
    pub severity: Severity,
    /// The subject of the check: `database`, `connector default/aws`.
    pub subject: String,
    /// The result and, unless it is good, what to do.
    pub detail: String,
}

impl Finding {
    /// A finding with nothing to do.
    pub fn good(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Severity::Good, subject, detail)
    }

    /// A finding of something that works, but not as it should.
    pub fn warning(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Severity::Warning, subject, detail)
    }

    /// A finding of something that does not work.
    pub fn failed(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Severity::Failed, subject, detail)
    }

    fn new(severity: Severity, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        let (subject, detail) = (subject.into(), detail.into());
        Self {
            severity,
            subject,
            detail,
        }
    }
}

/// As one line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Good => "ok",
            Severity::Warning => "warn",
            Severity::Failed => "FAIL",
        };
        let line = format!("{severity:4}  {}: {}", self.subject, self.detail);
        f.write_str(&line.replace(['\n', '\r'], " "))
    }
}
