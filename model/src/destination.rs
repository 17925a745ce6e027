//! Where to stream.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::EpochMillis;
use crate::bucket::{BucketName, Prefix};
use crate::field::FieldErrors;
use crate::identifier::{Description, Identifier, Name, Tags};

/// Whether a destination is streamed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Streamed to.
    Active,
    /// Paused, or never started.
    #[default]
    Inactive,
}

impl Status {
    /// The word that API and database use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
        }
    }

    /// The status of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Inactive]
            .into_iter()
            .find(|status| status.word() == word)
    }
}

/// How the events of an object stand beside each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One event a line.
    #[default]
    Ndjson,
    /// One JSON array.
    JsonArray,
}

/// How an object is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// gzip, RFC 1952.
    #[default]
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
    /// Not at all.
    None,
}

/// Where the first activation begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// With the activation's own event.
    #[default]
    Now,
    /// With the oldest event that the trail still has.
    Oldest,
}

/// How the store encrypts the object at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerSideEncryption {
    /// As the bucket has it.
    #[default]
    #[serde(rename = "none")]
    None,
    /// With keys of S3.
    #[serde(rename = "AES256")]
    Aes256,
    /// With a key of AWS KMS.
    #[serde(untagged)]
    Kms {
        /// The key's id or ARN.
        kms_key_id: String,
    },
}

/// The kinds of destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DestinationKind {
    /// Amazon S3.
    #[default]
    #[serde(rename = "AWS_S3")]
    AwsS3,
}

/// Where and how, as somebody sends it: options left out of a replace stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SpecInput {
    /// Always `AWS_S3`.
    #[serde(rename = "type", default)]
    pub kind: DestinationKind,
    /// The bucket's name.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::bucket::BucketName))]
    pub bucket: String,
    /// What every key begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::bucket::Prefix>))]
    pub prefix: Option<String>,
    /// How events stand beside each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// How objects are compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Where the first activation begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<StartAt>,
    /// Encryption at rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sse: Option<ServerSideEncryption>,
    /// `STANDARD_IA`, `GLACIER_IR` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Z0-9_]*$"))]
    pub storage_class: Option<String>,
    /// The AWS account that must own the bucket: 12 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^([0-9]{12})?$"))]
    pub expected_bucket_owner: Option<String>,
}

/// Where and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DestinationSpec {
    /// Always `AWS_S3`.
    #[serde(rename = "type")]
    pub kind: DestinationKind,
    /// The bucket's name.
    pub bucket: BucketName,
    /// What every key begins with.
    #[serde(default)]
    pub prefix: Prefix,
    /// How events stand beside each other.
    #[serde(default)]
    pub format: Format,
    /// How objects are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// Where the first activation begins.
    #[serde(default)]
    pub start_at: StartAt,
    /// Encryption at rest.
    #[serde(default)]
    pub sse: ServerSideEncryption,
    /// `STANDARD_IA`, `GLACIER_IR` …; null for the bucket's own.
    #[serde(default)]
    pub storage_class: Option<String>,
    /// The AWS account that must own the bucket.
    #[serde(default)]
    pub expected_bucket_owner: Option<String>,
}

/// A streaming destination as somebody sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DestinationInput {
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
    /// Whether it is streamed to. Left out, a new one is INACTIVE, and one that is replaced stays as it is.
    #[serde(default)]
    pub status: Option<Status>,
    /// The connector's identifier.
    #[cfg_attr(feature = "openapi", schema(value_type = Identifier))]
    pub connector_ref: String,
    /// Where and how.
    pub spec: SpecInput,
}

/// A streaming destination that follows every rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Destination {
    /// Its id.
    pub identifier: Identifier,
    /// What people call it.
    pub name: Name,
    /// What it is for.
    pub description: Description,
    /// Words to file it under.
    pub tags: Tags,
    /// Whether it is streamed to.
    pub status: Status,
    /// The connector's identifier.
    pub connector_ref: Identifier,
    /// Where and how.
    pub spec: DestinationSpec,
}

