//! Send under a new name: the way out when somebody else's object has the name of one of ours.

use auditstream_model::{Batch, FailureCode, Listing};
use leptos::prelude::*;

use crate::components::ProblemBox;
use crate::server_functions::destinations::rename_batch;

/// The button, while a batch is blocked.
#[component]
pub fn Rename(
    /// The destination.
    id: String,
    /// Its objects, newest first.
    objects: Signal<Listing<Batch>>,
    /// Why nothing can be changed, if that is so.
    refused: Option<&'static str>,
    /// Told when it was renamed.
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
                        "If that object must stay where it is, the events can be sent under a name of their own. The other object is not touched; the change is recorded in the trail."
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
                    {move || rename.value().get().and_then(Result::err).map(|error| view! { <ProblemBox error=error /> })}
                </div>
            }
        })
    }
}
