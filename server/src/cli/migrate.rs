//! `auditstream migrate`

use std::fs::File;

use auditstream_engine::database::DatabaseUrl;
use auditstream_engine::relocation::{self, Progress as Copied, Relocation};

use super::output::{Progress, note};
use super::serve;
use crate::configuration::{Migrate, Settings, database_url};
use crate::fatal::Fatal;

const VARIABLE: &str = "AUDITSTREAM_MIGRATE_TO";
const MIB: i64 = 1 << 20;

/// Runs the command.
pub async fn run(settings: &Settings, options: Migrate) -> Result<(), Fatal> {
    let source = settings.database()?;
    let target = match &options.to {
        Some(url) => database_url(url, VARIABLE)?,
        // Only `--undo` works without a target.
        None => source.clone(),
    };
    let _source = lock(&source)?;
    let _target = match (&target, options.to.is_some()) {
        (DatabaseUrl::Sqlite(file), true) if file.parent().is_some_and(|folder| !folder.is_dir()) => {
            return Err(Fatal::new(format!("there is no folder for {target}: create it first")));
        }
        (_, true) => lock(&target)?,
        (_, false) => None,
    };
    let relocation = Relocation {
        source,
        target,
        data_dir: Some(settings.data_dir.clone()),
        limits: settings.limits(),
    };
    if options.undo {
        relocation::undo(&relocation, options.force).await?;
        note(&format!("servers can use {} again; start them", relocation.source));
        return Ok(());
    }
    if let DatabaseUrl::Postgres(_) = relocation.target {
        // For the high-water marks, as a server does.
        drop(settings.create_data_folder());
    }
    let mut progress = Progress::new();
    let moved = relocation::relocate(&relocation, &mut |copied| progress.show(|| shown(&copied))).await;
    progress.clear();
    let moved = moved?;
    note(&format!(
        "moved {} rows of {} tables, {} MiB, to {}; both copies were read again and are equal",
        moved.rows,
        moved.tables,
        moved.bytes / MIB,
        relocation.target
    ));
    advise(settings, &relocation);
    Ok(())
}

/// Prevents servers from using a SQLite database meanwhile.
fn lock(database: &DatabaseUrl) -> Result<Option<File>, Fatal> {
    match database {
        DatabaseUrl::Sqlite(file)
            if file
                .parent()
                .is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir()) =>
        {
            serve::lock(&file.with_extension("lock")).map(Some)
        }
        _ => Ok(None),
    }
}

fn shown(copied: &Copied<'_>) -> String {
    let verb = if copied.is_copied { "comparing" } else { "copying" };
    format!(
        "{verb} {}: {} rows, {} MiB",
        copied.table,
        copied.rows,
        copied.bytes / MIB
    )
}

fn advise(settings: &Settings, relocation: &Relocation) {
    note("start the servers with AUDITSTREAM_DATABASE_URL set to the new database");
    let had_file = matches!(relocation.source, DatabaseUrl::Sqlite(_)) && settings.master_key.is_none();
    if had_file && matches!(relocation.target, DatabaseUrl::Postgres(_)) {
        note(&format!(
            "and with AUDITSTREAM_MASTER_KEY set to the content of {}",
            settings.master_key_file().display()
        ));
    }
    note(&format!(
        "no server opens {} any more; to return to it before one has opened the new database, run auditstream migrate --undo --to URL",
        relocation.source
    ));
}
