//! The engine's errors.
//!
//! | error | for | example |
//! | --- | --- | --- |
//! | [`Error::Refused`] | a request that the caller can correct or repeat | a missing permission, an unknown id |
//! | [`Error::Database`] | a failed statement; `?` converts it | a full disk |
//! | [`Error::InDoubt`] | a commit without a response | a network that went silent |
//! | [`Error::Opening`] | a start that cannot succeed; the message is shown to the operator | a wrong master key |
//! | [`Error::Stored`] | stored JSON that cannot be read | a row changed by hand |
//! | [`Error::Broken`] | a bug, or a promise that something else broke | a task that panicked |
//!
//! [`Code`] has the HTTP status of each refusal. Refusals that several places need have a
//! constructor. Only the first kind is shown to clients in full; the others are logged where the
//! response is made.

use auditstream_model::{Code, FieldErrors, Problem};

use crate::database::errors::{self, is_busy, is_disk_failure, is_full, is_lost_race, is_unstorable_text};

/// The engine's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an action failed. Nothing was changed; after [`Error::InDoubt`] that is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A refusal that the caller can act on.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
    /// The database did not say whether it committed.
    #[error("the database did not confirm a commit: {0}")]
    InDoubt(#[source] sqlx::Error),
    /// The engine cannot be opened; the message says why and what to do.
    #[error("{0}")]
    Opening(String),
    /// Stored JSON is not what the engine wrote.
    #[error("stored data cannot be read: {0}")]
    Stored(#[from] serde_json::Error),
    /// An invariant does not hold.
    #[error("{0}")]
    Broken(String),
}

impl Error {
    /// A refusal with its message.
    pub fn refused(code: Code, detail: impl Into<String>) -> Self {
        Self::Refused(Box::new(Problem::new(code, detail)))
    }

    pub(crate) fn in_doubt(error: sqlx::Error) -> Self {
        errors::count();
        Self::InDoubt(error)
    }

    /// The refusal for a resource that the account does not have.
    #[must_use]
    pub fn not_found(kind: &str, identifier: &str) -> Self {
        Self::refused(Code::NotFound, format!("There is no {kind} “{identifier}”."))
    }

    /// The refusal for an identifier that is already taken.
    #[must_use]
    pub fn duplicate(kind: &str, identifier: &str) -> Self {
        let sentence = format!("There is already a {kind} with the id “{identifier}”.");
        let errors = FieldErrors::one("identifier", sentence.clone());
        Self::Refused(Box::new(
            Problem::new(Code::DuplicateField, sentence).with_errors(errors.0),
        ))
    }

    /// The refusal of a request body beyond its limit in bytes, a multiple of 1 KiB.
    #[must_use]
    pub fn request_too_large(limit: usize) -> Self {
        let limit = match limit >> 20 {
            0 => format!("{} KiB", limit >> 10),
            mebibytes => format!("{mebibytes} MiB"),
        };
        let message = format!("A request body can have at most {limit}. Send smaller requests.");
        Self::refused(Code::TooLarge, message)
    }

    /// The code of [`problem`](Self::problem).
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(problem) => problem.code,
            Self::Database(error) if is_full(error) || is_disk_failure(error) || is_busy(error) => Code::Unavailable,
            Self::Database(error) if is_unstorable_text(error) => Code::InvalidFields,
            Self::InDoubt(_) => Code::Unavailable,
            Self::Database(_) | Self::Opening(_) | Self::Stored(_) | Self::Broken(_) => Code::Internal,
        }
    }

    /// A copy of the problem that is sent to the caller. Internal errors reveal no details.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Refused(problem) => (**problem).clone(),
            other => other.problem_of_server(),
        }
    }

    /// The problem that is sent to the caller, without a copy of its errors.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Refused(problem) => *problem,
            other => other.problem_of_server(),
        }
    }

    /// The problem of an error that is no refusal.
    fn problem_of_server(&self) -> Problem {
        let detail = match self {
            Self::Database(error) if is_full(error) => {
                "The disk of the database is full. Stored data is safe. Try again after the operator has freed space."
            }
            Self::Database(error) if is_disk_failure(error) => {
                "The disk of the database failed. Try again after the operator has looked at the server's log."
            }
            Self::Database(error) if is_busy(error) => {
                "The database did not answer in time. Try again in a few seconds."
            }
            Self::Database(error) if is_unstorable_text(error) => {
                "A text contains the character U+0000, which cannot be stored. Remove it."
            }
            Self::InDoubt(_) => {
                "The database did not confirm the change in time. Look whether it was made before you try again."
            }
            _ => "Something went wrong on the server. See its log for details.",
        };
        Problem::new(self.code(), detail)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::ColumnDecode { .. }) {
            return Self::Broken(format!("stored data cannot be read: {error}"));
        }
        if !is_lost_race(&error) {
            errors::count();
        }
        if errors::is_lost_statement(&error) {
            tracing::error!(
                "a pooler lost a prepared statement: let it keep them (PgBouncer 1.21 or newer with \
                 max_prepared_statements = 200) or pool sessions; see docs/operations.md"
            );
        }
        Self::Database(error)
    }
}

impl From<FieldErrors> for Error {
    fn from(errors: FieldErrors) -> Self {
        let detail = errors
            .0
            .iter()
            .map(|error| format!("{}: {}", error.field, error.message))
            .collect::<Vec<_>>()
            .join(" ");
        Self::Refused(Box::new(
            Problem::new(Code::InvalidFields, detail).with_errors(errors.0),
        ))
    }
}

/// Maps the violation of a unique constraint to its refusal, next to the statement.
pub(crate) fn on_duplicate(error: sqlx::Error, refusal: impl FnOnce() -> Error) -> Error {
    match &error {
        sqlx::Error::Database(cause) if cause.is_unique_violation() => refusal(),
        _ => Error::Database(error),
    }
}
