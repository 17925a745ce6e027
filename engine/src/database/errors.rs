//! Kinds of database errors, and a count of them.

use std::sync::atomic::{AtomicU64, Ordering};

static COUNT: AtomicU64 = AtomicU64::new(0);

pub(crate) fn count() {
    COUNT.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn counted() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Whether the database cannot be reached, or a write waited too long for another one.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: i32 = 5;
    /// Lock not available, starting or shutting down (57P01 to 57P03), cut off in a transaction,
    /// too many connections.
    const POSTGRES_BUSY: [&str; 6] = ["55P03", "57P01", "57P02", "57P03", "25P03", "53300"];
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| POSTGRES_BUSY.contains(&code.as_ref()) || sqlite_code(&code) == Some(SQLITE_BUSY)),
        _ => is_lost_race(error),
    }
}

/// Whether the disk is full. SQLite reports a full disk as such, or as a failed write.
pub(crate) fn is_full(error: &sqlx::Error) -> bool {
    const SQLITE_IOERR: i32 = 10;
    const SQLITE_FULL: i32 = 13;
    const POSTGRES_DISK_FULL: &str = "53100";
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| {
        code == POSTGRES_DISK_FULL || matches!(sqlite_code(&code), Some(SQLITE_FULL | SQLITE_IOERR))
    })
}

/// The primary result code of SQLite; `None` for PostgreSQL, whose codes have five characters.
fn sqlite_code(code: &str) -> Option<i32> {
    let number = code.parse::<i32>().ok().filter(|_| code.len() < 5);
    number.map(|code| code & 0xff)
}

/// Whether a transaction of PostgreSQL lost a race with another one, so that it can be retried.
pub(crate) fn is_lost_race(error: &sqlx::Error) -> bool {
    const SERIALIZATION_FAILURE: &str = "40001";
    const DEADLOCK: &str = "40P01";
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == SERIALIZATION_FAILURE || code == DEADLOCK)
}
