//! The options of a destination, all of which have a default.

use leptos::prelude::*;

use super::form_state::{DestinationForm, EncryptionKind};
use crate::components::{CheckField, FormErrors, SelectField, TextField};

const OPTION_FIELDS: [&str; 4] = [
    "spec.prefix",
    "spec.sse.kms_key_id",
    "spec.storage_class",
    "spec.expected_bucket_owner",
];

#[component]
pub(super) fn Options(
    form: DestinationForm,
    errors: FormErrors,
    /// Whether the destination was ever active, which fixes where it starts.
    is_started: bool,
) -> impl IntoView {
    let section = NodeRef::<leptos::html::Details>::new();
    // Opens if one of its fields is invalid. Only people close it.
    Effect::new(move |_| {
        if let (true, Some(section)) = (errors.has_any(&OPTION_FIELDS), section.get()) {
            section.set_open(true);
        }
    });
    view! {
        <details class="disclosure" node_ref=section open=form.has_options()>
            <summary>"More options"</summary>
            <div class="stack">
                <TextField
                    label="Prefix"
                    name="prefix"
                    field=form.prefix
                    mono=true
                    optional=true
                    error=errors.field("spec.prefix", form.prefix.value)
                    help="The start of every object key. It ends in /."
                />
                <SelectField label="Format" name="format" value=form.format />
                <SelectField label="Compression" name="compression" value=form.compression />
                <SelectField
                    label="Start at"
                    name="start-at"
                    value=form.start_at
                    disabled=is_started
                    help=if is_started {
                        "Fixed since the first activation."
                    } else {
                        "Where the first activation starts. Cannot be changed afterwards."
                    }
                />
                <SelectField label="Encryption" name="sse" value=form.encryption help="How S3 encrypts objects at rest." />
                <div hidden=move || form.encryption.get() != EncryptionKind::Kms>
                    <TextField
                        label="KMS key"
                        name="kms-key"
                        field=form.kms_key
                        mono=true
                        error=errors.field("spec.sse.kms_key_id", form.kms_key.value)
                        help="The id or ARN of the key."
                    />
                </div>
                <SelectField label="Storage class" name="storage-class" value=form.storage_class />
                <TextField
                    label="Expected bucket owner"
                    name="owner"
                    field=form.owner
                    mono=true
                    optional=true
                    error=errors.field("spec.expected_bucket_owner", form.owner.value)
                    help="The 12-digit id of the AWS account that must own the bucket. Nothing is written to a bucket of another account."
                />
                <CheckField
                    label="Write without conditions"
                    name="unconditional-writes"
                    value=form.unconditional_writes
                    help="Only for a store that does not honour If-None-Match, which the bucket check finds out. A HEAD request then looks for the object before each write, but the store no longer protects an object from being overwritten by another client."
                />
            </div>
        </details>
    }
    .into_any()
}
