//! `auditstream backup`

use auditstream_engine::continuity;
use auditstream_engine::database::DatabaseUrl;

use super::output::note;
use crate::configuration::{Backup, Settings};
use crate::fatal::Fatal;

/// Runs the command.
pub async fn run(settings: &Settings, options: Backup) -> Result<(), Fatal> {
    let DatabaseUrl::Sqlite(database) = settings.database()? else {
        return Err(Fatal::new(
            "this command copies SQLite databases; for PostgreSQL use pg_dump, pg_basebackup or your provider's \
             backups, as docs/operations.md describes under Backup and restore",
        ));
    };
    let made = continuity::backup(&database, &options.file).await?;
    note(&format!(
        "copied {} event(s), {} bytes, to {}",
        made.events,
        made.bytes,
        options.file.display()
    ));
    note("the master key is not part of the copy: keep it elsewhere");
    Ok(())
}
