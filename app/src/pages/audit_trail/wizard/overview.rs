//! Overview: name, id, description and tags.

use auditstream_model::{Description, FieldErrors, Identifier, Name, Tags};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use super::state::Course;
use crate::components::focus::focus_page;
use crate::components::{TagsField, TextField};
use crate::server_functions::destinations::destination_id_is_unique;

/// The step. A new destination's id must not be in use yet.
#[component]
pub(super) fn Overview(
    /// The wizard.
    course: Course,
    /// Whether a destination is changed that there was before.
    exists: bool,
) -> impl IntoView {
    let Course {
        entries,
        step,
        saved,
        wrong,
        problem,
        attend,
    } = course;
    let (name, id, description, tags) = (entries.name, entries.id, entries.description, entries.tags);
    let id_edited = RwSignal::new(exists);
    let follow = Callback::new(move |name: String| {
        if !id_edited.get_untracked() {
            id.set(&Identifier::propose(&name));
        }
    });
    let own_id = Callback::new(move |text: String| {
        id_edited.set(!text.is_empty() && text != Identifier::propose(&name.now()));
    });
    let check = Action::new(|id: &String| destination_id_is_unique(id.clone()));
    Effect::new(move |_| match check.value().get() {
        None => {}
        Some(Ok(true)) => step.set(1),
        Some(Ok(false)) => {
            let sentence = format!(
                "There is already a destination with the id “{}”. Choose another.",
                id.now()
            );
            wrong.add("identifier", sentence);
            attend.run(());
        }
        Some(Err(error)) => problem.set(Some(error)),
    });
    let go_on = move |event: SubmitEvent| {
        event.prevent_default();
        tags.add_typed();
        let mut errors = FieldErrors::default();
        errors.take("name", Name::parse(&name.now()));
        errors.take("identifier", Identifier::parse(&id.now()));
        errors.take("description", Description::parse(&description.now()));
        errors.take("tags", Tags::parse(tags.tags.get_untracked()));
        let fits = errors.is_empty();
        wrong.set(errors);
        problem.set(None);
        if !fits {
            attend.run(());
        } else if saved.get_untracked() {
            step.set(1);
        } else if !check.pending().get_untracked() {
            check.dispatch(id.now());
        }
    };
    view! {
        <form method="dialog" class="stack" hidden=move || step.get() != 0 on:submit=go_on novalidate>
            <h2 tabindex="-1">"Overview"</h2>
            <TextField label="Name" name="name" field=name error=wrong.of("name", name.value) on_type=follow />
            <TextField
                label="Id"
                name="identifier"
                field=id
                mono=true
                readonly=saved
                error=wrong.of("identifier", id.value)
                on_type=own_id
                help=if exists { "Fixed once saved." } else { "It follows the name until you change it, and is fixed once saved." }
            />
            <TextField
                label="Description"
                name="description"
                field=description
                optional=true
                error=wrong.of("description", description.value)
            />
            <TagsField input=tags error=wrong.of("tags", tags.tags) />
            <div class="form-actions">
                <a
                    class="button"
                    href="/settings/audit-trail/streaming"
                    data-discard="true"
                    on:click=move |_| focus_page()
                >
                    "Cancel"
                </a>
                <button type="submit" class="button primary" aria-disabled=move || check.pending().get().to_string()>
                    {move || if check.pending().get() { "Checking…" } else { "Continue" }}
                </button>
            </div>
        </form>
    }
    .into_any()
}
