//! How to reach AWS.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::EpochMillis;
use crate::backoff::Backoff;
use crate::credentials::{Credentials, CredentialsInput, CrossAccount, Secrets};
use crate::field::FieldErrors;
use crate::identifier::{Description, Identifier, Name, Tags};

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
            role.check(&mut errors);
        }
        spec.backoff.check(&mut errors);
        let (credentials, secrets) = spec.credentials.parse(&mut errors);
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
