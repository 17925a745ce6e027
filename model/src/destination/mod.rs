//! Streaming destinations.

mod batch_settings;
mod compression;
mod overview;
mod spec;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::compression::Compression;
pub use self::overview::{
    AggregateItem, Cards, ConnectorInfo, DestinationView, FailureInfoCard, HeldBack, LastStreamedCard, StatusCount,
    StreamingDetails,
};
pub use self::spec::{DestinationKind, DestinationSpec, Format, ServerSideEncryption, SpecInput, StartAt};
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

    fn with(options: &str) -> DestinationInput {
        let json = format!(
            r#"{{"identifier":"s","name":"S","connector_ref":"aws",
                "spec":{{"type":"AWS_S3","bucket":"logs",{options}}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn sizes_interval_and_level_have_limits_and_defaults() {
        let spec = with(r#""batch_events":1,"batch_bytes":1048576,"interval_seconds":10,"compression_level":1"#)
            .parse(None)
            .unwrap()
            .spec;
        assert_eq!((spec.batch_events, spec.batch_bytes), (1, 1 << 20));
        assert_eq!((spec.interval_seconds, spec.level()), (Some(10), Some(1)));
        let most = with(
            r#""batch_events":100000,"batch_bytes":67108864.0,"interval_seconds":86400,"compression":"zstd","compression_level":19"#,
        );
        assert_eq!(most.parse(None).unwrap().spec.level(), Some(19));
        let spec = input().parse(None).unwrap().spec;
        assert_eq!((spec.batch_events, spec.batch_bytes), (10_000, 16 << 20));
        assert_eq!((spec.interval_seconds, spec.level()), (None, Some(6)));
        assert_eq!(
            with(r#""compression":"zstd""#).parse(None).unwrap().spec.level(),
            Some(3)
        );
        assert_eq!(with(r#""compression":"none""#).parse(None).unwrap().spec.level(), None);
        for (invalid, field) in [
            (r#""batch_events":0"#, "spec.batch_events"),
            (r#""batch_events":100001"#, "spec.batch_events"),
            (r#""batch_events":-1"#, "spec.batch_events"),
            (r#""batch_bytes":1048575"#, "spec.batch_bytes"),
            (r#""batch_bytes":67108865"#, "spec.batch_bytes"),
            (r#""interval_seconds":9"#, "spec.interval_seconds"),
            (r#""interval_seconds":86401"#, "spec.interval_seconds"),
            (r#""compression_level":0"#, "spec.compression_level"),
            (r#""compression_level":10"#, "spec.compression_level"),
            (r#""compression_level":300"#, "spec.compression_level"),
            (
                r#""compression":"zstd","compression_level":20"#,
                "spec.compression_level",
            ),
            (
                r#""compression":"none","compression_level":1"#,
                "spec.compression_level",
            ),
        ] {
            let errors = with(invalid).parse(None).unwrap_err();
            assert_eq!(errors.0.len(), 1, "{invalid}");
            assert_eq!(errors.0[0].field, field, "{invalid}");
        }
    }

    #[test]
    fn null_is_the_default_and_omitted_is_as_stored() {
        let stored = with(r#""batch_events":5,"batch_bytes":2000000,"interval_seconds":60,"compression_level":9"#)
            .parse(None)
            .unwrap();
        assert_eq!(input().parse(Some(&stored.spec)).unwrap().spec, stored.spec);
        let reset = with(r#""batch_events":null,"batch_bytes":null,"interval_seconds":null,"compression_level":null"#);
        let text = serde_json::to_string(&reset).unwrap();
        assert_eq!(serde_json::from_str::<DestinationInput>(&text).unwrap(), reset);
        assert_eq!(
            reset.parse(Some(&stored.spec)).unwrap().spec,
            input().parse(None).unwrap().spec
        );
        // A level belongs to its compression.
        let other = with(r#""compression":"zstd""#).parse(Some(&stored.spec)).unwrap().spec;
        assert_eq!((other.batch_events, other.level()), (5, Some(3)));
        let same = with(r#""compression":"gzip""#).parse(Some(&stored.spec)).unwrap().spec;
        assert_eq!(same.level(), Some(9));
    }

    #[test]
    fn a_stored_spec_without_sizes_has_the_defaults() {
        let spec: DestinationSpec = serde_json::from_str(r#"{"type":"AWS_S3","bucket":"logs"}"#).unwrap();
        assert_eq!(spec, input().parse(None).unwrap().spec);
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
