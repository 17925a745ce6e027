//! Streaming destinations.

mod overview;
mod spec;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::overview::{
    AggregateItem, Cards, ConnectorInfo, DestinationView, FailureInfoCard, HeldBack, LastStreamedCard, StatusCount,
    StreamingDetails,
};
pub use self::spec::{Compression, DestinationKind, DestinationSpec, Format, ServerSideEncryption, SpecInput, StartAt};
use crate::metadata::Metadata;
use crate::wire_names::wire_names;
use crate::{Description, FieldErrors, Identifier, Name, Tags};

wire_names! {
    /// Whether a destination is streamed to.
    #[derive(Default)]
    pub enum Status {
        /// Streamed to.
        Active = "ACTIVE",
        /// Paused, or never activated.
        #[default]
        Inactive = "INACTIVE",
    }
}

/// A streaming destination as a client sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DestinationInput {
    /// The id.
    #[cfg_attr(feature = "openapi", schema(value_type = Identifier))]
    pub identifier: String,
    /// The display name.
    #[cfg_attr(feature = "openapi", schema(value_type = Name))]
    pub name: String,
    /// The purpose of the destination.
    #[serde(default, deserialize_with = "crate::field::or_default")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Description>))]
    pub description: String,
    /// Labels for organising destinations.
    #[serde(default, deserialize_with = "crate::field::or_default")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Tags>))]
    pub tags: BTreeMap<String, String>,
    /// Whether it is streamed to. If omitted, a new destination is INACTIVE and a replaced one
    /// keeps its status.
    #[serde(default)]
    pub status: Option<Status>,
    /// The connector's identifier.
    #[cfg_attr(feature = "openapi", schema(value_type = Identifier))]
    pub connector_ref: String,
    /// The bucket, and how objects are written to it.
    pub spec: SpecInput,
}

/// A valid streaming destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Destination {
    /// The id.
    pub identifier: Identifier,
    /// The display name.
    pub name: Name,
    /// The purpose of the destination.
    pub description: Description,
    /// Labels for organising destinations.
    pub tags: Tags,
    /// Whether it is streamed to.
    pub status: Status,
    /// The connector's identifier.
    pub connector_ref: Identifier,
    /// The bucket, and how objects are written to it.
    pub spec: DestinationSpec,
}

impl DestinationInput {
    /// Validates the destination. Options that were omitted are taken from `stored`, or else from
    /// the defaults.
    pub fn parse(self, stored: Option<&DestinationSpec>) -> Result<Destination, FieldErrors> {
        let mut errors = FieldErrors::default();
        let metadata = Metadata::parse(&self.identifier, &self.name, &self.description, self.tags, &mut errors);
        let connector_ref = if self.connector_ref.is_empty() {
            errors.add("connector_ref", "Select a connector.");
            None
        } else {
            errors.take("connector_ref", Identifier::parse(&self.connector_ref))
        };
        let spec = self.spec.parse(stored, &mut errors);
        match (metadata, connector_ref, spec) {
            (Some(metadata), Some(connector_ref), Some(spec)) if errors.is_empty() => Ok(Destination {
                identifier: metadata.identifier,
                name: metadata.name,
                description: metadata.description,
                tags: metadata.tags,
                status: self.status.unwrap_or_default(),
                connector_ref,
                spec,
            }),
            _ => Err(errors),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> DestinationInput {
        serde_json::from_str(
            r#"{"identifier":"s","name":"S","connector_ref":"aws","spec":{"type":"AWS_S3","bucket":"logs"}}"#,
        )
        .unwrap()
    }

    #[test]
    fn options_omitted_from_a_replace_keep_their_values() {
        let mut first = input();
        first.spec.prefix = Some("siem/".into());
        first.spec.compression = Some(Compression::Zstd);
        first.spec.storage_class = Some("STANDARD_IA".into());
        let stored = first.parse(None).unwrap();
        let replaced = input().parse(Some(&stored.spec)).unwrap();
        assert_eq!(replaced.spec, stored.spec);
        assert_eq!(replaced.status, Status::Inactive);
    }

    #[test]
    fn options_omitted_from_a_new_destination_have_the_defaults() {
        let explicit = DestinationInput {
            spec: SpecInput::defaults("logs"),
            ..input()
        };
        assert_eq!(input().parse(None).unwrap(), explicit.parse(None).unwrap());
    }

    #[test]
    fn every_invalid_field_is_named() {
        let invalid = DestinationInput {
            identifier: "1".into(),
            spec: SpecInput {
                bucket: "A".into(),
                storage_class: Some("cold".into()),
                expected_bucket_owner: Some("12".into()),
                sse: Some(ServerSideEncryption::Kms {
                    kms_key_id: String::new(),
                }),
                ..SpecInput::default()
            },
            ..input()
        };
        let errors = invalid.parse(None).unwrap_err();
        let fields: Vec<_> = errors.0.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "identifier",
                "spec.bucket",
                "spec.storage_class",
                "spec.expected_bucket_owner",
                "spec.sse.kms_key_id"
            ]
        );
    }
}