impl DestinationInput {
    /// The destination; `stored` gives the options that were left out.
    ///
    /// # Errors
    /// Every field that does not follow its rule.
    pub fn parse(self, stored: Option<&DestinationSpec>) -> Result<Destination, FieldErrors> {
        let mut errors = FieldErrors::default();
        let identifier = errors.take("identifier", Identifier::parse(&self.identifier));
        let name = errors.take("name", Name::parse(&self.name));
        let description = errors.take("description", Description::parse(&self.description));
        let tags = errors.take("tags", Tags::parse(self.tags));
        let connector_ref = if self.connector_ref.is_empty() {
            errors.add("connector_ref", "Select a connector.");
            None
        } else {
            errors.take("connector_ref", Identifier::parse(&self.connector_ref))
        };
        let sent = self.spec;
        let bucket = errors.take("spec.bucket", BucketName::parse(sent.bucket.trim()));
        let prefix = match sent.prefix {
            Some(text) => errors.take("spec.prefix", Prefix::parse(&text)),
            None => Some(stored.map(|spec| spec.prefix.clone()).unwrap_or_default()),
        };
        let storage_class = sent
            .storage_class
            .or_else(|| stored.and_then(|spec| spec.storage_class.clone()))
            .filter(|class| !class.is_empty());
        if storage_class.as_deref().is_some_and(|class| {
            !class
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        }) {
            errors.add("spec.storage_class", "A storage class looks like STANDARD_IA.");
        }
        let owner = sent
            .expected_bucket_owner
            .or_else(|| stored.and_then(|spec| spec.expected_bucket_owner.clone()))
            .filter(|id| !id.is_empty());
        if owner
            .as_deref()
            .is_some_and(|id| id.len() != 12 || !id.bytes().all(|b| b.is_ascii_digit()))
        {
            errors.add("spec.expected_bucket_owner", "An AWS account's id has 12 digits.");
        }
        let sse = sent
            .sse
            .or_else(|| stored.map(|spec| spec.sse.clone()))
            .unwrap_or_default();
        if matches!(&sse, ServerSideEncryption::Kms { kms_key_id } if kms_key_id.is_empty() || kms_key_id.len() > 2048)
        {
            errors.add("spec.sse.kms_key_id", "A KMS key's id or ARN is needed.");
        }
        match (identifier, name, description, tags, connector_ref, bucket, prefix) {
            (
                Some(identifier),
                Some(name),
                Some(description),
                Some(tags),
                Some(connector_ref),
                Some(bucket),
                Some(prefix),
            ) if errors.is_empty() => {
                let spec = DestinationSpec {
                    kind: sent.kind,
                    bucket,
                    prefix,
                    format: sent.format.or(stored.map(|spec| spec.format)).unwrap_or_default(),
                    compression: sent
                        .compression
                        .or(stored.map(|spec| spec.compression))
                        .unwrap_or_default(),
                    start_at: sent.start_at.or(stored.map(|spec| spec.start_at)).unwrap_or_default(),
                    sse,
                    storage_class,
                    expected_bucket_owner: owner,
                };
                Ok(Destination {
                    identifier,
                    name,
                    description,
                    tags,
                    status: self.status.unwrap_or_default(),
                    connector_ref,
                    spec,
                })
            }
            _ => Err(errors),
        }
    }
}

/// A streaming destination as it is sent back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DestinationView {
    /// The destination.
    pub streaming_destination: Destination,
    /// When it was made, epoch ms.
    pub created: EpochMillis,
    /// When it was last changed, epoch ms.
    pub updated: EpochMillis,
    /// When its status last changed, epoch ms.
    pub status_updated: EpochMillis,
}

