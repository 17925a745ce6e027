//! Compares the database with the marks: when it is opened, every other second, and whenever a
//! transaction doubts it.

use std::collections::BTreeMap;
use std::time::Duration;

use auditstream_model::Sequence;

use super::declare::{Restore, declare, write_marks};
use super::facts::Facts;
use super::verdict::{Evidence, Verdict, judge};
use crate::Engine;
use crate::database::{Database, Dialect};
use crate::error::Result;
use crate::failpoint;
use crate::marks::{BLOCK, BeyondCursor, Found, Marks, MarksFile, Numbering};
use crate::task::{Stop, Task};

const INTERVAL: Duration = Duration::from_secs(2);

/// Opens numbering, after a declaration if the database is older than the numbers given out.
/// Without anything to compare with, numbering stays closed until an admin confirms a restore.
pub(crate) async fn open(database: &Database, file: Option<MarksFile>) -> Result<()> {
    create_installation(database).await?;
    if let Some(file) = file {
        database.numbering().set_file(file);
    }
    compare(database).await
}

/// Compares now and then. Ends after the newest numbers were written to the file.
pub(crate) fn start(engine: Engine) -> Task {
    Task::spawn("continuity", engine.metrics().clone(), move |stop| {
        compare_periodically(engine.clone(), stop)
    })
}

async fn compare_periodically(engine: Engine, mut stop: Stop) {
    let database = engine.database();
    while !*stop.borrow() {
        failpoint::reached("continuity.compare").await;
        tokio::select! {
            _ = stop.changed() => {}
            () = database.numbering().doubted() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
        if let Err(error) = compare(database).await {
            tracing::warn!(%error, "the database could not be compared with its high-water marks; retrying in two seconds");
        }
    }
}

/// Compares until numbering is open or closed.
pub(crate) async fn compare(database: &Database) -> Result<()> {
    let _comparison = database.numbering().comparison().await;
    while !compare_once(database).await? {}
    Ok(())
}

/// Returns `false` if another server declared a restore meanwhile.
async fn compare_once(database: &Database) -> Result<bool> {
    let numbering = database.numbering();
    // Before the database is read, so that a commit in between is not taken for a contradiction.
    let (mut evidence, beyond) = evidence(numbering);
    let facts = Facts::read(database).await?;
    // Another server may have found the same objects, and declared the restore.
    let beyond = facts.still_beyond(beyond);
    evidence.object = beyond.first().map(|object| object.key.clone());
    let mut known = match &evidence.found {
        Found::Marks(marks) => Some(marks.clone()),
        Found::Missing | Found::Unreadable(_) => None,
    };
    let verdict = judge(&facts, &evidence);
    let distance = match verdict {
        Verdict::OlderThanMarks(_) => facts.most_given_out_since(database.clock().now()),
        _ => BLOCK,
    };
    match verdict {
        Verdict::Continuous => continues(database, &facts, known.as_ref(), evidence.is_own)
            .await
            .map(|()| true),
        Verdict::Older(reason) | Verdict::OlderThanMarks(reason) => {
            tracing::warn!(reason, "the database is older than the numbers given out from it");
            raise_by_file(numbering, known.as_mut());
            let restore = Restore {
                gap_ends: gap_ends(&facts, known.as_ref(), &beyond, distance),
                reason,
                beyond,
                confirmed_by: None,
            };
            declare(database, &facts, known.as_ref(), &restore).await
        }
        Verdict::Unknown(reason) => {
            numbering.close(format!(
                "{reason}. Numbers that were given out since cannot be known. An operator confirms that numbering \
                 continues after a gap with: auditstream restore --confirm"
            ));
            Ok(true)
        }
    }
}

/// Raises marks by those of other processes with the same file.
fn raise_by_file(numbering: &Numbering, known: Option<&mut Marks>) {
    if let (Some(known), Some(file)) = (known, numbering.file())
        && let Found::Marks(others) = file.read()
        && others.installation == known.installation
    {
        known.raise(&others);
    }
}

fn evidence(numbering: &Numbering) -> (Evidence, Vec<BeyondCursor>) {
    let beyond = numbering.beyond();
    let own = numbering.marks();
    let is_own = own.is_some();
    let found = match own {
        Some(marks) => Found::Marks(marks),
        None => numbering.file().map_or(Found::Missing, |file| file.read()),
    };
    let evidence = Evidence {
        found,
        is_own,
        object: None,
    };
    (evidence, beyond)
}

async fn continues(database: &Database, facts: &Facts, known: Option<&Marks>, is_own: bool) -> Result<()> {
    let numbering = database.numbering();
    if !facts.is_in_place() {
        record_place(database, facts).await?;
    }
    let marks = facts.as_marks(known);
    // The commits of this server since the last comparison are known and not written yet.
    if is_own && numbering.is_open() && numbering.written_marks().as_ref() == Some(&marks) {
        return Ok(());
    }
    // A PostgreSQL server with a read-only file system does without the file.
    let written = match write_marks(numbering, marks.clone()).await {
        Err(error) if facts.dialect == Dialect::Postgres && !is_own => {
            tracing::warn!(%error, "this server does without high-water marks outside of the database");
            numbering.remove_file();
            marks
        }
        written => written?,
    };
    // Another server may have declared a restore meanwhile: this one continues in its generation.
    let is_same = known.is_some_and(|known| known.generation == written.generation);
    if is_own && numbering.is_open() && is_same {
        numbering.compared(written);
    } else {
        numbering.open(written);
    }
    Ok(())
}

/// The last number of each account's gap: `distance` after the highest number known.
pub(super) fn gap_ends(
    facts: &Facts,
    known: Option<&Marks>,
    beyond: &[BeyondCursor],
    distance: Sequence,
) -> BTreeMap<String, Sequence> {
    let known = known.filter(|known| known.installation == facts.installation.identifier);
    let ends = facts.accounts.iter().map(|(name, account)| {
        let mark = known.map(|known| known.of(name)).unwrap_or_default();
        let objects = beyond.iter().filter(|object| object.account == *name);
        let highest = objects
            .map(|object| object.last_sequence)
            .chain([account.last_sequence, mark.reserved, mark.seen])
            .max();
        (name.clone(), highest.unwrap_or(0).saturating_add(distance))
    });
    ends.collect()
}

async fn create_installation(database: &Database) -> Result<()> {
    let identifier = format!("{:016x}", rand::random::<u64>());
    database
        .transaction("create_installation", async |tx| {
            sqlx::query(
                "INSERT INTO installation (id, identifier, generation) VALUES (1, $1, 1) ON CONFLICT DO NOTHING",
            )
            .bind(&identifier)
            .execute(&mut **tx)
            .await?;
            Ok(())
        })
        .await
}

async fn record_place(database: &Database, facts: &Facts) -> Result<()> {
    database
        .transaction("record_place", async |tx| {
            sqlx::query("UPDATE installation SET server = $2, timeline = $3 WHERE id = 1 AND generation = $1")
                .bind(facts.installation.generation)
                .bind(facts.server.identity.as_deref())
                .bind(facts.server.timeline.as_deref())
                .execute(&mut **tx)
                .await?;
            Ok(())
        })
        .await
}
