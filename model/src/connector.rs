//! How to reach AWS.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::EpochMillis;
use crate::field::FieldErrors;
use crate::identifier::{Description, Identifier, Name, Tags};

/// How long to wait between tries, and how often to try again. All times in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "snake_case")]
pub enum Backoff {
    /// The same wait each time.
    FixedDelay {
        /// The wait, ms.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        #[serde(deserialize_with = "crate::whole::number")]
        fixed_backoff: u64,
        /// Tries after the first.
        #[cfg_attr(feature = "openapi", schema(maximum = 20))]
        #[serde(deserialize_with = "crate::whole::number")]
        retry_count: u32,
    },
    /// Half of a doubling wait, and a random part of the other half.
    EqualJitter {
        /// The first wait, ms.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        #[serde(deserialize_with = "crate::whole::number")]
        base_delay: u64,
        /// The longest wait, ms.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        #[serde(deserialize_with = "crate::whole::number")]
        max_backoff_time: u64,
        /// Tries after the first.
        #[cfg_attr(feature = "openapi", schema(maximum = 20))]
        #[serde(deserialize_with = "crate::whole::number")]
        retry_count: u32,
    },
    /// A random part of a doubling wait.
    FullJitter {
        /// The first wait, ms.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        #[serde(deserialize_with = "crate::whole::number")]
        base_delay: u64,
        /// The longest wait, ms.
        #[cfg_attr(feature = "openapi", schema(maximum = 600_000))]
        #[serde(deserialize_with = "crate::whole::number")]
        max_backoff_time: u64,
        /// Tries after the first.
        #[cfg_attr(feature = "openapi", schema(maximum = 20))]
        #[serde(deserialize_with = "crate::whole::number")]
        retry_count: u32,
    },
}

impl Default for Backoff {
    fn default() -> Self {
        Self::FullJitter {
            base_delay: 500,
            max_backoff_time: 30_000,
            retry_count: 5,
        }
    }
}

impl Backoff {
    /// Tries after the first.
    #[must_use]
    pub fn retry_count(self) -> u32 {
        match self {
            Self::FixedDelay { retry_count, .. }
            | Self::EqualJitter { retry_count, .. }
            | Self::FullJitter { retry_count, .. } => retry_count,
        }
    }

    /// The wait before retry `retry` (from 1), in ms; `random` is between 0 and 1.
    #[must_use]
    pub fn delay(self, retry: u32, random: f64) -> u64 {
        let doubled = |base: u64, most: u64| {
            base.saturating_mul(1_u64.checked_shl(retry.saturating_sub(1)).unwrap_or(u64::MAX))
                .min(most)
        };
        match self {
            Self::FixedDelay { fixed_backoff, .. } => fixed_backoff,
            Self::EqualJitter {
                base_delay,
                max_backoff_time,
                ..
            } => {
                let wait = doubled(base_delay, max_backoff_time);
                wait / 2 + part(wait - wait / 2, random)
            }
            Self::FullJitter {
                base_delay,
                max_backoff_time,
                ..
            } => part(doubled(base_delay, max_backoff_time), random),
        }
    }

