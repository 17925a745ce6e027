//! The bucket of a destination, and how objects are written to it.

use serde::{Deserialize, Serialize};

use super::batch_settings;
use super::compression::Compression;
use crate::limits::KMS_KEY_CHARS;
use crate::wire_names::wire_names;
use crate::{BucketName, FieldErrors, Prefix};

wire_names! {
    /// How the events of an object are delimited.
    #[derive(Default)]
    pub enum Format {
        /// One event per line.
        #[default]
        Ndjson = "ndjson",
        /// One JSON array.
        JsonArray = "json_array",
    }
}

wire_names! {
    /// The first event that the first activation streams.
    #[derive(Default)]
    pub enum StartAt {
        /// The event of the activation itself.
        #[default]
        Now = "now",
        /// The oldest event in the trail.
        Oldest = "oldest",
    }
}

/// How the store encrypts an object at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerSideEncryption {
    /// The bucket's own setting.
    #[default]
    #[serde(rename = "none")]
    None,
    /// Keys managed by S3.
    #[serde(rename = "AES256")]
    Aes256,
    /// A key of AWS KMS.
    #[serde(untagged)]
    Kms {
        /// The key's id or ARN.
        kms_key_id: String,
    },
}

wire_names! {
    /// The kinds of destination.
    #[derive(Default)]
    pub enum DestinationKind {
        /// Amazon S3, or a store that is compatible with it.
        #[default]
        AwsS3 = "AWS_S3",
    }
}

/// A spec as a client sends it. Options omitted from a replace keep their values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SpecInput {
    /// Always `AWS_S3`.
    #[serde(rename = "type", default)]
    pub kind: DestinationKind,
    /// The bucket's name.
    #[cfg_attr(feature = "openapi", schema(value_type = BucketName))]
    pub bucket: String,
    /// The beginning of every object key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Prefix>))]
    pub prefix: Option<String>,
    /// How events are delimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// How objects are compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// The first event that the first activation streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<StartAt>,
    /// Encryption at rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sse: Option<ServerSideEncryption>,
    /// `STANDARD_IA`, `GLACIER_IR` …; empty for the bucket's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Z0-9_]*$"))]
    pub storage_class: Option<String>,
    /// The AWS account that must own the bucket: 12 digits, or empty for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^([0-9]{12})?$"))]
    pub expected_bucket_owner: Option<String>,
    /// Whether to write without `If-None-Match`, to a store that does not honour it. A HEAD request
    /// then looks for the object before each PUT, and the store no longer refuses to overwrite an
    /// object that another client writes in between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconditional_writes: Option<bool>,
    /// Most events of one object; null for 10,000. A smaller number also applies to events that
    /// wait, but not to a batch that has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::lenient_integer::nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1, maximum = 100_000))]
    pub batch_events: Option<Option<i64>>,
    /// Most bytes of one object before compression; null for 16 MiB. A larger event is alone in its
    /// object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::lenient_integer::nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1_048_576, maximum = 67_108_864))]
    pub batch_bytes: Option<Option<i64>>,
    /// Seconds between two runs, which begin at its multiples since 1970; null for the interval of
    /// the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::lenient_integer::nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 10, maximum = 86_400))]
    pub interval_seconds: Option<Option<i64>>,
    /// The level of the compression: 1 to 9 for gzip, 1 to 19 for zstd, none without compression.
    /// Null for the default: 6 for gzip, 3 for zstd. Another compression without a level has its
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "crate::lenient_integer::nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u8>, minimum = 1, maximum = 19))]
    pub compression_level: Option<Option<i64>>,
}

/// A valid spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DestinationSpec {
    /// Always `AWS_S3`.
    #[serde(rename = "type")]
    pub kind: DestinationKind,
    /// The bucket's name.
    pub bucket: BucketName,
    /// The beginning of every object key.
    #[serde(default)]
    pub prefix: Prefix,
    /// How events are delimited.
    #[serde(default)]
    pub format: Format,
    /// How objects are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// The first event that the first activation streams.
    #[serde(default)]
    pub start_at: StartAt,
    /// Encryption at rest.
    #[serde(default)]
    pub sse: ServerSideEncryption,
    /// `STANDARD_IA`, `GLACIER_IR` …; null for the bucket's default.
    #[serde(default)]
    pub storage_class: Option<String>,
    /// The AWS account that must own the bucket; null for any.
    #[serde(default)]
    pub expected_bucket_owner: Option<String>,
    /// Whether to write without `If-None-Match`, after a HEAD request, because the store does not
    /// honour it.
    #[serde(default)]
    pub unconditional_writes: bool,
    /// Most events of one object.
    #[serde(default = "batch_settings::default_events")]
    pub batch_events: u32,
    /// Most bytes of one object before compression. A larger event is alone in its object.
    #[serde(default = "batch_settings::default_bytes")]
    pub batch_bytes: u32,
    /// Seconds between two runs; null for the interval of the server.
    #[serde(default)]
    pub interval_seconds: Option<u32>,
    /// The level of the compression; null for its default, and without compression.
    #[serde(default)]
    pub compression_level: Option<u8>,
}

