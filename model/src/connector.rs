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
    /// The region, such as `us-east-1`, as the store wants it in signatures: AWS' have lower-case
    /// letters, other stores' can have capitals and underscores.
    #[serde(default = "default_region")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    pub region: String,
    /// The address of an S3-compatible store, with a path if its S3 API is not at the root; null
    /// for AWS itself.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = r"^(https?://[A-Za-z0-9._:\[\]-]{1,255}(/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,63}){0,16}/?)?$")
    )]
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
        if let Some(error) = endpoint.as_deref().and_then(invalid_endpoint) {
            errors.add("spec.endpoint", error);
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

/// Returns whether a text can be the name of a region.
#[must_use]
pub fn is_region(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Returns why a text is not the address of a store; `None` if it is one.
fn invalid_endpoint(text: &str) -> Option<&'static str> {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return Some("An endpoint is an address such as https://s3.example.com:9000.");
    };
    if rest.contains('@') {
        return Some("An endpoint has no user and password: enter an access key instead.");
    }
    if rest.contains(['?', '#']) {
        return Some("An endpoint has no query and no fragment: it ends with its path.");
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_host = (1..=255).contains(&host.len())
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-:[]".contains(&b));
    if !is_host {
        return Some("An endpoint is an address such as https://s3.example.com:9000.");
    }
    (!path.is_empty() && !is_endpoint_path(path)).then_some(
        "The path of an endpoint has at most 16 parts of at most 64 letters, digits and - . _ ~, and no part begins \
         with a dot.",
    )
}

fn is_endpoint_path(path: &str) -> bool {
    path.split('/').count() <= 16
        && path.split('/').all(|part| {
            (1..=64).contains(&part.len())
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_taken_as_stores_name_them() {
        for valid in ["us-east-1", "NL", "RegionOne", "us_standard", &"r".repeat(64)] {
            assert!(is_region(valid), "{valid}");
        }
        for invalid in ["", "eu west", "a.b", "a/b", "ö", &"r".repeat(65)] {
            assert!(!is_region(invalid), "{invalid}");
        }
    }

    #[test]
    fn an_endpoint_can_have_a_path_and_an_underscore_and_nothing_else() {
        for valid in [
            "https://s3.example.com",
            "http://minio_1:9000",
            "http://[::1]:9000",
            "https://ref.supabase.co/storage/v1/s3",
            "http://127.0.0.1:9/swift/v1",
        ] {
            assert_eq!(invalid_endpoint(valid), None, "{valid}");
        }
        for (invalid, reason) in [
            ("s3.example.com", "such as"),
            ("ftp://s3.example.com", "such as"),
            ("https://", "such as"),
            ("https://key:secret@s3.example.com", "user"),
            ("https://s3.example.com/?list", "query"),
            ("https://s3.example.com/a//b", "path"),
            ("https://s3.example.com/a/../b", "path"),
            ("https://s3.example.com/a b", "path"),
        ] {
            assert!(invalid_endpoint(invalid).unwrap().contains(reason), "{invalid}");
        }
    }
}
