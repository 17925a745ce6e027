//! An operator's confirmation that numbering continues after a gap.

use auditstream_model::{Code, FieldErrors, Permission, Sequence};

use super::bucket::{Look, look};
use super::declare::{Restore, declare};
use super::facts::Facts;
use super::watch::gap_ends;
use crate::destinations::rows;
use crate::error::{Error, Result};
use crate::marks::{BLOCK, BeyondCursor};
use crate::{Actor, Engine};

/// The highest number that can be confirmed: numbers stay exact in JSON for a long time to come.
const HIGHEST: Sequence = 1 << 52;

/// Returns why no sequences are given out; `None` if they are.
#[must_use]
pub fn closed(engine: &Engine) -> Option<String> {
    engine.database().numbering().closed()
}

/// Declares a restore for which no high-water mark is known, and opens numbering. In each account
/// it continues a block after `after`, or after the highest number that the database and the
/// buckets know, plus as many numbers as can have been given out since the newest stored event.
/// Returns the next sequence of each account.
///
/// # Errors
/// [`Code::Conflict`] if numbering is open; [`Code::InvalidFields`] if `after` is out of range.
pub async fn confirm(engine: &Engine, actor: &Actor, after: Option<Sequence>) -> Result<Vec<(String, Sequence)>> {
    actor.require(Permission::EditAccount)?;
    let database = engine.database();
    let _comparison = database.numbering().comparison().await;
    let Some(reason) = closed(engine) else {
        return Err(Error::refused(
            Code::Conflict,
            "There is nothing to confirm: the numbers given out are known, and the server continues after them.",
        ));
    };
    if after.is_some_and(|after| !(0..=HIGHEST).contains(&after)) {
        return Err(FieldErrors::one("after", format!("A sequence is between 0 and {HIGHEST}.")).into());
    }
    let facts = Facts::read(database).await?;
    let beyond = match after {
        Some(_) => Vec::new(),
        None => look_everywhere(engine, &facts).await?,
    };
    let distance = match after {
        Some(_) => BLOCK,
        None => facts.most_given_out_since(database.clock().now()),
    };
    let mut gap_ends = gap_ends(&facts, None, &beyond, distance);
    for end in gap_ends.values_mut() {
        *end = (*end).max(after.map_or(0, |after| after + BLOCK));
    }
    let next = gap_ends.iter().map(|(name, end)| (name.clone(), end + 1)).collect();
    let reason = reason.split(". ").next().unwrap_or_default().to_owned();
    let restore = Restore {
        reason,
        gap_ends,
        beyond,
        confirmed_by: Some(actor.clone()),
    };
    if declare(database, &facts, None, &restore).await? {
        return Ok(next);
    }
    Err(Error::refused(
        Code::Conflict,
        "Another server has declared the restore meanwhile. There is nothing to confirm.",
    ))
}

async fn look_everywhere(engine: &Engine, facts: &Facts) -> Result<Vec<BeyondCursor>> {
    let mut beyond = Vec::new();
    for account in facts.accounts.values() {
        for row in rows::all(engine, account.id).await? {
            match look(engine, &row).await? {
                Look::Found(object) => beyond.push(object),
                Look::Nothing => {}
                Look::Unfinished => {
                    return Err(Error::refused(
                        Code::Unavailable,
                        format!(
                            "The bucket of “{}” did not respond, so that the numbers given out are not known. Try again, \
                             or name the last sequence with --after.",
                            row.identifier
                        ),
                    ));
                }
            }
        }
    }
    Ok(beyond)
}
