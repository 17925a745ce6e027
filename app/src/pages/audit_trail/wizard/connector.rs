//! Streaming Connector: where to stream, through which connector, and how.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use super::picker::Picker;
use super::state::Course;
use crate::components::dialog::open;
use crate::components::{Icon, SelectField, Shape, TextField};

const FORMATS: &[(&str, &str)] = &[("ndjson", "NDJSON: one event a line"), ("json_array", "JSON array")];
const COMPRESSIONS: &[(&str, &str)] = &[("gzip", "gzip"), ("zstd", "Zstandard"), ("none", "None")];
const ENCRYPTIONS: &[(&str, &str)] = &[
    ("none", "As the bucket has it"),
    ("AES256", "Keys of S3 (AES256)"),
    ("kms", "A key of AWS KMS"),
];
const CLASSES: &[(&str, &str)] = &[
    ("", "As the store has it"),
    ("STANDARD_IA", "Standard, infrequent access"),
    ("ONEZONE_IA", "One zone, infrequent access"),
    ("INTELLIGENT_TIERING", "Intelligent tiering"),
    ("GLACIER_IR", "Glacier, instant retrieval"),
    ("GLACIER", "Glacier, flexible retrieval"),
    ("DEEP_ARCHIVE", "Glacier, deep archive"),
];
/// Fields under "More options", which opens when one of them is wrong.
const OPTIONS: [&str; 4] = [
    "spec.prefix",
    "spec.sse.kms_key_id",
    "spec.storage_class",
    "spec.expected_bucket_owner",
];
const STARTS: &[(&str, &str)] = &[
    ("now", "Now: what happens from then on"),
    ("oldest", "The oldest event of the trail"),
];

/// The step.
#[component]
pub(super) fn StreamingConnector(
    /// The wizard.
    course: Course,
    /// Whether it was ever active: from then on it is fixed where it starts.
    started: bool,
    /// Whether it is being saved.
    #[prop(into)]
    saving: Signal<bool>,
    /// Told that it shall be saved.
    on_save: Callback<()>,
    /// Told whether something stands in the form of a new connector.
    typed: RwSignal<bool>,
) -> impl IntoView {
    let Course {
        entries, step, wrong, ..
    } = course;
    let no_connector = wrong.of("connector_ref", entries.connector);
    let more = NodeRef::<leptos::html::Details>::new();
    // It opens for what is wrong; closing it is left to people.
    Effect::new(move |_| {
        if let (true, Some(more)) = (wrong.any(&OPTIONS), more.get()) {
            more.set_open(true);
        }
    });
    let keep = move |event: SubmitEvent| {
        event.prevent_default();
        if !saving.get_untracked() {
            on_save.run(());
        }
    };
    let picker = NodeRef::<leptos::html::Dialog>::new();
    let picker_opened = RwSignal::new(false);
    let pick = move |_| {
        picker_opened.set(true);
        open(picker);
    };
    let applied = Callback::new(move |chosen| entries.connector.set(Some(chosen)));
    view! {
        <form method="dialog" class="stack" hidden=move || step.get() != 1 on:submit=keep novalidate>
            <h2 tabindex="-1">"Streaming Connector"</h2>
            <div class="kinds" role="group" aria-label="Where to stream">
                <button type="button" class="kind" aria-pressed="true">
                    <Icon shape=Shape::Bucket />
                    "Amazon S3"
                </button>
            </div>
            <div class="field" class:field-wrong=move || no_connector.get().is_some()>
                <span class="label" id="connector-label">"Connector"</span>
                <div class="chosen" role="group" aria-labelledby="connector-label">
                    {move || match entries.connector.get() {
                        Some((id, name)) => {
                            view! { <span><strong>{name}</strong>" "<span class="mono muted">{id}</span></span> }.into_any()
                        }
                        None => view! { <span class="muted">"None selected"</span> }.into_any(),
                    }}
                    <button type="button" class="button" aria-haspopup="dialog" on:click=pick>"Select Connector"</button>
                </div>
                <p class="field-note" aria-live="polite">{no_connector}</p>
            </div>
            <TextField
                label="Amazon S3 Bucket"
                name="bucket"
                field=entries.bucket
                mono=true
                error=wrong.of("spec.bucket", entries.bucket.value)
                help="Where all streaming records are written: the bucket's name alone."
            />
            <details class="more" node_ref=more open=entries.has_options()>
                <summary>"More options"</summary>
                <div class="stack">
                    <TextField
                        label="Prefix"
                        name="prefix"
                        field=entries.prefix
                        mono=true
                        optional=true
                        error=wrong.of("spec.prefix", entries.prefix.value)
                        help="What every key begins with. It ends in /."
                    />
                    <SelectField label="Format" name="format" value=entries.format options=FORMATS />
                    <SelectField label="Compression" name="compression" value=entries.compression options=COMPRESSIONS />
                    <SelectField
                        label="Start at"
                        name="start-at"
                        value=entries.start_at
                        options=STARTS
                        disabled=started
                        help=if started {
                            "Fixed by the first activation."
                        } else {
                            "Where the first activation begins; fixed from then on."
                        }
                    />
                    <SelectField label="Encryption" name="sse" value=entries.sse options=ENCRYPTIONS help="How S3 encrypts objects at rest." />
                    <div hidden=move || entries.sse.get() != "kms">
                        <TextField
                            label="KMS key"
                            name="kms-key"
                            field=entries.kms_key
                            mono=true
                            error=wrong.of("spec.sse.kms_key_id", entries.kms_key.value)
                            help="The key's id or ARN."
                        />
                    </div>
                    <SelectField label="Storage class" name="storage-class" value=entries.storage_class options=CLASSES />
                    <TextField
                        label="Expected bucket owner"
                        name="owner"
                        field=entries.owner
                        mono=true
                        optional=true
                        error=wrong.of("spec.expected_bucket_owner", entries.owner.value)
                        help="The 12 digits of the AWS account that must own the bucket: nothing is written to anybody else's."
                    />
                </div>
            </details>
            <div class="form-actions">
                <button type="button" class="button" on:click=move |_| step.set(0)>"Back"</button>
                <button type="submit" class="button primary" aria-disabled=move || saving.get().to_string()>
                    {move || if saving.get() { "Saving…" } else { "Save and Continue" }}
                </button>
            </div>
        </form>
        <Picker node=picker on_apply=applied opened=picker_opened typed=typed />
    }
    .into_any()
}