/// What is said of a destination's connector beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectorInfo {
    /// What people call it.
    pub name: Name,
    /// Its id.
    pub identifier: Identifier,
    /// What it is for.
    pub description: Description,
    /// Words it is filed under.
    pub tags: Tags,
}

/// What a destination has yet to receive of events that are older than the retention, and are kept for that alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldBack {
    /// How many.
    pub events: i64,
    /// Of their payloads.
    pub bytes: i64,
}

/// How the streaming to a destination goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StreamingDetails {
    /// The latest batch's status.
    pub status: Option<crate::batch::BatchStatus>,
    /// When a run last succeeded, with or without events; epoch ms.
    pub last_streamed_at: Option<EpochMillis>,
    /// What is wrong, while it is.
    pub error_message: Option<String>,
    /// The same with what to do about it.
    pub failure: Option<crate::batch::Failure>,
    /// Events that wait for this destination; null until its first activation.
    pub behind: Option<i64>,
    /// The last sequence that it has confirmed; null until its first activation.
    pub cursor: Option<crate::Sequence>,
    /// When the first of the waiting events was received, epoch ms; null when none waits.
    pub waiting_since: Option<EpochMillis>,
    /// What it makes the trail keep for longer than the retention; null when nothing.
    #[serde(default)]
    pub held_back: Option<HeldBack>,
    /// Whether the bucket's server honours `If-None-Match`, by the last bucket check; null until there was one.
    #[serde(default)]
    pub conditional_writes: Option<bool>,
    /// When that was found out, epoch ms.
    #[serde(default)]
    pub conditional_writes_checked: Option<EpochMillis>,
}

/// A row of the console's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AggregateItem {
    /// The destination.
    pub streaming_destination: Destination,
    /// Its connector; null when that is gone.
    pub connector_info: Option<ConnectorInfo>,
    /// How its streaming goes.
    pub streaming_details: StreamingDetails,
}

/// How many destinations have a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatusCount {
    /// The status.
    pub status: Status,
    /// How many have it.
    pub count: u32,
}

/// When anything was last streamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LastStreamedCard {
    /// Epoch ms; null when nothing ever was.
    pub last_streamed_at: Option<EpochMillis>,
}

/// How many active destinations fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailureInfoCard {
    /// Destinations.
    pub count: u32,
}

/// The four cards above the table. The names of these fields are the reference's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Cards {
    /// Active and inactive destinations.
    pub count_by_status_card: Vec<StatusCount>,
    /// When anything was last streamed.
    pub last_streamed_card: LastStreamedCard,
    /// How many fail.
    pub failure_info_card: FailureInfoCard,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> DestinationInput {
        serde_json::from_str(
            r#"{"identifier":"s","name":"S","connector_ref":"aws","spec":{"type":"AWS_S3","bucket":"logs"}}"#,
        )
        .unwrap()
    }

    #[test]
    fn options_left_out_of_a_replace_stay_as_they_are() {
        let mut first = sent();
        first.spec.prefix = Some("siem/".into());
        first.spec.compression = Some(Compression::Zstd);
        let stored = first.parse(None).unwrap();
        let replaced = sent().parse(Some(&stored.spec)).unwrap();
        assert_eq!(replaced.spec, stored.spec);
        assert_eq!(replaced.status, Status::Inactive);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let input = DestinationInput {
            identifier: "1".into(),
            spec: SpecInput {
                bucket: "A".into(),
                ..SpecInput::default()
            },
            ..sent()
        };
        let errors = input.parse(None).unwrap_err();
        assert!(errors.of("identifier").is_some() && errors.of("spec.bucket").is_some() && errors.of("name").is_none());
    }

    #[test]
    fn encryption_reads_and_writes_the_three_forms_of_the_api() {
        for json in [r#""none""#, r#""AES256""#, r#"{"kms_key_id":"alias/audit"}"#] {
            let sse: ServerSideEncryption = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&sse).unwrap(), json);
        }
    }
}
