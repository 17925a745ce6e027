//! The switch of a destination: saves at once, says what it did, and goes back when it could not.

use auditstream_model::{AggregateItem, EpochMillis, Permission, SignedIn, Status};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use crate::ConsoleError;
use crate::components::time::clock;
use crate::layout::denied;
use crate::server_functions::destinations::{next_run, set_destination_status};

/// What a switch has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It was done.
    Done(String),
    /// It was refused.
    Refused(String),
}

/// What of a destination a switch speaks about.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    status: Status,
    /// When what fails began to, epoch ms.
    failed: Option<EpochMillis>,
}

fn state(row: &AggregateItem) -> State {
    State {
        status: row.streaming_destination.status,
        failed: row.streaming_details.failure.as_ref().map(|failure| failure.at),
    }
}

/// A switch in a plain form, which works before the page lives.
#[component]
pub fn Toggle(
    /// The destination.
    row: Signal<AggregateItem>,
    /// Who looks.
    person: SignedIn,
    /// What the switch says, shown beside the row.
    said: RwSignal<Option<Said>>,
    /// Loads the table again.
    refresh: Callback<()>,
) -> impl IntoView {
    let refused = denied(&person, Permission::EditDestination);
    let save = Action::new(|(id, status): &(String, Status)| {
        let (id, status) = (id.clone(), *status);
        async move {
            set_destination_status(id, status).await?;
            if status == Status::Inactive {
                return Ok(
                    "Inactive. Nothing more is streamed; it continues here when you activate it again.".to_owned(),
                );
            }
            let next = next_run()
                .await
                .map(|at| format!("; next at {}", clock(at)))
                .unwrap_or_default();
            Ok::<_, ConsoleError>(format!("Active. First run started{next}."))
        }
    });
    let switched = StoredValue::new(None::<Status>);
    // What the switch shows: what was asked for while that is being saved, else what is.
    let asked = RwSignal::new(None::<Status>);
    let status = Memo::new(move |_| {
        asked
            .get()
            .unwrap_or_else(|| row.with(|row| row.streaming_destination.status))
    });
    Effect::new(move |_| match save.value().get() {
        None => {}
        Some(outcome) => {
            if let Err(error) = &outcome {
                asked.set(None);
                said.set(Some(Said::Refused(error.0.detail.clone())));
            } else if let Ok(text) = outcome {
                said.set(Some(Said::Done(text)));
            }
            refresh.run(());
        }
    });
    // The table has caught up.
    Effect::new(move |_| {
        let is = row.with(|row| row.streaming_destination.status);
        if asked.get() == Some(is) && !save.pending().get() {
            asked.set(None);
        }
    });
    // What was said holds until the destination is otherwise: switched elsewhere, failing, or mended.
    Effect::new(move |before: Option<State>| {
        let now = row.with(state);
        if let Some(before) = before
            && before != now
        {
            let caught_up = before.failed == now.failed && switched.get_value() == Some(now.status);
            if !caught_up && said.with_untracked(|said| matches!(said, Some(Said::Done(_)))) {
                said.set(None);
            }
        }
        now
    });
    let id = Memo::new(move |_| row.with(|row| row.streaming_destination.identifier.to_string()));
    let name = move || row.with(|row| row.streaming_destination.name.to_string());
    let other = move || {
        if status.get() == Status::Active {
            Status::Inactive
        } else {
            Status::Active
        }
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if save.pending().get_untracked() {
            return;
        }
        let wanted = other();
        said.set(None);
        asked.set(Some(wanted));
        switched.set_value(Some(wanted));
        save.dispatch((id.get_untracked(), wanted));
    };
    view! {
        <form
            method="post"
            action=move || format!("/settings/audit-trail/streaming/{}/status", id.get())
            class="toggle"
            on:submit=submit
        >
            <input type="hidden" name="status" value=move || other().as_str() />
            <button
                type="submit"
                role="switch"
                class="switch"
                class:busy=move || save.pending().get()
                aria-checked=move || if status.get() == Status::Active { "true" } else { "false" }
                aria-label=move || format!("Stream to {}", name())
                aria-busy=move || if save.pending().get() { "true" } else { "false" }
                disabled=refused.is_some()
                title=refused.unwrap_or_default()
            >
                <span class="knob"></span>
            </button>
            <span class="toggle-word">{move || if status.get() == Status::Active { "Active" } else { "Inactive" }}</span>
        </form>
    }
}
