//! The toggle of a destination: it saves at once, reports the outcome, and returns to the old
//! status if the server refuses.

mod state;

use auditstream_model::{AggregateItem, Permission, SignedIn, Status};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

pub use state::{ToggleMessage, ToggleState};

use crate::components::time::clock;
use crate::error::ConsoleError;
use crate::paths;
use crate::server_functions::destinations::{get_destination, set_destination_status};
use crate::session::denied;

/// Creates the state of a destination's toggle and keeps it up to date.
pub fn use_toggle(item: Signal<AggregateItem>) -> RwSignal<ToggleState> {
    let state = RwSignal::new(item.with_untracked(ToggleState::new));
    Effect::new(move |_| item.with(|item| state.update(|state| state.observe(item))));
    state
}

async fn save(id: String, status: Status) -> Result<String, ConsoleError> {
    set_destination_status(id.clone(), status).await?;
    if status == Status::Inactive {
        return Ok("Inactive. Streaming is paused and resumes from here when you activate it again.".to_owned());
    }
    let item = get_destination(id).await.ok();
    let next = item
        .and_then(|item| item.streaming_details.next_run)
        .map(|at| format!("; next at {}", clock(at)))
        .unwrap_or_default();
    Ok(format!("Active. First run started{next}."))
}

/// A switch in a plain form, which works without JavaScript.
#[component]
pub fn Toggle(
    item: Signal<AggregateItem>,
    user: SignedIn,
    state: RwSignal<ToggleState>,
    refresh: Callback<()>,
) -> impl IntoView {
    let refused = denied(&user, Permission::EditDestination);
    let save = Action::new(|(id, status): &(String, Status)| save(id.clone(), *status));
    Effect::new(move |_| {
        if let Some(outcome) = save.value().get() {
            state.update(|state| state.finish(outcome.map_err(|error| error.0.detail)));
            refresh.run(());
        }
    });
    let id = Memo::new(move |_| item.with(|item| item.streaming_destination.identifier.to_string()));
    let name = move || item.with(|item| item.streaming_destination.name.to_string());
    let is_active = Memo::new(move |_| state.with(|state| state.status() == Status::Active));
    let is_saving = Memo::new(move |_| state.with(ToggleState::is_saving));
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if let Some(status) = state.try_update(ToggleState::request).flatten() {
            save.dispatch((id.get_untracked(), status));
        }
    };
    view! {
        <form method="post" action=move || paths::destination_status(&id.get()) class="toggle" on:submit=submit>
            <input type="hidden" name="status" value=move || state.with(|state| state.other().as_str()) />
            <button
                type="submit"
                role="switch"
                class="switch"
                class:busy=move || is_saving.get()
                aria-checked=move || if is_active.get() { "true" } else { "false" }
                aria-label=move || format!("Stream to {}", name())
                aria-busy=move || if is_saving.get() { "true" } else { "false" }
                disabled=refused.is_some()
                title=refused.unwrap_or_default()
            >
                <span class="knob"></span>
            </button>
            <span class="toggle-label">{move || if is_active.get() { "Active" } else { "Inactive" }}</span>
        </form>
    }
}

/// The outcome of the toggle, shown next to it.
#[component]
pub fn ToggleNote(state: RwSignal<ToggleState>) -> impl IntoView {
    let is_refused = move || state.with(|state| matches!(state.message(), Some(ToggleMessage::Refused(_))));
    view! {
        <p class="row-message" role="status" class:row-message-bad=is_refused>
            {move || state.with(|state| state.message().map(|message| message.text().to_owned()))}
        </p>
    }
}
