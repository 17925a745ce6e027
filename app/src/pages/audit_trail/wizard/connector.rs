//! Streaming Connector: the store, the connector, the bucket and the options.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use super::advanced::Advanced;
use super::connector_picker::ConnectorPicker;
use super::options::Options;
use super::state::{Step, WizardContext, WizardState};
use crate::components::dialog::open;
use crate::components::{Icon, Shape, TextField};

#[component]
pub(super) fn StreamingConnector(
    context: WizardContext,
    /// Whether the destination was ever active, which fixes where it starts.
    is_started: bool,
    #[prop(into)] saving: Signal<bool>,
    on_save: Callback<()>,
    /// Set to whether the form for a new connector has unsaved entries.
    is_unsaved: RwSignal<bool>,
) -> impl IntoView {
    let WizardContext {
        form, state, errors, ..
    } = context;
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if !saving.get_untracked() {
            on_save.run(());
        }
    };
    let picker = NodeRef::<leptos::html::Dialog>::new();
    let is_picker_opened = RwSignal::new(false);
    let pick = Callback::new(move |()| {
        is_picker_opened.set(true);
        open(picker);
    });
    view! {
        <form method="dialog" class="stack" hidden=move || context.is_hidden(Step::Connector) on:submit=submit novalidate>
            <h2 tabindex="-1">"Streaming Connector"</h2>
            <div role="group" aria-label="Destination type">
                <button type="button" class="destination-kind" aria-pressed="true">
                    <Icon shape=Shape::Bucket />
                    "Amazon S3"
                </button>
            </div>
            <SelectedConnector
                connector=form.connector
                error=errors.field("connector_ref", form.connector)
                on_select=pick
            />
            <TextField
                label="Amazon S3 Bucket"
                name="bucket"
                field=form.bucket
                mono=true
                error=errors.field("spec.bucket", form.bucket.value)
                help="The name of the bucket that all streaming records are written to."
            />
            <Options form=form errors=errors is_started=is_started />
            <Advanced form=form errors=errors />
            <div class="form-actions">
                <button type="button" class="button" on:click=move |_| state.update(WizardState::back)>"Back"</button>
                <button type="submit" class="button primary" aria-disabled=move || saving.get().to_string()>
                    {move || if saving.get() { "Saving…" } else { "Save and Continue" }}
                </button>
            </div>
        </form>
        <ConnectorPicker
            node=picker
            on_apply=Callback::new(move |chosen| form.connector.set(Some(chosen)))
            is_opened=is_picker_opened
            is_unsaved=is_unsaved
        />
    }
    .into_any()
}

#[component]
fn SelectedConnector(
    /// Id and name.
    connector: RwSignal<Option<(String, String)>>,
    error: Signal<Option<String>>,
    on_select: Callback<()>,
) -> impl IntoView {
    view! {
        <div class="field" class:field-invalid=move || error.get().is_some()>
            <span class="label" id="connector-label">"Connector"</span>
            <div class="selection" role="group" aria-labelledby="connector-label">
                {move || match connector.get() {
                    Some((id, name)) => {
                        view! { <span><strong>{name}</strong>" "<span class="mono muted">{id}</span></span> }.into_any()
                    }
                    None => view! { <span class="muted">"None selected"</span> }.into_any(),
                }}
                <button type="button" class="button" aria-haspopup="dialog" on:click=move |_| on_select.run(())>
                    "Select Connector"
                </button>
            </div>
            <p class="field-note" aria-live="polite">{error}</p>
        </div>
    }
}
