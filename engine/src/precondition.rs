//! Changes on condition that a resource is still as the caller read it (RFC 9110, sections 8.8.3
//! and 13.1.1).
//!
//! The condition is checked in the transaction that makes the change, after the row is locked: of
//! two changes with the same condition only one succeeds.

use auditstream_model::{Code, EpochMillis};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::database::now;
use crate::error::{Error, Result};

/// The version of a representation, different for different content: 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// Computes the version of a representation.
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

/// The condition of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// No condition: the last change wins.
    #[default]
    None,
    /// The resource exists.
    Exists,
    /// The resource has one of these versions.
    OneOf(Vec<String>),
}

impl Precondition {
    /// Checks the current representation; `None` if the resource does not exist.
    ///
    /// # Errors
    /// [`Code::PreconditionFailed`] when the condition is not met.
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
            "The resource no longer matches If-Match: it has been changed since you read it. Read it again, repeat \
             your change and send the new ETag.",
        ))
    }
}

/// Always later than the previous change, so that no two representations are the same.
pub(crate) fn changed_after(before: EpochMillis) -> EpochMillis {
    now().max(before.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_met_only_by_the_versions_that_it_names() {
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
