//! The size of objects, the interval, and the level of compression, which few people change.

use auditstream_model::Compression;
use leptos::prelude::*;

use super::form_state::DestinationForm;
use crate::components::{FormErrors, SelectField, TextField};

const ADVANCED_FIELDS: [&str; 4] = [
    "spec.batch_events",
    "spec.batch_bytes",
    "spec.interval_seconds",
    "spec.compression_level",
];

#[component]
pub(super) fn Advanced(form: DestinationForm, errors: FormErrors) -> impl IntoView {
    let entries = form.advanced;
    let section = NodeRef::<leptos::html::Details>::new();
    // Opens if one of its fields is invalid. Only people close it.
    Effect::new(move |_| {
        if let (true, Some(section)) = (errors.has_any(&ADVANCED_FIELDS), section.get()) {
            section.set_open(true);
        }
    });
    view! {
        <details class="disclosure" node_ref=section open=entries.has_options()>
            <summary>"Advanced"</summary>
            <div class="stack">
                <TextField
                    label="Events of an object"
                    name="batch-events"
                    field=entries.events
                    error=errors.field("spec.batch_events", entries.events.value)
                    help="At most, from 1 to 100,000."
                />
                <SelectField
                    label="Size of an object"
                    name="batch-bytes"
                    value=entries.bytes
                    help="At most, before compression. A larger event is alone in its object. Both limits apply from the next object on."
                />
                <SelectField
                    label="Interval"
                    name="interval"
                    value=entries.interval
                    help="The time between two runs, which begin at its multiples in UTC. Each writes at least one object if there are new events."
                />
                <div hidden=move || form.compression.get() == Compression::None>
                    <TextField
                        label="Compression level"
                        name="level"
                        field=entries.level
                        optional=true
                        error=errors.field("spec.compression_level", entries.level.value)
                        help="From 1 to 9 for gzip, by default 6; from 1 to 19 for Zstandard, by default 3. A higher level makes smaller objects and takes longer."
                    />
                </div>
            </div>
        </details>
    }
    .into_any()
}
