//! API tokens, as admins see them.

use serde::{Deserialize, Serialize};

use crate::limits::TOKEN_DAYS;
use crate::{EpochMillis, FieldErrors, Name, Scope};

/// The beginning of every token, for secret scanners to recognise. 43 characters of base64url
/// follow.
pub const TOKEN_PREFIX: &str = "auditstream_";

/// An API token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiToken {
    /// The id to revoke it by, which is not a secret.
    pub id: String,
    /// The name, which audit events show.
    pub name: String,
    /// The uses of the token.
    pub scopes: Vec<Scope>,
    /// The person or token that created it.
    pub created_by: String,
    /// When it was created, epoch ms.
    pub created: EpochMillis,
    /// When it expires, epoch ms; null for never.
    pub expires: Option<EpochMillis>,
    /// When it was last used, epoch ms, to the minute; null for never.
    pub last_used: Option<EpochMillis>,
}

/// A token to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiTokenInput {
    /// The name; unique in the account.
    #[cfg_attr(feature = "openapi", schema(value_type = Name))]
    pub name: String,
    /// The uses of the token; one or more.
    #[cfg_attr(feature = "openapi", schema(min_items = 1))]
    pub scopes: Vec<Scope>,
    /// Days until it expires, 1 to 3650; null for never.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 3650))]
    #[serde(default, deserialize_with = "crate::lenient_integer::optional")]
    pub expires_in_days: Option<u32>,
}

impl ApiTokenInput {
    /// Validates the input; returns the name, and the scopes without duplicates.
    pub fn parse(&self) -> Result<(Name, Vec<Scope>), FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.take("name", Name::parse(&self.name));
        let scopes: Vec<_> = Scope::ALL
            .into_iter()
            .filter(|scope| self.scopes.contains(scope))
            .collect();
        if scopes.is_empty() {
            errors.add("scopes", "Select at least one scope: ingest, read or admin.");
        }
        if self.expires_in_days.is_some_and(|days| !TOKEN_DAYS.contains(&days)) {
            errors.add(
                "expires_in_days",
                format!(
                    "A token expires after {} to {} days.",
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

/// A new token, with its secret part, which is shown only once. `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedApiToken {
    /// The value for `Authorization: Bearer …`.
    pub token: String,
    /// The token without its secret.
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
    fn debug_hides_the_token() {
        let created: CreatedApiToken = serde_json::from_str(
            r#"{"token":"hush","api_token":{"id":"1","name":"SIEM","scopes":["read"],"created_by":"ada","created":1,"expires":null,"last_used":null}}"#,
        )
        .unwrap();
        let shown = format!("{created:?}");
        assert!(shown.contains("SIEM") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn a_token_needs_a_name_a_scope_and_an_expiry_within_ten_years() {
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
        for (invalid, field) in [
            (input("", &[Scope::Read], None), "name"),
            (input("a", &[], None), "scopes"),
            (input("a", &[Scope::Read], Some(0)), "expires_in_days"),
            (input("a", &[Scope::Read], Some(3651)), "expires_in_days"),
        ] {
            assert!(invalid.parse().unwrap_err().of(field).is_some(), "{invalid:?}");
        }
    }
}