    fn check(self, errors: &mut FieldErrors) {
        const LONGEST: u64 = 600_000;
        if self.retry_count() > 20 {
            errors.add(
                "spec.backoff.retry_count",
                "Retry at most 20 times; what still fails is tried again at the next run.",
            );
        }
        match self {
            Self::FixedDelay { fixed_backoff, .. } if fixed_backoff > LONGEST => {
                errors.add("spec.backoff.fixed_backoff", "Wait at most 600,000 ms.");
            }
            Self::EqualJitter {
                base_delay,
                max_backoff_time,
                ..
            }
            | Self::FullJitter {
                base_delay,
                max_backoff_time,
                ..
            } => {
                if max_backoff_time > LONGEST {
                    errors.add("spec.backoff.max_backoff_time", "Wait at most 600,000 ms.");
                }
                if base_delay > max_backoff_time {
                    errors.add(
                        "spec.backoff.base_delay",
                        "The first wait is not longer than the longest.",
                    );
                }
            }
            Self::FixedDelay { .. } => {}
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "waits are far below 2^52 ms"
)]
fn part(whole: u64, random: f64) -> u64 {
    (whole as f64 * random.clamp(0.0, 1.0)) as u64
}

/// Credentials as they are sent in. Its `Debug` hides the secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "snake_case")]
pub enum CredentialsInput {
    /// An access key with its secret.
    Manual {
        /// The access key's id; not a secret.
        #[cfg_attr(feature = "openapi", schema(pattern = "^[!-~]{3,128}$"))]
        access_key: String,
        /// The secret; left out on a replace, the stored one stays.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(pattern = "^[!-~]{0,4096}$", format = Password))]
        secret_key: Option<String>,
        /// The token of temporary credentials; goes with `secret_key`.
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

/// Credentials as they are shown: without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "snake_case")]
pub enum Credentials {
    /// An access key; its secret stays on the server.
    Manual {
        /// The access key's id.
        access_key: String,
    },
    /// The host's own identity.
    Inherit,
    /// The service account of a Kubernetes pod.
    Irsa,
}

/// A role of another AWS account that is taken on after signing in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CrossAccount {
    /// `arn:aws:iam::123456789012:role/name`
    #[cfg_attr(feature = "openapi", schema(pattern = "^arn:[^:]*:iam:[^:]*:[^:]*:role/"))]
    pub role_arn: String,
}

/// How to reach AWS, generic over what is known of the credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectorSpec<C = Credentials> {
    /// Always `AWS`.
    #[serde(rename = "type")]
    pub kind: ConnectorKind,
    /// The region: `us-east-1`.
    #[serde(default = "default_region")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^[a-z0-9-]{1,64}$"))]
    pub region: String,
    /// The address of an S3-compatible store; null for AWS itself.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(pattern = r"^(https?://[A-Za-z0-9.:\[\]-]{1,255}/?)?$"))]
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path rather than in the host name.
    #[serde(default)]
    pub path_style: bool,
    /// How to sign in.
    pub credentials: C,
    /// A role to take on, if any.
    #[serde(default)]
    pub cross_account: Option<CrossAccount>,
    /// Waits and retries.
    #[serde(default)]
    pub backoff: Backoff,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

/// The kinds of connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ConnectorKind {
    /// Amazon Web Services, and what speaks its S3.
    #[default]
    #[serde(rename = "AWS")]
    Aws,
}

/// A connector as somebody sends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectorInput {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = Identifier))]
    pub identifier: String,
    /// What people call it.
    #[cfg_attr(feature = "openapi", schema(value_type = Name))]
    pub name: String,
    /// What it is for.
    #[serde(default, deserialize_with = "crate::field::or_default")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Description>))]
    pub description: String,
    /// Words to file it under.
    #[serde(default, deserialize_with = "crate::field::or_default")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Tags>))]
    pub tags: BTreeMap<String, String>,
    /// How to reach AWS.
    pub spec: ConnectorSpec<CredentialsInput>,
}

/// A connector that follows every rule, secrets apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Connector {
    /// Its id.
    pub identifier: Identifier,
    /// What people call it.
    pub name: Name,
    /// What it is for.
    pub description: Description,
    /// Words to file it under.
    pub tags: Tags,
    /// How to reach AWS.
    pub spec: ConnectorSpec,
}

/// A connector's secrets on their way to the vault. Its `Debug` shows nothing.
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

impl ConnectorInput {
    /// The connector and, where they were sent, its secrets.
    ///
    /// # Errors
    /// Every field that does not follow its rule.
    pub fn parse(self) -> Result<(Connector, Option<Secrets>), FieldErrors> {
        let mut errors = FieldErrors::default();
        let identifier = errors.take("identifier", Identifier::parse(&self.identifier));
        let name = errors.take("name", Name::parse(&self.name));
        let description = errors.take("description", Description::parse(&self.description));
        let tags = errors.take("tags", Tags::parse(self.tags));
        let spec = self.spec;
        let plain_word = |text: &str| {
            !text.is_empty()
                && text.len() <= 64
                && text
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !plain_word(&spec.region) {
            errors.add("spec.region", "A region looks like us-east-1.");
        }
        let endpoint = spec
            .endpoint
            .map(|text| text.trim().trim_end_matches('/').to_owned())
            .filter(|text| !text.is_empty());
        if endpoint.as_deref().is_some_and(|text| !is_http_address(text)) {
            errors.add(
                "spec.endpoint",
                "An endpoint is an address such as https://s3.example.com:9000, without a path.",
            );
        }
        if let Some(role) = &spec.cross_account {
            let parts: Vec<&str> = role.role_arn.splitn(6, ':').collect();
            if parts.len() != 6 || parts[0] != "arn" || parts[2] != "iam" || !parts[5].starts_with("role/") {
                errors.add(
                    "spec.cross_account.role_arn",
                    "A role looks like arn:aws:iam::123456789012:role/name.",
                );
            }
        }
        spec.backoff.check(&mut errors);
        let (credentials, secrets) = match spec.credentials {
            CredentialsInput::Inherit => (Credentials::Inherit, None),
            CredentialsInput::Irsa => (Credentials::Irsa, None),
            CredentialsInput::Manual {
                access_key,
                secret_key,
                session_token,
            } => {
                let access_key = access_key.trim().to_owned();
                if !(3..=128).contains(&access_key.len()) || !access_key.bytes().all(|b| b.is_ascii_graphic()) {
                    errors.add(
                        "spec.credentials.access_key",
                        "An access key has 3 to 128 characters, without spaces.",
                    );
                }
                let secret_key = secret_key.filter(|text| !text.is_empty());
                if secret_key
                    .as_deref()
                    .is_some_and(|text| text.len() > 4096 || !text.bytes().all(|b| b.is_ascii_graphic()))
                {
                    errors.add(
                        "spec.credentials.secret_key",
                        "A secret key has no spaces and at most 4,096 characters.",
                    );
                }
                let session_token = session_token.filter(|text| !text.is_empty());
                if session_token
                    .as_deref()
                    .is_some_and(|text| text.len() > 8192 || !text.bytes().all(|b| b.is_ascii_graphic()))
                {
                    errors.add(
                        "spec.credentials.session_token",
                        "A session token has no spaces and at most 8,192 characters.",
                    );
                }
                let secrets = secret_key.map(|secret_key| Secrets {
                    secret_key,
                    session_token,
                });
                (Credentials::Manual { access_key }, secrets)
            }
        };
        let (Some(identifier), Some(name), Some(description), Some(tags), true) =
            (identifier, name, description, tags, errors.is_empty())
        else {
            return Err(errors);
        };
        let spec = ConnectorSpec {
            kind: spec.kind,
            region: spec.region,
            endpoint,
            path_style: spec.path_style,
            credentials,
            cross_account: spec.cross_account,
            backoff: spec.backoff,
        };
        Ok((
            Connector {
                identifier,
                name,
                description,
                tags,
                spec,
            },
            secrets,
        ))
    }
}

fn is_http_address(text: &str) -> bool {
    let Some(host) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    !host.is_empty() && host.len() <= 255 && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
}

/// A connector as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectorView {
    /// The connector, without secrets.
    pub connector: Connector,
    /// Epoch ms.
    pub created: EpochMillis,
    /// Epoch ms.
    pub updated: EpochMillis,
    /// Identifiers of the destinations that use it.
    pub used_by: Vec<Identifier>,
    /// What a cross-account role's trust policy must ask for (`sts:ExternalId`): the account's own, made by the server,
    /// so that no account can have another's role taken on.
    pub external_id: String,
}

