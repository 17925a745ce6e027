//! Sending a batch under a new name, if another object already has its key.

use auditstream_model::{Batch, FailureCode, Listing};
use leptos::prelude::*;

use crate::components::ProblemAlert;
use crate::server_functions::destinations::rename_batch;

/// The button, shown while a batch is blocked.
#[component]
pub fn Rename(
    id: String,
    /// The objects of the destination, newest first.
    objects: Signal<Listing<Batch>>,
    refused: Option<&'static str>,
    on_renamed: Callback<()>,
) -> impl IntoView {
    let rename = Action::new(|(id, number): &(String, i64)| rename_batch(id.clone(), *number));
    Effect::new(move |_| {
        if rename.value().with(|outcome| matches!(outcome, Some(Ok(())))) {
            on_renamed.run(());
        }
    });
    let blocked = Memo::new(move |_| {
        objects.with(|objects| {
            let is_blocked = |batch: &&Batch| {
                batch
                    .error
                    .as_ref()
                    .is_some_and(|error| error.code == FailureCode::ObjectExists)
            };
            objects.items.iter().find(is_blocked).map(|batch| batch.number)
        })
    });
    let id = StoredValue::new(id);
    move || {
        blocked.get().map(|number| {
            view! {
                <div class="rename">
                    <p>
                        "If the existing object must be kept, send the events under a new name. The existing object is not changed. The trail records the new name."
                    </p>
                    <button
                        type="button"
                        class="button"
                        disabled=move || refused.is_some() || rename.pending().get()
                        title=refused.unwrap_or_default()
                        on:click=move |_| {
                            rename.dispatch((id.get_value(), number));
                        }
                    >
                        "Send under a new name"
                    </button>
                    {move || rename.value().get().and_then(Result::err).map(|error| view! { <ProblemAlert error=error /> })}
                </div>
            }
        })
    }
}
