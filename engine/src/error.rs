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
    Database(#[source] sqlx::Error),
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

    /// The refusal of a request body beyond its limit in bytes, a multiple of 1 MiB.
    #[must_use]
    pub fn request_too_large(limit: usize) -> Self {
        let message = format!(
            "A request body can have at most {} MiB. Send smaller requests.",
            limit >> 20
        );
        Self::refused(Code::TooLarge, message)
    }

    /// What is sent to the caller: faults of ours say no more than that, and are logged where they are answered.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Refused(problem) => (**problem).clone(),
            Self::Database(error) if is_full(error) => Problem::new(
                Code::Unavailable,
                "The disk of the database is full. Nothing that was stored is lost; try again when its operator has made room.",
            ),
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

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::ColumnDecode { .. }) {
            return Self::Broken(format!("stored data cannot be read: {error}"));
        }
        if !is_lost_race(&error) {
            crate::metrics::database_error();
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

/// Whether the database is out of reach, or a write waited for another one for longer than it was willing to.
fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: i32 = 5;
    /// Of PostgreSQL: lock not available, starting or shutting down (57P01 to 57P03), cut off in a transaction, too
    /// many connections.
    const POSTGRES_BUSY: [&str; 6] = ["55P03", "57P01", "57P02", "57P03", "25P03", "53300"];
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| POSTGRES_BUSY.contains(&code.as_ref()) || sqlite_code(&code) == Some(SQLITE_BUSY)),
        _ => is_lost_race(error),
    }
}

/// Whether there is no room for what was to be written. SQLite tells a full disk as such, or as a write that failed.
fn is_full(error: &sqlx::Error) -> bool {
    const SQLITE_IOERR: i32 = 10;
    const SQLITE_FULL: i32 = 13;
    const POSTGRES_DISK_FULL: &str = "53100";
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| {
        code == POSTGRES_DISK_FULL || matches!(sqlite_code(&code), Some(SQLITE_FULL | SQLITE_IOERR))
    })
}

/// The primary result code of SQLite; PostgreSQL's codes have five characters.
fn sqlite_code(code: &str) -> Option<i32> {
    let number = code.parse::<i32>().ok().filter(|_| code.len() < 5);
    number.map(|code| code & 0xff)
}

/// Whether a transaction of PostgreSQL failed for another one alone, so that the same made again will do.
pub(crate) fn is_lost_race(error: &sqlx::Error) -> bool {
    const SERIALIZATION_FAILURE: &str = "40001";
    const DEADLOCK: &str = "40P01";
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == SERIALIZATION_FAILURE || code == DEADLOCK)
}

/// Maps a broken unique constraint to the refusal that says so, where the statement stands.
pub(crate) fn on_duplicate(error: sqlx::Error, refusal: impl FnOnce() -> Error) -> Error {
    match &error {
        sqlx::Error::Database(cause) if cause.is_unique_violation() => refusal(),
        _ => Error::Database(error),
    }
}
