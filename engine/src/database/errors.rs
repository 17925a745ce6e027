//! Kinds of database errors, and a count of them.

use std::borrow::Cow;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::error::DatabaseError;
use sqlx_postgres::{PgDatabaseError, PgSeverity};
use sqlx_sqlite::SqliteError;

static COUNT: AtomicU64 = AtomicU64::new(0);

const SQLITE_IOERR: i32 = 10;

pub(crate) fn count() {
    COUNT.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn counted() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// The error of a call that missed its deadline.
pub(crate) fn overdue() -> sqlx::Error {
    let message = "the database did not answer within the deadline; the connection was closed";
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, message))
}

pub(crate) fn is_overdue(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// Whether the connection cannot be used any more: it was cut off, the server ends it, or it leads
/// to a server that cannot write.
pub(crate) fn breaks_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(error) => {
            let severity = error
                .try_downcast_ref::<PgDatabaseError>()
                .map(PgDatabaseError::severity);
            let is_fatal = matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic));
            is_fatal || postgres_code(&**error).is_some_and(|code| is_lost(&code))
        }
        _ => false,
    }
}

/// Whether a code of PostgreSQL says that another connection may work: connection errors (08), the
/// server is stopping or the database is gone (57P01 to 57P05), the transaction was idle for too
/// long (25P03, 25P04), the server is a standby (25006), or a pooler lost a prepared statement
/// (26000, 42P05).
fn is_lost(code: &str) -> bool {
    const LOST: [&str; 5] = ["25P03", "25P04", "25006", "26000", "42P05"];
    code.starts_with("08") || code.starts_with("57P0") || LOST.contains(&code)
}

/// Whether a pooler gave a prepared statement of one connection to another.
pub(crate) fn is_lost_statement(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(postgres_code);
    code.is_some_and(|code| code == "26000" || code == "42P05")
}

/// Whether connecting may succeed a moment later.
pub(crate) fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}

/// Whether the database cannot be reached, or a statement or a write took too long.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: i32 = 5;
    /// Lock not available, too many connections, statement canceled for taking too long.
    const POSTGRES_BUSY: [&str; 3] = ["55P03", "53300", "57014"];
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(cause) if sqlite_code(&**cause).map(primary) == Some(SQLITE_BUSY) => true,
        sqlx::Error::Database(cause)
            if postgres_code(&**cause).is_some_and(|code| POSTGRES_BUSY.contains(&code.as_ref())) =>
        {
            true
        }
        _ => breaks_connection(error) || is_lost_race(error),
    }
}

/// Whether the disk is full. SQLite cannot extend the index of its write-ahead log then, either.
pub(crate) fn is_full(error: &sqlx::Error) -> bool {
    const POSTGRES_DISK_FULL: &str = "53100";
    let Some(error) = error.as_database_error() else {
        return false;
    };
    postgres_code(error).is_some_and(|code| code == POSTGRES_DISK_FULL) || sqlite_code(error).is_some_and(is_full_code)
}

fn is_full_code(sqlite: i32) -> bool {
    const SQLITE_FULL: i32 = 13;
    const SQLITE_IOERR_SHMSIZE: i32 = SQLITE_IOERR | (19 << 8);
    primary(sqlite) == SQLITE_FULL || sqlite == SQLITE_IOERR_SHMSIZE
}

/// Whether the disk of a SQLite file failed to read, write or sync.
pub(crate) fn is_disk_failure(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlite_code);
    code.is_some_and(is_failure_code)
}

fn is_failure_code(sqlite: i32) -> bool {
    primary(sqlite) == SQLITE_IOERR && !is_full_code(sqlite)
}

/// Whether a text contains the character U+0000, which PostgreSQL cannot store.
pub(crate) fn is_unstorable_text(error: &sqlx::Error) -> bool {
    const CHARACTER_NOT_IN_REPERTOIRE: &str = "22021";
    let code = error.as_database_error().and_then(postgres_code);
    code.is_some_and(|code| code == CHARACTER_NOT_IN_REPERTOIRE)
}

fn postgres_code(error: &dyn DatabaseError) -> Option<Cow<'_, str>> {
    error
        .code()
        .filter(|_| error.try_downcast_ref::<PgDatabaseError>().is_some())
}

fn sqlite_code(error: &dyn DatabaseError) -> Option<i32> {
    let is_sqlite = error.try_downcast_ref::<SqliteError>().is_some();
    error.code().filter(|_| is_sqlite)?.parse().ok()
}

/// The primary result code of an extended one.
fn primary(code: i32) -> i32 {
    code & 0xff
}

/// Whether a transaction of PostgreSQL lost a race with another one, so that it can be retried.
pub(crate) fn is_lost_race(error: &sqlx::Error) -> bool {
    const SERIALIZATION_FAILURE: &str = "40001";
    const DEADLOCK: &str = "40P01";
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == SERIALIZATION_FAILURE || code == DEADLOCK)
}

/// Whether another server changes the same table now, or has just done so.
pub(crate) fn is_concurrent_change(error: &sqlx::Error) -> bool {
    /// Undefined table, not in the required state, duplicate table, lock not available.
    const CHANGED: [&str; 4] = ["42P01", "55000", "42P07", "55P03"];
    let code = error.as_database_error().and_then(postgres_code);
    code.is_some_and(|code| CHANGED.contains(&code.as_ref()))
}

/// Whether the server does not support a statement.
pub(crate) fn is_unsupported(error: &sqlx::Error) -> bool {
    const FEATURE_NOT_SUPPORTED: &str = "0A000";
    let code = error.as_database_error().and_then(postgres_code);
    code.is_some_and(|code| code == FEATURE_NOT_SUPPORTED)
}

/// Whether a row has no partition, since it was detached a moment ago.
pub(crate) fn is_missing_partition(error: &sqlx::Error) -> bool {
    const CHECK_VIOLATION: &str = "23514";
    let Some(error) = error.as_database_error() else {
        return false;
    };
    // The violation of a constraint names it.
    error.constraint().is_none() && postgres_code(error).is_some_and(|code| code == CHECK_VIOLATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_disk_is_not_a_full_one() {
        // SQLITE_IOERR_READ, _WRITE, _FSYNC
        for failure in [10, 266, 778, 1034] {
            assert!(is_failure_code(failure) && !is_full_code(failure), "{failure}");
        }
        // SQLITE_FULL, SQLITE_IOERR_SHMSIZE
        for full in [13, 4874] {
            assert!(is_full_code(full) && !is_failure_code(full), "{full}");
        }
        assert!(!is_full_code(5) && !is_failure_code(5));
    }

    #[test]
    fn a_server_that_stops_or_cannot_write_is_left() {
        for lost in ["08006", "57P01", "57P04", "57P05", "25006", "25P03", "26000"] {
            assert!(is_lost(lost), "{lost}");
        }
        for other in ["23505", "40001", "55P03", "57014", "22021"] {
            assert!(!is_lost(other), "{other}");
        }
    }
}
