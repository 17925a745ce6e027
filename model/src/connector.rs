//! Connectors: how to reach AWS.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metadata::Metadata;
use crate::wire_names::wire_names;
use crate::{
    Backoff, Credentials, CredentialsInput, CrossAccount, Description, EpochMillis, FieldErrors, Identifier, Name,
    Secrets, Tags,
};

/// How to reach AWS. `C` is [`CredentialsInput`] in requests, where it contains secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectorSpec<C = Credentials> {
    /// Always `AWS`.
    #[serde(rename = "type")]
    pub kind: ConnectorKind,
    /// The region, such as `us-east-1`.
    #[serde(default = "default_region")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^[a-z0-9-]{1,64}$"))]
    pub region: String,
    /// The address of an S3-compatible store; null for AWS itself.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(pattern = r"^(https?://[A-Za-z0-9.:\[\]-]{1,255}/?)?$"))]
    pub endpoint: Option<String>,
    /// Whether requests name the bucket in the path rather than in the host.
    #[serde(default)]
    pub path_style: bool,
    /// The credentials.
    pub credentials: C,
    /// A role to assume after signing in; null for none.
    #[serde(default)]
    pub cross_account: Option<CrossAccount>,
    /// Delays and retries.
    #[serde(default)]
    pub backoff: Backoff,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

wire_names! {
    /// The kinds of connector.
    #[derive(Default)]
    pub enum ConnectorKind {
        /// Amazon Web Services, or an S3-compatible store.
        #[default]
        Aws = "AWS",
    }
}

/// A connector as a client sends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectorInput {
    /// The id.
    #[cfg_attr(feature = "openapi", schema(value_type = Identifier))]
    pub identifier: String,
    /// The display name.
    #[cfg_attr(feature = "openapi", schema(value_type = Name))]
    pub name: String,
    /// The purpose of the connector.
    #[serde(default, deserialize_with = "crate::field::or_default")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Description>))]
    pub description: String,
    /// Labels for organising connectors.
    #[serde(default, deserialize_with = "crate::field::or_default")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Tags>))]
    pub tags: BTreeMap<String, String>,
    /// How to reach AWS.
    pub spec: ConnectorSpec<CredentialsInput>,
}

/// A valid connector, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Connector {
    /// The id.
    pub identifier: Identifier,
    /// The display name.
    pub name: Name,
    /// The purpose of the connector.
    pub description: Description,
    /// Labels for organising connectors.
    pub tags: Tags,
    /// How to reach AWS.
    pub spec: ConnectorSpec,
}

impl ConnectorInput {
    /// Validates the connector. Returns its secrets separately; `None` if they were omitted.
    pub fn parse(self) -> Result<(Connector, Option<Secrets>), FieldErrors> {
        let mut errors = FieldErrors::default();
        let metadata = Metadata::parse(&self.identifier, &self.name, &self.description, self.tags, &mut errors);
        let spec = self.spec;
        if !is_region(&spec.region) {
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
        let Some(metadata) = metadata.filter(|_| errors.is_empty()) else {
            return Err(errors);
        };
        let connector = Connector {
            identifier: metadata.identifier,
            name: metadata.name,
            description: metadata.description,
            tags: metadata.tags,
            spec: ConnectorSpec {
                kind: spec.kind,
                region: spec.region,
                endpoint,
                path_style: spec.path_style,
                credentials,
                cross_account: spec.cross_account,
                backoff: spec.backoff,
            },
        };
        Ok((connector, secrets))
    }
}

fn is_region(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_http_address(text: &str) -> bool {
    let Some(host) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    !host.is_empty() && host.len() <= 255 && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
}

/// A connector with its times and its destinations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectorView {
    /// The connector, without secrets.
    pub connector: Connector,
    /// When it was created, epoch ms.
    pub created: EpochMillis,
    /// When it was last changed, epoch ms.
    pub updated: EpochMillis,
    /// Identifiers of the destinations that use it.
    pub used_by: Vec<Identifier>,
    /// The `sts:ExternalId` that a cross-account role's trust policy must require. The server
    /// generates one per account, so that no account can have Auditstream assume another's role.
    pub external_id: String,
}