impl DestinationSpec {
    /// Returns the level with which new batches are compressed; `None` without compression.
    #[must_use]
    pub fn level(&self) -> Option<u8> {
        self.compression_level.or(self.compression.default_level())
    }
}

impl From<DestinationSpec> for SpecInput {
    fn from(spec: DestinationSpec) -> Self {
        Self {
            kind: spec.kind,
            bucket: spec.bucket.into(),
            prefix: Some(spec.prefix.into()),
            format: Some(spec.format),
            compression: Some(spec.compression),
            start_at: Some(spec.start_at),
            sse: Some(spec.sse),
            storage_class: Some(spec.storage_class.unwrap_or_default()),
            expected_bucket_owner: Some(spec.expected_bucket_owner.unwrap_or_default()),
            unconditional_writes: Some(spec.unconditional_writes),
            batch_events: Some(Some(spec.batch_events.into())),
            batch_bytes: Some(Some(spec.batch_bytes.into())),
            interval_seconds: Some(spec.interval_seconds.map(Into::into)),
            compression_level: Some(spec.compression_level.map(Into::into)),
        }
    }
}

impl SpecInput {
    /// Returns the spec for `bucket` with every option set to its default.
    pub fn defaults(bucket: impl Into<String>) -> Self {
        Self {
            kind: DestinationKind::default(),
            bucket: bucket.into(),
            prefix: Some(String::new()),
            format: Some(Format::default()),
            compression: Some(Compression::default()),
            start_at: Some(StartAt::default()),
            sse: Some(ServerSideEncryption::default()),
            storage_class: Some(String::new()),
            expected_bucket_owner: Some(String::new()),
            unconditional_writes: Some(false),
            batch_events: Some(None),
            batch_bytes: Some(None),
            interval_seconds: Some(None),
            compression_level: Some(None),
        }
    }

    fn or(self, other: Self) -> Self {
        let has_same_levels = self.compression.is_none() || self.compression == other.compression;
        Self {
            kind: self.kind,
            bucket: self.bucket,
            prefix: self.prefix.or(other.prefix),
            format: self.format.or(other.format),
            compression: self.compression.or(other.compression),
            start_at: self.start_at.or(other.start_at),
            sse: self.sse.or(other.sse),
            storage_class: self.storage_class.or(other.storage_class),
            expected_bucket_owner: self.expected_bucket_owner.or(other.expected_bucket_owner),
            unconditional_writes: self.unconditional_writes.or(other.unconditional_writes),
            batch_events: self.batch_events.or(other.batch_events),
            batch_bytes: self.batch_bytes.or(other.batch_bytes),
            interval_seconds: self.interval_seconds.or(other.interval_seconds),
            compression_level: self
                .compression_level
                .or(other.compression_level.filter(|_| has_same_levels)),
        }
    }

    /// Returns `None` when bucket or prefix is invalid, after adding each error to `errors`.
    pub(super) fn parse(self, stored: Option<&DestinationSpec>, errors: &mut FieldErrors) -> Option<DestinationSpec> {
        let sent = self.or(stored.cloned().map(Self::from).unwrap_or_default());
        let bucket = errors.take("spec.bucket", BucketName::parse(sent.bucket.trim()));
        let prefix = errors.take("spec.prefix", Prefix::parse(&sent.prefix.unwrap_or_default()));
        let storage_class = sent.storage_class.filter(|class| !class.is_empty());
        if storage_class.as_deref().is_some_and(|class| !is_storage_class(class)) {
            errors.add("spec.storage_class", "A storage class looks like STANDARD_IA.");
        }
        let expected_bucket_owner = sent.expected_bucket_owner.filter(|id| !id.is_empty());
        if expected_bucket_owner.as_deref().is_some_and(|id| !is_account_id(id)) {
            errors.add("spec.expected_bucket_owner", "An AWS account id has 12 digits.");
        }
        let sse = sent.sse.unwrap_or_default();
        if let ServerSideEncryption::Kms { kms_key_id } = &sse
            && !(1..=KMS_KEY_CHARS).contains(&kms_key_id.len())
        {
            errors.add("spec.sse.kms_key_id", "Enter the id or ARN of a KMS key.");
        }
        let compression = sent.compression.unwrap_or_default();
        let batch_events = batch_settings::events(sent.batch_events, errors);
        let batch_bytes = batch_settings::bytes(sent.batch_bytes, errors);
        let interval_seconds = batch_settings::interval_seconds(sent.interval_seconds, errors);
        let compression_level = batch_settings::level(sent.compression_level, compression, errors);
        Some(DestinationSpec {
            kind: sent.kind,
            bucket: bucket?,
            prefix: prefix?,
            format: sent.format.unwrap_or_default(),
            compression,
            start_at: sent.start_at.unwrap_or_default(),
            sse,
            storage_class,
            expected_bucket_owner,
            unconditional_writes: sent.unconditional_writes.unwrap_or_default(),
            batch_events,
            batch_bytes,
            interval_seconds,
            compression_level,
        })
    }
}

fn is_storage_class(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_has_three_forms_in_json() {
        for json in [r#""none""#, r#""AES256""#, r#"{"kms_key_id":"alias/audit"}"#] {
            let sse: ServerSideEncryption = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&sse).unwrap(), json);
        }
    }
}
