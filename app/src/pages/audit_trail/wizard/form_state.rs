//! The entries of the wizard.

use auditstream_model::{
    AggregateItem, Compression, DestinationInput, DestinationKind, Format, ServerSideEncryption, SpecInput, StartAt,
    Status,
};
use leptos::prelude::*;

use super::advanced_state::AdvancedEntries;
use crate::choice::Choice;
use crate::components::{Field, TagsInput};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EncryptionKind {
    Default,
    Aes256,
    Kms,
}

impl Choice for EncryptionKind {
    const ALL: &'static [Self] = &[Self::Default, Self::Aes256, Self::Kms];

    fn value(&self) -> &str {
        match self {
            Self::Default => "none",
            Self::Aes256 => "AES256",
            Self::Kms => "kms",
        }
    }

    fn label(&self) -> &str {
        match self {
            Self::Default => "Default of the bucket",
            Self::Aes256 => "Keys managed by S3 (AES256)",
            Self::Kms => "AWS KMS key",
        }
    }
}

/// The storage class of new objects; empty for the default of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StorageClass(std::borrow::Cow<'static, str>);

impl StorageClass {
    const fn new(name: &'static str) -> Self {
        Self(std::borrow::Cow::Borrowed(name))
    }
}

impl Choice for StorageClass {
    const ALL: &'static [Self] = &[
        Self::new(""),
        Self::new("STANDARD_IA"),
        Self::new("ONEZONE_IA"),
        Self::new("INTELLIGENT_TIERING"),
        Self::new("GLACIER_IR"),
        Self::new("GLACIER"),
        Self::new("DEEP_ARCHIVE"),
    ];

    fn value(&self) -> &str {
        &self.0
    }

    fn label(&self) -> &str {
        match &*self.0 {
            "" => "Default of the store",
            "STANDARD_IA" => "Standard, infrequent access",
            "ONEZONE_IA" => "One zone, infrequent access",
            "INTELLIGENT_TIERING" => "Intelligent tiering",
            "GLACIER_IR" => "Glacier, instant retrieval",
            "GLACIER" => "Glacier, flexible retrieval",
            "DEEP_ARCHIVE" => "Glacier, deep archive",
            other => other,
        }
    }

    /// Accepts any class, because the API does as well.
    fn from_value(value: &str) -> Option<Self> {
        Some(Self(value.to_owned().into()))
    }
}

#[derive(Clone, Copy)]
pub(super) struct DestinationForm {
    pub name: Field,
    pub id: Field,
    pub description: Field,
    pub tags: TagsInput,
    /// The id and the name of the selected connector.
    pub connector: RwSignal<Option<(String, String)>>,
    pub bucket: Field,
    pub prefix: Field,
    pub format: RwSignal<Format>,
    pub compression: RwSignal<Compression>,
    pub start_at: RwSignal<StartAt>,
    pub encryption: RwSignal<EncryptionKind>,
    pub kms_key: Field,
    pub storage_class: RwSignal<StorageClass>,
    pub owner: Field,
    pub unconditional_writes: RwSignal<bool>,
    pub advanced: AdvancedEntries,
    status: Status,
}

impl DestinationForm {
    pub(super) fn new(item: Option<&AggregateItem>) -> Self {
        let old = item.map(|item| &item.streaming_destination);
        let spec = old.map(|old| &old.spec);
        let text = |text: Option<String>| Field::new(text.unwrap_or_default());
        let (encryption, kms_key) = match spec.map(|spec| &spec.sse) {
            None | Some(ServerSideEncryption::None) => (EncryptionKind::Default, None),
            Some(ServerSideEncryption::Aes256) => (EncryptionKind::Aes256, None),
            Some(ServerSideEncryption::Kms { kms_key_id }) => (EncryptionKind::Kms, Some(kms_key_id.clone())),
        };
        let storage_class = spec.and_then(|spec| spec.storage_class.clone()).unwrap_or_default();
        Self {
            name: text(old.map(|old| old.name.to_string())),
            id: text(old.map(|old| old.identifier.to_string())),
            description: text(old.map(|old| old.description.to_string())),
            tags: TagsInput::new(old.map(|old| old.tags.as_map().clone()).unwrap_or_default()),
            connector: RwSignal::new(
                item.and_then(|item| item.connector_info.as_ref())
                    .map(|info| (info.identifier.to_string(), info.name.to_string())),
            ),
            bucket: text(spec.map(|spec| spec.bucket.as_str().to_owned())),
            prefix: text(spec.map(|spec| spec.prefix.as_str().to_owned())),
            format: RwSignal::new(spec.map(|spec| spec.format).unwrap_or_default()),
            compression: RwSignal::new(spec.map(|spec| spec.compression).unwrap_or_default()),
            start_at: RwSignal::new(spec.map(|spec| spec.start_at).unwrap_or_default()),
            encryption: RwSignal::new(encryption),
            kms_key: text(kms_key),
            storage_class: RwSignal::new(StorageClass(storage_class.into())),
            owner: text(spec.and_then(|spec| spec.expected_bucket_owner.clone())),
            unconditional_writes: RwSignal::new(spec.is_some_and(|spec| spec.unconditional_writes)),
            advanced: AdvancedEntries::new(spec),
            status: old.map_or(Status::Inactive, |old| old.status),
        }
    }

    pub(super) fn input(self) -> DestinationInput {
        DestinationInput {
            identifier: self.id.value.get(),
            name: self.name.value.get(),
            description: self.description.value.get(),
            tags: self.tags.tags.get(),
            status: Some(self.status),
            connector_ref: self.connector.get().map(|(id, _)| id).unwrap_or_default(),
            spec: self.advanced.add_to(self.options(), self.compression.get()),
        }
    }

    /// Returns the bucket and the entries of "More options".
    fn options(self) -> SpecInput {
        SpecInput {
            kind: DestinationKind::AwsS3,
            prefix: Some(trimmed(self.prefix)),
            format: Some(self.format.get()),
            compression: Some(self.compression.get()),
            start_at: Some(self.start_at.get()),
            sse: Some(match self.encryption.get() {
                EncryptionKind::Default => ServerSideEncryption::None,
                EncryptionKind::Aes256 => ServerSideEncryption::Aes256,
                EncryptionKind::Kms => ServerSideEncryption::Kms {
                    kms_key_id: trimmed(self.kms_key),
                },
            }),
            storage_class: Some(self.storage_class.get().value().to_owned()),
            expected_bucket_owner: Some(trimmed(self.owner)),
            unconditional_writes: Some(self.unconditional_writes.get()),
            ..SpecInput::defaults(trimmed(self.bucket))
        }
    }

    /// Returns whether any option under "More options" differs from its default.
    pub(super) fn has_options(self) -> bool {
        let defaults = SpecInput::defaults(self.bucket.now().trim());
        untrack(|| self.options()) != defaults
    }
}

fn trimmed(field: Field) -> String {
    field.value.get().trim().to_owned()
}
