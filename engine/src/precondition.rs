//! Changes on condition that the thing is still what the caller read (RFC 9110, sections 8.8.3 and 13.1.1).
//!
//! The condition is checked in the transaction that makes the change, when the thing's row is held: of two changes with the
//! same condition one finds the other's.

use auditstream_model::{Code, EpochMillis};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::database::now;
use crate::error::{Error, Result};

/// What a representation is known by: another one for each that differs. 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn of(representation: &impl Serialize) -> Result<Self> {
        let digest = Sha256::digest(serde_json::to_vec(representation)?);
        Ok(Self(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a change is made on condition of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing: the last change wins.
    #[default]
    None,
    /// The thing is there.
    Exists,
    /// The thing is one of these versions.
    OneOf(Vec<String>),
}

impl Precondition {
    /// Checks what is there now.
    ///
    /// # Errors
    /// [`Code::PreconditionFailed`] when it is not what the caller named.
    pub fn check(&self, current: Option<&impl Serialize>) -> Result<()> {
        let met = match (self, current) {
            (Self::None, _) | (Self::Exists, Some(_)) => true,
            (Self::OneOf(versions), Some(current)) => {
                let current = Version::of(current)?;
                versions.iter().any(|version| version == current.as_str())
            }
            (Self::Exists | Self::OneOf(_), None) => false,
        };
        if met {
            return Ok(());
        }
        Err(Error::refused(
            Code::PreconditionFailed,
            "It is not what If-Match names: somebody changed it meanwhile. Read it again, make the change to what is there \
             now, and send the ETag that came with it.",
        ))
    }
}

/// When a change is made, epoch ms: never when the one before was, so that no two representations are the same.
pub(crate) fn changed_after(before: EpochMillis) -> EpochMillis {
    now().max(before.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_met_by_what_it_names_alone() {
        let thing = serde_json::json!({"name": "a"});
        let version = Version::of(&thing).unwrap().as_str().to_owned();
        for (condition, of_thing, of_nothing) in [
            (Precondition::None, true, true),
            (Precondition::Exists, true, false),
            (Precondition::OneOf(vec!["x".into(), version]), true, false),
            (Precondition::OneOf(vec!["x".into()]), false, false),
            (Precondition::OneOf(Vec::new()), false, false),
        ] {
            assert_eq!(condition.check(Some(&thing)).is_ok(), of_thing, "{condition:?}");
            assert_eq!(condition.check(None::<&()>).is_ok(), of_nothing, "{condition:?}");
        }
    }
}
