//! API tokens, as admins see them.

use serde::{Deserialize, Serialize};

use crate::EpochMillis;
use crate::access::Scope;
use crate::field::FieldErrors;
use crate::identifier::Name;
use crate::limits::TOKEN_DAYS;

/// What every token begins with, so that secret scanners know it. 43 characters of base64url follow.
pub const TOKEN_MARK: &str = "auditstream_";

/// An API token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiToken {
    /// What it is revoked by; no secret.
    pub id: String,
    /// What it is for; audit events name it by this.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created: EpochMillis,
    /// When it stops to be good; never without.
    pub expires: Option<EpochMillis>,
    /// When it was last used, to the minute.
    pub last_used: Option<EpochMillis>,
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiTokenInput {
    /// What it is for; no other token of the account has this name.
    #[cfg_attr(feature = "openapi", schema(value_type = Name))]
    pub name: String,
    /// What it may be used for; one or more.
    #[cfg_attr(feature = "openapi", schema(min_items = 1))]
    pub scopes: Vec<Scope>,
    /// Days until it stops to be good, 1 to 3650; never without.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 3650))]
    #[serde(default, deserialize_with = "crate::whole::optional")]
    pub expires_in_days: Option<u32>,
}

impl ApiTokenInput {
    /// The name, and the scopes each once.
    ///
    /// # Errors
    /// Each field that does not follow its rule.
    pub fn parse(&self) -> Result<(Name, Vec<Scope>), FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.take("name", Name::parse(&self.name));
        let scopes: Vec<_> = Scope::ALL
            .into_iter()
            .filter(|scope| self.scopes.contains(scope))
            .collect();
        if scopes.is_empty() {
            errors.add("scopes", "A token needs one or more of the scopes ingest, read, admin.");
        }
        if self.expires_in_days.is_some_and(|days| !TOKEN_DAYS.contains(&days)) {
            errors.add(
                "expires_in_days",
                format!(
                    "It must be between {} and {} days.",
                    TOKEN_DAYS.start(),
                    TOKEN_DAYS.end()
                ),
            );
        }
        match name {
            Some(name) if errors.is_empty() => Ok((name, scopes)),
            _ => Err(errors),
        }
    }
}

/// A token at the only moment that it is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedApiToken {
    /// What requests send: `Authorization: Bearer …`.
    pub token: String,
    /// The rest.
    pub api_token: ApiToken,
}

impl std::fmt::Debug for CreatedApiToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedApiToken")
            .field("api_token", &self.api_token)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_token() {
        let made: CreatedApiToken = serde_json::from_str(
            r#"{"token":"hush","api_token":{"id":"1","name":"SIEM","scopes":["read"],"created_by":"ada","created":1,"expires":null,"last_used":null}}"#,
        )
        .unwrap();
        let shown = format!("{made:?}");
        assert!(shown.contains("SIEM") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn a_token_has_a_name_scopes_and_an_end_that_is_not_far_away() {
        let input = |name: &str, scopes: &[Scope], days| ApiTokenInput {
            name: name.to_owned(),
            scopes: scopes.to_vec(),
            expires_in_days: days,
        };
        let (_, scopes) = input("SIEM", &[Scope::Read, Scope::Ingest, Scope::Read], Some(90))
            .parse()
            .unwrap();
        assert_eq!(scopes, [Scope::Ingest, Scope::Read]);
        assert!(input("SIEM", &[Scope::Read], None).parse().is_ok());
        for (wrong, field) in [
            (input("", &[Scope::Read], None), "name"),
            (input("a", &[], None), "scopes"),
            (input("a", &[Scope::Read], Some(0)), "expires_in_days"),
            (input("a", &[Scope::Read], Some(3651)), "expires_in_days"),
        ] {
            assert!(wrong.parse().unwrap_err().of(field).is_some(), "{wrong:?}");
        }
    }
}
