//! A database that `auditstream migrate` moves: it must be the newest one before, and is not taken
//! for an older one after that.

use super::facts::Facts;
use super::verdict::{Evidence, Verdict, judge};
use crate::database::Database;
use crate::error::{Error, Result};
use crate::marks::{self, Found, Marks, MarksFile, Server};

/// Returns the server on which a database is.
pub(crate) async fn server(database: &Database) -> Result<Server> {
    Ok(Facts::read(database).await?.server)
}

/// Refuses a database that may be older than the numbers given out, or that no server has opened
/// yet. Returns the server on which it is.
pub(crate) async fn require_continuous(database: &Database, file: Option<&MarksFile>) -> Result<Server> {
    let installations: i64 = sqlx::query_scalar("SELECT count(*) FROM installation")
        .fetch_one(database.read())
        .await?;
    if installations == 0 {
        return Err(Error::Opening(
            "there is nothing to move: no server has used this database".to_owned(),
        ));
    }
    let facts = Facts::read(database).await?;
    let evidence = Evidence {
        found: file.map_or(Found::Missing, MarksFile::read),
        is_own: false,
        object: None,
    };
    match judge(&facts, &evidence) {
        Verdict::Continuous => Ok(facts.server),
        Verdict::Older(reason) | Verdict::OlderThanMarks(reason) => Err(Error::Opening(format!(
            "the database is older than the numbers given out from it: {reason}. Start a server on it once, which declares \
             the gap, and stop it again"
        ))),
        Verdict::Unknown(reason) => Err(Error::Opening(format!(
            "it is not known which numbers were given out: {reason}. Run auditstream restore --confirm first"
        ))),
    }
}

/// Raises the marks in a file by the numbers of a database, and by the marks of the same
/// installation in other files.
pub(crate) async fn continue_marks(
    database: &Database,
    known: impl Iterator<Item = &MarksFile>,
    file: &MarksFile,
) -> Result<()> {
    let facts = Facts::read(database).await?;
    let installation = &facts.installation.identifier;
    let found = known.filter_map(|known| match known.read() {
        Found::Marks(marks) if marks.installation == *installation => Some(marks),
        _ => None,
    });
    let known: Option<Marks> = found.reduce(|mut marks, other| {
        marks.raise(&other);
        marks
    });
    marks::write(file, facts.as_marks(known.as_ref())).await.map(drop)
}
