//! Copies of a SQLite database, made while servers use it, and put in place.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use sqlx::{AnyConnection, Connection as _};

use crate::database::connect_sqlite;
use crate::error::{Error, Result};
use crate::marks::{Found, MarksFile, sync_folder};

/// The facts about a copy that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The installation from which it was made.
    pub installation: String,
    /// The number of events in it.
    pub events: i64,
    /// Its size in bytes.
    pub bytes: u64,
}

fn failed(what: &str, path: &Path, error: impl std::fmt::Display) -> Error {
    Error::Opening(format!("cannot {what} {}: {error}", path.display()))
}

/// Copies a database as it is at one moment. Servers and commands can use it meanwhile. The copy is
/// checked and readable by its owner only; it appears under its name when it is complete.
///
/// # Errors
/// [`Error::Opening`] if there is no such database, the copy exists already, or it fails the check.
pub async fn backup(database: &Path, copy: &Path) -> Result<Copy> {
    if copy.exists() {
        return Err(failed("write", copy, "the file exists; choose another name"));
    }
    let partial = with_suffix(copy, ".partial");
    remove_if_there(&partial).map_err(|error| failed("replace", &partial, error))?;
    create_private(&partial).map_err(|error| failed("create", &partial, error))?;
    let made = async {
        let mut source = connect_sqlite(database)
            .await
            .map_err(|error| failed("open", database, error))?;
        // Into an empty file, which keeps its mode.
        sqlx::query("VACUUM INTO $1")
            .bind(partial.display().to_string())
            .execute(&mut source)
            .await
            .map_err(|error| failed("write", &partial, error))?;
        source.close().await?;
        let made = mark_as_copy(&partial).await?;
        sync(&partial).map_err(|error| failed("write", &partial, error))?;
        fs::rename(&partial, copy).map_err(|error| failed("write", copy, error))?;
        sync_folder(copy).map_err(|error| failed("write", copy, error))?;
        Ok(made)
    };
    let made = made.await;
    if made.is_err() {
        // The rest of a failed copy is of no use.
        let _ = fs::remove_file(&partial);
    }
    made
}

/// Puts a copy in the place of a database, whose high-water marks stay. The next start declares the
/// restore. The caller has made sure that no server uses the database.
///
/// `replaces` moves an existing database aside; returns its new name.
///
/// # Errors
/// [`Error::Opening`] if the copy is not a database of Auditstream or is damaged, or if there is a
/// database already.
pub async fn restore(copy: &Path, database: &Path, replaces: bool) -> Result<(Copy, Option<PathBuf>)> {
    if !copy.is_file() {
        return Err(failed("restore", copy, "there is no such file"));
    }
    let journal = with_suffix(copy, "-wal");
    if fs::metadata(&journal).is_ok_and(|journal| journal.len() > 0) {
        let message = format!(
            "it is not complete without {}; make the copy with: auditstream backup",
            journal.display()
        );
        return Err(failed("restore", copy, message));
    }
    if database.exists() && !replaces {
        let message = "there is a database already; add --force to move it aside";
        return Err(failed("replace", database, message));
    }
    let partial = with_suffix(database, ".restoring");
    for suffix in ["", "-wal", "-shm"] {
        let part = with_suffix(&partial, suffix);
        remove_if_there(&part).map_err(|error| failed("replace", &part, error))?;
    }
    create_private(&partial).map_err(|error| failed("create", &partial, error))?;
    let placed = async {
        fs::copy(copy, &partial).map_err(|error| failed("copy", copy, error))?;
        make_private(&partial).map_err(|error| failed("write", &partial, error))?;
        let checked = mark_as_copy(&partial).await?;
        sync(&partial).map_err(|error| failed("write", &partial, error))?;
        let aside = database.exists().then(|| set_aside(database)).transpose()?;
        fs::rename(&partial, database).map_err(|error| failed("write", database, error))?;
        sync_folder(database).map_err(|error| failed("write", database, error))?;
        Ok((checked, aside))
    };
    let placed = placed.await;
    if placed.is_err() {
        let _ = fs::remove_file(&partial);
    }
    placed
}

/// Checks a database and marks it, so that whichever server opens it knows that it may be older
/// than the numbers given out.
async fn mark_as_copy(file: &Path) -> Result<Copy> {
    let mut connection = connect_sqlite(file)
        .await
        .map_err(|error| failed("open", file, error))?;
    let marked = check_and_mark(&mut connection, file).await;
    connection.close().await?;
    let (installation, events) = marked?;
    let bytes = fs::metadata(file).map_err(|error| failed("read", file, error))?.len();
    Ok(Copy {
        installation,
        events,
        bytes,
    })
}

async fn check_and_mark(connection: &mut AnyConnection, file: &Path) -> Result<(String, i64)> {
    let integrity: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| failed("read", file, error))?;
    if integrity != "ok" {
        return Err(failed("use", file, format!("it is damaged: {integrity}")));
    }
    let query = sqlx::query_as(
        "SELECT (SELECT identifier FROM installation WHERE id = 1),
                (SELECT coalesce(sum(last_sequence - first_sequence + 1), 0) FROM audit_segment)",
    );
    let found: (String, i64) = query.fetch_one(&mut *connection).await.map_err(|error| {
        failed(
            "use",
            file,
            format!("it is not a database of this version of Auditstream ({error})"),
        )
    })?;
    // A rollback journal leaves one file.
    sqlx::query("PRAGMA journal_mode = DELETE")
        .execute(&mut *connection)
        .await?;
    sqlx::query("UPDATE installation SET copied = 1 WHERE id = 1")
        .execute(&mut *connection)
        .await?;
    Ok(found)
}

/// Renames a database and the files that belong to it.
fn set_aside(database: &Path) -> Result<PathBuf> {
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let aside = with_suffix(database, &format!(".before-{stamp}"));
    for suffix in ["-wal", "-shm", ""] {
        let (from, to) = (with_suffix(database, suffix), with_suffix(&aside, suffix));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("move", &from, error)),
            _ => {}
        }
    }
    Ok(aside)
}

/// Raises the high-water marks by the numbers of a database that is about to be replaced.
pub async fn remember_numbers(database: &Path, marks: &Path) -> Result<()> {
    let mut connection = connect_sqlite(database).await?;
    let rows: Vec<(String, i64)> = sqlx::query_as("SELECT name, last_sequence FROM account")
        .fetch_all(&mut connection)
        .await?;
    let (installation, generation): (String, i64) =
        sqlx::query_as("SELECT identifier, generation FROM installation WHERE id = 1")
            .fetch_one(&mut connection)
            .await?;
    connection.close().await?;
    let file = MarksFile::new(marks.to_owned());
    let mut known = match file.read() {
        Found::Marks(known) if known.installation == installation && known.generation >= generation => known,
        _ => crate::marks::Marks::new(&installation, generation),
    };
    for (name, last) in rows {
        known.reserve_exactly(&name, last);
    }
    file.update(&known).map_err(|error| failed("write", marks, error))?;
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn create_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Copying a file also copies its mode.
fn make_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(())
}

fn sync(path: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).write(true).open(path)?.sync_all()
}
