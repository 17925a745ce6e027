//! A connection outside of a pool, for copies of a database.

use std::path::Path;

use sqlx::{AnyConnection, Connection as _, Executor as _};

use super::{install_drivers, url};

/// Opens an existing SQLite file without bringing its tables up to date.
pub(crate) async fn connect_sqlite(file: &Path) -> Result<AnyConnection, sqlx::Error> {
    install_drivers();
    let url = url::sqlite_url(file, "rw").map_err(sqlx::Error::Io)?;
    let mut connection = AnyConnection::connect(&url).await?;
    connection.execute("PRAGMA busy_timeout = 10000").await?;
    Ok(connection)
}
