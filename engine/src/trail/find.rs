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
    /// [`Code::InvalidParameter`] if the text is not a sequence and the key requires one.
    pub fn parse(text: &str, key: Option<EventKey>) -> Result<Self> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let sequence = text.parse().ok().filter(|_| is_number);
        match (key, sequence) {
            (Some(EventKey::Id), _) | (None, None) => Ok(Self::Id(text.to_owned())),
            (_, Some(sequence)) => Ok(Self::Sequence(sequence)),
            (Some(EventKey::Sequence), None) => Err(Error::refused(
                Code::InvalidParameter,
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
        EventRef::Sequence(sequence) => Some(*sequence),
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
