//! Opens a SQLite file.

use std::path::Path;
use std::sync::Arc;

use super::background::BackgroundQueue;
use super::checkpoints::Checkpoints;
use super::migrate::migrate_sqlite;
use super::search_pool::SearchPool;
use super::{Clock, Database, Dialect, Limits, Purpose, connect, memory, url, usable};
use crate::id_filters::IdFilters;
use crate::marks::Numbering;
use crate::months::KnownMonths;

/// One connection writes. Checkpoints are made [elsewhere](super::checkpoints), not by a commit
/// that happens to exceed a number of pages. A new file keeps track of its pages, so that those
/// that are free can be given back; an existing one stays as it was created.
const WRITER: &str = "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
    PRAGMA wal_autocheckpoint = 0";
/// Memory mapping stays off: under it a disk that fails to read ends the process instead of failing
/// the statement.
const READER: &str = "PRAGMA mmap_size = 0";
const READERS: u32 = 4;

pub(super) async fn open(file: &Path, limits: &Limits, purpose: Purpose) -> Result<Database, String> {
    let dialect = Dialect::Sqlite;
    let url = |mode| url::sqlite_url(file, mode).map_err(|error| error.to_string());
    let (create, write, read) = (url("rwc")?, url("rw")?, url("ro")?);
    make_private(file).map_err(|error| error.to_string())?;
    let caches = memory::caches();
    let setup = format!(
        "{WRITER}; PRAGMA journal_size_limit = {}; PRAGMA cache_size = -{}",
        limits.wal_bytes, caches.writer
    );
    let writers = connect(&create, 1, limits, dialect, &setup).await?;
    if purpose == Purpose::Use {
        usable::require(&writers, dialect).await?;
    }
    migrate_sqlite(&writers).await?;
    let setup = format!("{READER}; PRAGMA cache_size = -{}", caches.reader);
    let readers = connect(&read, READERS, limits, dialect, &setup).await?;
    let checkpoints = Checkpoints::start(&write, file, readers.clone(), limits.wal_bytes).await;
    let checkpoints = checkpoints.map_err(|error| error.to_string())?;
    Ok(Database {
        dialect,
        pulse: writers.clone(),
        writers,
        readers,
        search: SearchPool::sqlite(file)?,
        background: BackgroundQueue::new(dialect),
        begin: limits.begin(dialect, ""),
        checkpoints: Some(Arc::new(checkpoints)),
        numbering: Numbering::default(),
        clock: Clock::default(),
        id_filters: IdFilters::default(),
        months: KnownMonths::default(),
    })
}

/// Creates the file of a new database, readable by its owner only; SQLite gives the -wal and -shm
/// files the same mode. An existing file is left as it is.
fn make_private(file: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
