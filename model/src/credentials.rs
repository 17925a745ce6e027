//! How a connector signs in to AWS.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::FieldErrors;

/// Credentials as a client sends them. `Debug` hides the secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "snake_case")]
pub enum CredentialsInput {
    /// An access key with its secret.
    Manual {
        /// The access key's id, which is not a secret.
        #[cfg_attr(feature = "openapi", schema(pattern = "^[!-~]{3,128}$"))]
        access_key: String,
        /// The secret; if a replace omits it, the stored one is kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(pattern = "^[!-~]{0,4096}$", format = Password))]
        secret_key: Option<String>,
        /// The token of temporary credentials; requires `secret_key`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(pattern = "^[!-~]{0,8192}$", format = Password))]
        session_token: Option<String>,
    },
    /// The host's own identity.
    Inherit,
    /// The service account of a Kubernetes pod.
    Irsa,
}

impl fmt::Debug for CredentialsInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manual { access_key, .. } => f
                .debug_struct("Manual")
                .field("access_key", access_key)
                .finish_non_exhaustive(),
            Self::Inherit => f.write_str("Inherit"),
            Self::Irsa => f.write_str("Irsa"),
        }
    }
}

/// Credentials without their secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "snake_case")]
pub enum Credentials {
    /// An access key; its secret never leaves the server.
    Manual {
        /// The access key's id.
        access_key: String,
    },
    /// The host's own identity.
    Inherit,
    /// The service account of a Kubernetes pod.
    Irsa,
}

/// A role of another AWS account, assumed after signing in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CrossAccount {
    /// `arn:aws:iam::123456789012:role/name`
    #[cfg_attr(feature = "openapi", schema(pattern = "^arn:[^:]*:iam:[^:]*:[^:]*:role/"))]
    pub role_arn: String,
}

/// A connector's secrets on their way to the vault. `Debug` hides them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// The secret of the access key.
    pub secret_key: String,
    /// The token of temporary credentials.
    #[serde(default)]
    pub session_token: Option<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl CredentialsInput {
    /// Splits off the secrets, `None` if omitted, and adds each invalid field to `errors`.
    pub(crate) fn parse(self, errors: &mut FieldErrors) -> (Credentials, Option<Secrets>) {
        let (access_key, secret_key, session_token) = match self {
            Self::Inherit => return (Credentials::Inherit, None),
            Self::Irsa => return (Credentials::Irsa, None),
            Self::Manual {
                access_key,
                secret_key,
                session_token,
            } => (
                access_key.trim().to_owned(),
                not_empty(secret_key),
                not_empty(session_token),
            ),
        };
        if access_key.len() < 3 || !is_plain(&access_key, 128) {
            errors.add(
                "spec.credentials.access_key",
                "An access key has 3 to 128 characters and no spaces.",
            );
        }
        if secret_key.as_deref().is_some_and(|text| !is_plain(text, 4096)) {
            errors.add(
                "spec.credentials.secret_key",
                "A secret key has no spaces and at most 4,096 characters.",
            );
        }
        if session_token.as_deref().is_some_and(|text| !is_plain(text, 8192)) {
            errors.add(
                "spec.credentials.session_token",
                "A session token has no spaces and at most 8,192 characters.",
            );
        }
        if session_token.is_some() && secret_key.is_none() {
            errors.add(
                "spec.credentials.session_token",
                "Enter the secret key as well: a session token is valid only with it.",
            );
        }
        let secrets = secret_key.map(|secret_key| Secrets {
            secret_key,
            session_token,
        });
        (Credentials::Manual { access_key }, secrets)
    }
}

fn not_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn is_plain(text: &str, max: usize) -> bool {
    text.len() <= max && text.bytes().all(|b| b.is_ascii_graphic())
}

impl CrossAccount {
    pub(crate) fn check(&self, errors: &mut FieldErrors) {
        let parts: Vec<&str> = self.role_arn.splitn(6, ':').collect();
        if parts.len() != 6 || parts[0] != "arn" || parts[2] != "iam" || !parts[5].starts_with("role/") {
            errors.add(
                "spec.cross_account.role_arn",
                "A role's ARN looks like arn:aws:iam::123456789012:role/name.",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_secret() {
        let input: CredentialsInput =
            serde_json::from_str(r#"{"type":"MANUAL","access_key":"AKIA","secret_key":"hush","session_token":"psst"}"#)
                .unwrap();
        let shown = format!(
            "{input:?}{:?}",
            Secrets {
                secret_key: "hush".into(),
                session_token: Some("psst".into())
            }
        );
        assert!(shown.contains("AKIA") && !shown.contains("hush") && !shown.contains("psst"));
    }
}
