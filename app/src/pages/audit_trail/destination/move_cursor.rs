//! Skip or replay: moving the cursor manually, which is the only way past an event.

use auditstream_model::{AggregateItem, Status};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use crate::components::format::{pluralise, with_thousands};
use crate::components::{Field, ProblemAlert, TextField};
use crate::server_functions::destinations::move_cursor;

/// The form, enabled while the destination is inactive.
#[component]
pub fn MoveCursor(
    item: Signal<AggregateItem>,
    /// Why the user may not change the destination, if so.
    refused: Option<&'static str>,
    /// Called after the cursor has moved.
    on_moved: Callback<()>,
) -> impl IntoView {
    let sequence = Field::new("");
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
                Some("The destination was never active, so there is nothing to skip or replay.")
            } else {
                None
            }
        })
    };
    let last = move || item.with(|item| item.streaming_details.cursor.zip(item.streaming_details.behind));
    let target = move |typed: &str| {
        let number = typed.trim().parse::<i64>().ok().filter(|number| *number >= 0);
        let number = number.ok_or_else(|| "Enter a whole number, 0 or more.".to_owned())?;
        match last().map(|(cursor, behind)| cursor + behind) {
            Some(last) if number > last => Err(format!("The trail ends at {}.", with_thousands(last))),
            _ => Ok(number),
        }
    };
    let error = Signal::derive(move || {
        let typed = sequence.value.get();
        target(&typed).err().filter(|_| !typed.trim().is_empty())
    });
    let effect = move || {
        let target = target(&sequence.value.get()).ok()?;
        let cursor = cursor()?;
        Some(match target - cursor {
            0 => "The cursor is already there.".to_owned(),
            ahead @ 1.. => format!("{} will never be sent to this destination.", pluralise(ahead, "event")),
            back => format!(
                "{} will be sent again under new object names.",
                pluralise(-back, "event")
            ),
        })
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if reason().is_some() || save.pending().get_untracked() {
            return;
        }
        if let Ok(number) = untrack(|| target(&sequence.now())) {
            let id = item.with_untracked(|item| item.streaming_destination.identifier.to_string());
            save.dispatch((id, number));
        }
    };
    view! {
        <details class="disclosure destination-section">
            <summary>"Skip or replay"</summary>
            <form class="stack" on:submit=submit novalidate>
                <p class="muted">
                    "Streaming resumes after the sequence that you enter. A later sequence skips events, an earlier one sends them again. The trail records the change."
                </p>
                <TextField
                    label="Last sequence to treat as delivered"
                    name="cursor"
                    field=sequence
                    error=error
                    readonly=Signal::derive(move || reason().is_some())
                />
                <p class="field-note" role="status">{effect}</p>
                {move || reason().map(|reason| view! { <p class="muted reason">{reason}</p> })}
                {move || save.value().get().and_then(Result::err).map(|error| view! { <ProblemAlert error=error /> })}
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
