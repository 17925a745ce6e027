//! `auditstream restore`

use std::path::Path;

use auditstream_engine::database::DatabaseUrl;
use auditstream_engine::{Actor, Engine, continuity};
use auditstream_model::{AccountName, Sequence};

use super::output::note;
use super::serve;
use crate::configuration::{Restore, Settings};
use crate::fatal::Fatal;

/// Runs the command.
pub async fn run(settings: &Settings, options: Restore) -> Result<(), Fatal> {
    match &options.file {
        Some(file) => place(settings, file, options.force).await?,
        None => confirm(settings, options.after).await?,
    }
    if options.file.is_some() && options.confirm {
        confirm(settings, options.after).await?;
    }
    Ok(())
}

async fn place(settings: &Settings, file: &Path, force: bool) -> Result<(), Fatal> {
    let DatabaseUrl::Sqlite(database) = settings.database()? else {
        return Err(Fatal::new(
            "this command restores SQLite databases; for PostgreSQL use pg_restore or your provider's tools, as \
             docs/operations.md describes under Backup and restore",
        ));
    };
    settings.create_data_folder()?;
    let _lock = serve::lock(&database.with_extension("lock"))?;
    let marks = database.with_extension("marks");
    if database.exists()
        && force
        && let Err(error) = continuity::remember_numbers(&database, &marks).await
    {
        note(&format!(
            "the numbers of the present database cannot be read ({error}); the high-water marks have to do"
        ));
    }
    let (copy, aside) = continuity::restore(file, &database, force).await?;
    if let Some(aside) = aside {
        note(&format!("moved the present database to {}", aside.display()));
    }
    note(&format!("restored {} event(s) to {}", copy.events, database.display()));
    if marks.exists() {
        note("at the next start, numbering continues after a gap, which the trail declares");
    } else {
        note(&format!(
            "there is no record of the numbers given out since the backup ({} is missing): before the server accepts \
             events, run auditstream restore --confirm",
            marks.display()
        ));
    }
    Ok(())
}

/// Can run while a server is running, which then notices within seconds.
async fn confirm(settings: &Settings, after: Option<Sequence>) -> Result<(), Fatal> {
    let engine = Engine::open(settings.engine()?).await?;
    let actor = Actor::command_line(&engine, &AccountName::default_account()).await?;
    if continuity::closed(&engine).is_none() {
        note("nothing to confirm: the numbers given out are known, and numbering continues after them");
    } else {
        for (account, next) in continuity::confirm(&engine, &actor, after).await? {
            note(&format!(
                "account {account}: the next event gets the sequence {}",
                next + 1
            ));
        }
        note("the sequences before are a declared gap, and every destination has a new uid");
    }
    engine.close().await;
    Ok(())
}