/// How a step of a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// It works.
    Success,
    /// It does not.
    Failure,
    /// An earlier step failed.
    Skipped,
}

/// One step of a connection test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TestStep {
    /// What was tried.
    pub name: String,
    /// How it ended.
    pub status: Outcome,
    /// What was found.
    pub detail: String,
}

/// Why a test failed: what to do, what it means, and what AWS said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TestError {
    /// What to do.
    pub hint: String,
    /// What it means.
    pub explanation: String,
    /// The server's own words.
    pub message: String,
}

/// The answer of a connection test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectionTest {
    /// Whether the connector works.
    pub status: Outcome,
    /// What was tried, in order.
    pub steps: Vec<TestStep>,
    /// Why it failed.
    pub error: Option<TestError>,
}

/// What a connection test tells while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestProgress {
    /// The steps that it will take, in order.
    Planned(Vec<String>),
    /// The step of this name begins.
    Begun(String),
    /// A step has ended.
    Ended(TestStep),
    /// The whole answer; nothing follows.
    Done(ConnectionTest),
}

/// A bucket that is to be checked before a destination with it is saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BucketCheckInput {
    /// The connector to reach it with.
    #[cfg_attr(feature = "openapi", schema(value_type = Identifier))]
    pub connector_ref: String,
    /// The bucket, the prefix and how objects are stored.
    pub spec: crate::destination::SpecInput,
}

/// The answer of a bucket check: whether a destination could stream there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BucketCheck {
    /// Whether every step that streaming needs works.
    pub status: Outcome,
    /// What was tried, in order.
    pub steps: Vec<TestStep>,
    /// Why the first step that failed did.
    pub error: Option<TestError>,
    /// IAM actions that a step was refused for: `s3:PutObject` …
    pub missing_actions: Vec<String>,
    /// The IAM policy, JSON, that allows all that streaming to this bucket and prefix needs; null when nothing is missing.
    pub policy: Option<String>,
    /// Whether the server honours `If-None-Match`; null when the check did not come that far.
    pub conditional_writes: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_jitter_stays_within() {
        let equal = Backoff::EqualJitter {
            base_delay: 100,
            max_backoff_time: 1_000,
            retry_count: 9,
        };
        let full = Backoff::FullJitter {
            base_delay: 100,
            max_backoff_time: 1_000,
            retry_count: 9,
        };
        assert_eq!((equal.delay(1, 0.0), equal.delay(1, 1.0)), (50, 100));
        assert_eq!((full.delay(3, 0.0), full.delay(3, 1.0)), (0, 400));
        assert_eq!((equal.delay(99, 0.0), full.delay(99, 1.0)), (500, 1_000));
        assert_eq!(
            Backoff::FixedDelay {
                fixed_backoff: 7,
                retry_count: 1
            }
            .delay(5, 0.3),
            7
        );
    }

    #[test]
    fn debug_never_shows_a_secret() {
        let sent: CredentialsInput =
            serde_json::from_str(r#"{"type":"MANUAL","access_key":"AKIA","secret_key":"hush","session_token":"psst"}"#)
                .unwrap();
        let shown = format!(
            "{sent:?}{:?}",
            Secrets {
                secret_key: "hush".into(),
                session_token: Some("psst".into())
            }
        );
        assert!(shown.contains("AKIA") && !shown.contains("hush") && !shown.contains("psst"));
    }
}
