//! Overview: name, id, description and tags. The id of a new destination must be available.

use auditstream_model::{Description, FieldErrors, Identifier, Name, Tags};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use super::state::{Step, WizardContext, WizardState};
use crate::components::focus::focus_page;
use crate::components::{TagsField, TextField};
use crate::paths;
use crate::server_functions::destinations::destination_id_is_unique;

#[component]
pub(super) fn Overview(
    context: WizardContext,
    /// Whether the destination existed when the page was opened.
    exists: bool,
) -> impl IntoView {
    let WizardContext {
        form,
        state,
        errors,
        focus_step,
    } = context;
    let (name, id, description, tags) = (form.name, form.id, form.description, form.tags);
    let id_edited = RwSignal::new(exists);
    let name_typed = Callback::new(move |name: String| {
        if !id_edited.get_untracked() {
            id.set(&Identifier::propose(&name));
        }
    });
    let id_typed = Callback::new(move |text: String| {
        id_edited.set(!text.is_empty() && text != Identifier::propose(&name.now()));
    });
    let check = Action::new(|id: &String| destination_id_is_unique(id.clone()));
    Effect::new(move |_| match check.value().get() {
        None => {}
        Some(Ok(true)) => state.update(WizardState::overview_done),
        Some(Ok(false)) => {
            let message = format!(
                "A destination with the id “{}” already exists. Choose another id.",
                id.now()
            );
            errors.add("identifier", message);
            focus_step.run(());
        }
        Some(Err(error)) => errors.refuse(&error),
    });
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        tags.add_typed();
        let invalid = check_fields(&name.now(), &id.now(), &description.now(), tags.tags.get_untracked());
        let is_valid = invalid.is_empty();
        errors.set(invalid);
        if !is_valid {
            focus_step.run(());
        } else if state.get_untracked().is_saved() {
            state.update(WizardState::overview_done);
        } else if !check.pending().get_untracked() {
            check.dispatch(id.now());
        }
    };
    view! {
        <form method="dialog" class="stack" hidden=move || context.is_hidden(Step::Overview) on:submit=submit novalidate>
            <h2 tabindex="-1">"Overview"</h2>
            <TextField label="Name" name="name" field=name error=errors.field("name", name.value) on_type=name_typed />
            <TextField
                label="Id"
                name="identifier"
                field=id
                mono=true
                readonly=Signal::derive(move || state.get().is_saved())
                error=errors.field("identifier", id.value)
                on_type=id_typed
                help=if exists { "Cannot be changed after saving." } else { "Follows the name until you change it. Cannot be changed after saving." }
            />
            <TextField
                label="Description"
                name="description"
                field=description
                optional=true
                error=errors.field("description", description.value)
            />
            <TagsField input=tags error=errors.field("tags", tags.tags) />
            <div class="form-actions">
                <a class="button" href=paths::STREAMING data-discard="true" on:click=move |_| focus_page()>"Cancel"</a>
                <button type="submit" class="button primary" aria-disabled=move || check.pending().get().to_string()>
                    {move || if check.pending().get() { "Checking…" } else { "Continue" }}
                </button>
            </div>
        </form>
    }
    .into_any()
}

fn check_fields(
    name: &str,
    id: &str,
    description: &str,
    tags: std::collections::BTreeMap<String, String>,
) -> FieldErrors {
    let mut errors = FieldErrors::default();
    errors.take("name", Name::parse(name));
    errors.take("identifier", Identifier::parse(id));
    errors.take("description", Description::parse(description));
    errors.take("tags", Tags::parse(tags));
    errors
}
