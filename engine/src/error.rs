//! Everything that can go wrong, with its code (and so its HTTP status) in one table.

use auditstream_model::{Code, FieldErrors, Problem};

/// The engine's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was not done. Nothing was changed when one of these is returned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A refusal that the caller can act on.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The database can not be opened; the text says why and what to do.
    #[error("{0}")]
    Opening(String),
    /// A stored text is not what the engine wrote.
    #[error("stored data cannot be read: {0}")]
    Stored(#[from] serde_json::Error),
    /// Something that must hold does not.
    #[error("{0}")]
    Broken(String),
}

impl Error {
    /// A refusal with its sentence.
    pub fn refused(code: Code, detail: impl Into<String>) -> Self {
        Self::Refused(Box::new(Problem::new(code, detail)))
    }

    /// There is no such thing in this account.
    #[must_use]
    pub fn not_found(kind: &str, identifier: &str) -> Self {
        Self::refused(Code::NotFound, format!("There is no {kind} “{identifier}”."))
    }

    /// The identifier is in use.
    #[must_use]
    pub fn duplicate(kind: &str, identifier: &str) -> Self {
        let sentence = format!("There is already a {kind} with the id “{identifier}”.");
        let errors = FieldErrors::one("identifier", sentence.clone());
        Self::Refused(Box::new(
            Problem::new(Code::DuplicateField, sentence).with_errors(errors.0),
        ))
    }

    /// What is sent to the caller: faults of ours say no more than that, and are logged where they are answered.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Refused(problem) => (**problem).clone(),
            Self::Database(error) if is_busy(error) => Problem::new(
                Code::Unavailable,
                "The database did not answer in time. Try again in a few seconds.",
            ),
            Self::Database(_) | Self::Opening(_) | Self::Stored(_) | Self::Broken(_) => {
                Problem::new(Code::Internal, "Something went wrong on the server. Its log says more.")
            }
        }
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

/// Whether a write lost against another process for longer than it was willing to wait.
fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: i32 = 5;
    match error {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => error
            .code()
            .and_then(|code| code.parse::<i32>().ok())
            .is_some_and(|code| code & 0xff == SQLITE_BUSY),
        _ => false,
    }
}

/// Maps a broken unique constraint to the refusal that says so, where the statement stands.
pub(crate) fn on_duplicate(error: sqlx::Error, refusal: impl FnOnce() -> Error) -> Error {
    match &error {
        sqlx::Error::Database(cause) if cause.is_unique_violation() => refusal(),
        _ => Error::Database(error),
    }
}
