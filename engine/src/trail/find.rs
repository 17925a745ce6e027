//! Finds one event by its sequence or its id.

use auditstream_model::{AuditEvent, Code, EventFilter, EventKey, Permission, Sequence};
use sha2::{Digest as _, Sha256};

use super::ids::sequence_of;
use super::readers::note_reading;
use super::search::event_at;
use crate::error::{Error, Result};
use crate::{Actor, Engine};

/// The name of one event in an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventRef {
    /// Its position in the trail.
    Sequence(Sequence),
    /// Its `auditEventId`.
    Id(String),
}

impl EventRef {
    /// Parses a name. Without a key, digits are a sequence, and any other text is an id.
    ///
    /// # Errors
    /// [`Code::NotFound`] if the text is not a sequence and the key requires one.
    pub fn parse(text: &str, key: Option<EventKey>) -> Result<Self> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let sequence = text.parse().ok().filter(|_| is_number);
        match (key, sequence) {
            (Some(EventKey::Id), _) | (None, None) => Ok(Self::Id(text.to_owned())),
            (_, Some(sequence)) => Ok(Self::Sequence(sequence)),
            (Some(EventKey::Sequence), None) => Err(Error::refused(
                Code::NotFound,
                format!("“{text}” is not a sequence, which is a number such as 17."),
            )),
        }
    }
}

/// Returns an event.
///
/// # Errors
/// [`Code::NotFound`] if the account has no such event, or retention has removed it.
pub async fn find(engine: &Engine, actor: &Actor, wanted: &EventRef) -> Result<AuditEvent> {
    actor.require(Permission::ViewAudit)?;
    note_reading(engine, actor, &EventFilter::default()).await;
    let sequence = match wanted {
        EventRef::Sequence(sequence) => is_kept(engine, actor, *sequence).await?.then_some(*sequence),
        EventRef::Id(id) => {
            let mut digest = [0; 16];
            digest.copy_from_slice(&Sha256::digest(id.as_bytes())[..16]);
            sequence_of(engine.database(), actor.account_id(), &digest).await?
        }
    };
    let event = match sequence {
        Some(sequence) => event_at(engine, actor, sequence).await?,
        None => None,
    };
    event.ok_or_else(|| match wanted {
        EventRef::Sequence(sequence) => Error::not_found("event", &sequence.to_string()),
        EventRef::Id(id) => Error::not_found("event", id),
    })
}

/// Whether an account's trail has an event with a sequence: one that was given out, is in no
/// declared gap, and that retention has not removed.
async fn is_kept(engine: &Engine, actor: &Actor, sequence: Sequence) -> Result<bool> {
    let kept: Option<Sequence> = sqlx::query_scalar(
        "SELECT first_sequence
         FROM account
         WHERE id = $1
           AND $2 BETWEEN first_sequence AND last_sequence
           AND NOT EXISTS (SELECT 1 FROM sequence_gap g
                           WHERE g.account_id = account.id AND $2 BETWEEN g.first_sequence AND g.last_sequence)",
    )
    .bind(actor.account_id())
    .bind(sequence)
    .fetch_optional(engine.database().read())
    .await?;
    Ok(kept.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_sequence_unless_the_key_is_the_id() {
        let parsed = |text: &str, key| EventRef::parse(text, key).ok();
        assert_eq!(parsed("17", None), Some(EventRef::Sequence(17)));
        assert_eq!(parsed("17", Some(EventKey::Id)), Some(EventRef::Id("17".to_owned())));
        let long = "99999999999999999999";
        for id in ["e1", "+17", "-17", "", long] {
            assert_eq!(parsed(id, None), Some(EventRef::Id(id.to_owned())), "{id}");
            assert_eq!(parsed(id, Some(EventKey::Sequence)), None, "{id}");
        }
    }
}
