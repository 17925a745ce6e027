//! What stands in the wizard, step by step.

use auditstream_model::{AggregateItem, DestinationInput, DestinationKind, ServerSideEncryption, SpecInput, Status};
use leptos::prelude::*;

use crate::components::{Field, TagsInput};

/// The entries of all steps.
#[derive(Clone, Copy)]
pub(super) struct Entries {
    pub name: Field,
    pub id: Field,
    pub description: Field,
    pub tags: TagsInput,
    /// Id and name of the selected connector.
    pub connector: RwSignal<Option<(String, String)>>,
    pub bucket: Field,
    pub prefix: Field,
    pub format: RwSignal<String>,
    pub compression: RwSignal<String>,
    pub start_at: RwSignal<String>,
    pub sse: RwSignal<String>,
    pub kms_key: Field,
    pub storage_class: RwSignal<String>,
    pub owner: Field,
    status: Status,
}

impl Entries {
    /// Those of a destination, or of a new one.
    pub fn of(item: Option<&AggregateItem>) -> Self {
        let old = item.map(|item| &item.streaming_destination);
        let spec = old.map(|old| &old.spec);
        let text = |text: Option<String>| Field::new(text.unwrap_or_default());
        let (sse, key) = match spec.map(|spec| &spec.sse) {
            None | Some(ServerSideEncryption::None) => ("none", None),
            Some(ServerSideEncryption::Aes256) => ("AES256", None),
            Some(ServerSideEncryption::Kms { kms_key_id }) => ("kms", Some(kms_key_id.clone())),
        };
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
            format: RwSignal::new(spec.map(|spec| spec.format).unwrap_or_default().to_string()),
            compression: RwSignal::new(spec.map(|spec| spec.compression).unwrap_or_default().to_string()),
            start_at: RwSignal::new(spec.map(|spec| spec.start_at).unwrap_or_default().to_string()),
            sse: RwSignal::new(sse.to_owned()),
            kms_key: text(key),
            storage_class: RwSignal::new(spec.and_then(|spec| spec.storage_class.clone()).unwrap_or_default()),
            owner: text(spec.and_then(|spec| spec.expected_bucket_owner.clone())),
            status: old.map_or(Status::Inactive, |old| old.status),
        }
    }

    /// What is sent when it is saved.
    pub fn input(self) -> DestinationInput {
        DestinationInput {
            identifier: self.id.value.get(),
            name: self.name.value.get(),
            description: self.description.value.get(),
            tags: self.tags.tags.get(),
            status: Some(self.status),
            connector_ref: self.connector.get().map(|(id, _)| id).unwrap_or_default(),
            spec: SpecInput {
                kind: DestinationKind::AwsS3,
                bucket: self.bucket.value.get().trim().to_owned(),
                prefix: Some(self.prefix.value.get().trim().to_owned()),
                format: self.format.get().parse().ok(),
                compression: self.compression.get().parse().ok(),
                start_at: self.start_at.get().parse().ok(),
                sse: Some(match self.sse.get().as_str() {
                    "AES256" => ServerSideEncryption::Aes256,
                    "kms" => ServerSideEncryption::Kms {
                        kms_key_id: self.kms_key.value.get().trim().to_owned(),
                    },
                    _ => ServerSideEncryption::None,
                }),
                storage_class: Some(self.storage_class.get()),
                expected_bucket_owner: Some(self.owner.value.get().trim().to_owned()),
            },
        }
    }

    /// Whether something under "More options" is not as it is for a new destination.
    pub fn has_options(self) -> bool {
        let defaults = SpecInput::defaults(self.bucket.now().trim());
        untrack(|| self.input()).spec != defaults
    }
}
