//! Skip or replay: moving the cursor manually, which is the only way past an event.

use auditstream_model::{AggregateItem, Sequence, Status};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use crate::components::format::{pluralise, with_thousands};
use crate::components::{Field, ProblemAlert, TextField};
use crate::server_functions::destinations::move_cursor;

/// The form, enabled while the destination is inactive.
#[component]
pub fn MoveCursor(
    item: Signal<AggregateItem>,
    refused: Option<&'static str>,
    /// Called after the cursor has moved.
    on_moved: Callback<()>,
) -> impl IntoView {
    let sequence = Field::new("");
    let save = Action::new(|(id, sequence): &(String, Sequence)| move_cursor(id.clone(), *sequence));
    Effect::new(move |_| {
        if save.value().with(|outcome| matches!(outcome, Some(Ok(_)))) {
            sequence.set("");
            on_moved.run(());
        }
    });
    let reason = Memo::new(move |_| refused.or_else(|| item.with(blocked)));
    let target = Memo::new(move |_| {
        let typed = sequence.value.get();
        target(&typed, item.with(end_of_trail))
    });
    let error = Signal::derive(move || {
        let is_empty = sequence.value.with(|typed| typed.trim().is_empty());
        target.get().err().filter(|_| !is_empty)
    });
    let effect = move || {
        let cursor = item.with(|item| item.streaming_details.cursor)?;
        Some(effect(cursor, target.get().ok()?))
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if reason.get_untracked().is_some() || save.pending().get_untracked() {
            return;
        }
        if let Ok(sequence) = target.get_untracked() {
            let id = item.with_untracked(|item| item.streaming_destination.identifier.to_string());
            save.dispatch((id, sequence));
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
                    readonly=Signal::derive(move || reason.get().is_some())
                />
                <p class="field-note" role="status">{effect}</p>
                {move || reason.get().map(|reason| view! { <p class="muted reason">{reason}</p> })}
                {move || save.value().get().and_then(Result::err).map(|error| view! { <ProblemAlert error=error /> })}
                <div class="form-actions">
                    <button
                        type="submit"
                        class="button danger"
                        disabled=move || {
                            reason.get().is_some() || save.pending().get() || sequence.value.with(String::is_empty)
                        }
                    >
                        {move || if save.pending().get() { "Moving…" } else { "Move the cursor" }}
                    </button>
                </div>
            </form>
        </details>
    }
    .into_any()
}

/// Returns why the cursor of a destination cannot be moved, or `None` if it can.
fn blocked(item: &AggregateItem) -> Option<&'static str> {
    if item.streaming_destination.status == Status::Active {
        Some("Set the status to Inactive first.")
    } else if item.streaming_details.cursor.is_none() {
        Some("The destination was never active, so there is nothing to skip or replay.")
    } else {
        None
    }
}

/// Returns the last sequence of the trail, or `None` if the destination was never active.
fn end_of_trail(item: &AggregateItem) -> Option<Sequence> {
    let details = &item.streaming_details;
    details
        .cursor
        .zip(details.behind)
        .map(|(cursor, behind)| cursor + behind)
}

fn target(typed: &str, end: Option<Sequence>) -> Result<Sequence, String> {
    let number = typed.trim().parse::<Sequence>().ok().filter(|number| *number >= 0);
    let number = number.ok_or_else(|| "Enter a whole number, 0 or more.".to_owned())?;
    match end {
        Some(end) if number > end => Err(format!("The trail ends at {}.", with_thousands(end))),
        _ => Ok(number),
    }
}

fn effect(cursor: Sequence, target: Sequence) -> String {
    match target - cursor {
        0 => "The cursor is already there.".to_owned(),
        ahead @ 1.. => format!("{} will never be sent to this destination.", pluralise(ahead, "event")),
        back => format!(
            "{} will be sent again under new object names.",
            pluralise(-back, "event")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_within_the_trail() {
        assert_eq!(target(" 1200 ", Some(1_200)), Ok(1_200));
        assert_eq!(target("1201", Some(1_200)), Err("The trail ends at 1,200.".to_owned()));
        for typed in ["", "ten", "-1", "1.5"] {
            assert_eq!(
                target(typed, Some(1_200)),
                Err("Enter a whole number, 0 or more.".to_owned())
            );
        }
    }

    #[test]
    fn the_effect_names_the_direction() {
        assert_eq!(effect(10, 10), "The cursor is already there.");
        assert_eq!(effect(10, 11), "1 event will never be sent to this destination.");
        assert_eq!(
            effect(1_210, 10),
            "1,200 events will be sent again under new object names."
        );
    }
}
