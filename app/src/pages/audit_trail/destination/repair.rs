//! Skip or replay: moving the cursor by hand, which is the only way past an event.

use auditstream_model::{AggregateItem, Status};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use crate::components::number::counted;
use crate::components::{Field, ProblemBox, TextField};
use crate::server_functions::destinations::move_cursor;

/// The form; it works while the destination is inactive.
#[component]
pub fn Repair(
    /// The destination.
    item: Signal<AggregateItem>,
    /// Why nothing can be changed, if that is so.
    refused: Option<&'static str>,
    /// Told when the cursor was moved.
    on_moved: Callback<()>,
) -> impl IntoView {
    let sequence = Field::new("");
    let wrong = RwSignal::new(None::<String>);
    let save = Action::new(|(id, sequence): &(String, i64)| move_cursor(id.clone(), *sequence));
    Effect::new(move |_| {
        if save.value().with(|outcome| matches!(outcome, Some(Ok(_)))) {
            sequence.set("");
            on_moved.run(());
        }
    });
    let active = move || item.with(|item| item.streaming_destination.status == Status::Active);
    let cursor = move || item.with(|item| item.streaming_details.cursor);
    let reason = move || {
        refused.or_else(|| {
            if active() {
                Some("Set the status to Inactive first.")
            } else if cursor().is_none() {
                Some("It was never active: there is nothing to skip or to replay.")
            } else {
                None
            }
        })
    };
    let effect = move || {
        let target = sequence.value.get().trim().parse::<i64>().ok()?;
        let cursor = cursor()?;
        Some(match target - cursor {
            0 => "It stands there already.".to_owned(),
            ahead @ 1.. => format!("{} will never be sent to this destination.", counted(ahead, "event")),
            back => format!(
                "{} will be sent again, in objects of new names.",
                counted(-back, "event")
            ),
        })
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if reason().is_some() || save.pending().get_untracked() {
            return;
        }
        match sequence.now().trim().parse::<i64>() {
            Ok(number) => {
                wrong.set(None);
                let id = item.with_untracked(|item| item.streaming_destination.identifier.to_string());
                save.dispatch((id, number));
            }
            Err(_) => wrong.set(Some("A sequence is a whole number, 0 or more.".to_owned())),
        }
    };
    view! {
        <details class="more repair">
            <summary>"Skip or replay"</summary>
            <form class="stack" on:submit=submit novalidate>
                <p class="muted">
                    "Streaming goes on behind the sequence that you enter here. Forward skips events, back sends them again. The change is recorded in the trail."
                </p>
                <TextField
                    label="Last sequence to count as delivered"
                    name="cursor"
                    field=sequence
                    error=wrong
                    readonly=Signal::derive(move || reason().is_some())
                />
                <p class="field-note" role="status">{effect}</p>
                {move || reason().map(|reason| view! { <p class="muted reason">{reason}</p> })}
                {move || save.value().get().and_then(Result::err).map(|error| view! { <ProblemBox error=error /> })}
                <div class="form-actions">
                    <button
                        type="submit"
                        class="button danger"
                        disabled=move || reason().is_some() || save.pending().get() || sequence.value.with(String::is_empty)
                    >
                        {move || if save.pending().get() { "Moving…" } else { "Move the cursor" }}
                    </button>
                </div>
            </form>
        </details>
    }
    .into_any()
}
