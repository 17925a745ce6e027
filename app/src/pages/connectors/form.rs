//! The form of an AWS connector.

use auditstream_model::{Connector, ConnectorInput, ConnectorView, FieldErrors};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use super::form_sections::{BackoffSection, CredentialsSection, OverviewSection};
use super::form_state::ConnectorEntries;
use crate::components::focus::{first_invalid, focus_soon};
use crate::components::{FormErrors, ProblemAlert};
use crate::server_functions::connectors::{create_connector, replace_connector};

/// Creates a connector, or changes `initial`.
#[component]
pub fn ConnectorForm(
    #[prop(optional)] initial: Option<Connector>,
    on_saved: Callback<ConnectorView>,
    on_cancel: Callback<()>,
    #[prop(optional)] disabled: bool,
    /// Set to whether the form has unsaved entries.
    is_unsaved: RwSignal<bool>,
) -> impl IntoView {
    let entries = ConnectorEntries::new(initial.as_ref());
    let entered = Memo::new(move |_| entries.input());
    let start = StoredValue::new(untrack(|| entries.input()));
    Effect::new(move |_| is_unsaved.set(entered.with(|entered| start.with_value(|start| entered != start))));
    on_cleanup(move || {
        is_unsaved.try_set(false);
    });

    let errors = FormErrors::new();
    let form = NodeRef::<leptos::html::Form>::new();
    let focus_error = move || focus_soon(move || first_invalid(form.get_untracked()?.as_ref()));
    let save = Action::new(move |input: &ConnectorInput| {
        let input = input.clone();
        async move {
            if entries.exists() {
                replace_connector(input).await
            } else {
                create_connector(input).await
            }
        }
    });
    Effect::new(move |_| match save.value().get() {
        None => {}
        Some(Ok(saved)) => on_saved.run(saved),
        Some(Err(error)) => {
            errors.refuse(&error);
            focus_error();
        }
    });
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        event.stop_propagation();
        if save.pending().get_untracked() || disabled {
            return;
        }
        let (input, not_numbers) = entered.get_untracked();
        let invalid: FieldErrors = entries.check(&input, not_numbers);
        let is_valid = invalid.is_empty();
        errors.set(invalid);
        if is_valid {
            save.dispatch(input);
        } else {
            focus_error();
        }
    };
    view! {
        // Sent before hydration, this method keeps the entries out of the address.
        <form method="dialog" class="connector-form stack" node_ref=form on:submit=submit novalidate>
            <OverviewSection entries=entries errors=errors disabled=disabled />
            <CredentialsSection entries=entries errors=errors disabled=disabled />
            <BackoffSection entries=entries errors=errors disabled=disabled />
            {move || errors.problem().get().map(|error| view! { <ProblemAlert error=error /> })}
            <div class="form-actions">
                <button type="button" class="button" on:click=move |_| on_cancel.run(())>"Cancel"</button>
                <button type="submit" class="button primary" disabled=disabled aria-disabled=move || save.pending().get().to_string()>
                    {move || if save.pending().get() { "Saving…" } else { "Save connector" }}
                </button>
            </div>
        </form>
    }
    .into_any()
}
