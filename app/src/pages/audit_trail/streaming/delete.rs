//! Deleting a destination: its name is typed to confirm.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use crate::components::ProblemBox;
use crate::components::number::counted;
use crate::server_functions::destinations::delete_destination;

/// The dialog that asks. It is opened by whoever holds `node`.
#[component]
pub fn DeleteDialog(
    /// The destination's id.
    id: String,
    /// Its name, to be typed.
    #[prop(into)]
    name: Signal<String>,
    /// How many events of the trail it has not received; none when it was never activated.
    waiting: Signal<Option<i64>>,
    /// The dialog.
    node: NodeRef<leptos::html::Dialog>,
    /// Told when it is gone.
    on_gone: Callback<()>,
) -> impl IntoView {
    let typed = RwSignal::new(String::new());
    let title = format!("delete-title-{id}");
    let title_of = title.clone();
    let field = format!("delete-name-{id}");
    let remove = Action::new(|id: &String| delete_destination(id.clone()));
    let close = move || {
        if let Some(dialog) = node.get_untracked() {
            dialog.close();
        }
    };
    Effect::new(move |_| {
        if remove.value().with(|outcome| matches!(outcome, Some(Ok(())))) {
            close();
            on_gone.run(());
        }
    });
    let fits = move || typed.get().trim() == name.get();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if fits() && !remove.pending().get_untracked() {
            remove.dispatch(id.clone());
        }
    };
    view! {
        <dialog class="dialog" node_ref=node aria-labelledby=title_of on:close=move |_| typed.set(String::new())>
            <form on:submit=submit>
                <header class="dialog-head">
                    <h2 id=title>"Delete streaming destination"</h2>
                </header>
                <div class="dialog-body">
                    <p>
                        "Its settings, its history and its place in the trail are deleted. Objects that are in the bucket stay there."
                    </p>
                    <p>{move || undelivered(waiting.get())}</p>
                    <div class="field">
                        <label for=field.clone()>"Type "<strong>{move || name.get()}</strong>" to confirm"</label>
                        <input
                            id=field
                            autocomplete="off"
                            prop:value=move || typed.get()
                            on:input:target=move |event| typed.set(event.target().value())
                        />
                    </div>
                    {move || {
                        remove
                            .value()
                            .get()
                            .and_then(Result::err)
                            .map(|error| view! { <ProblemBox error=error /> })
                    }}
                </div>
                <footer class="dialog-foot">
                    <button type="button" class="button" on:click=move |_| close()>"Cancel"</button>
                    <button type="submit" class="button danger" disabled=move || !fits() || remove.pending().get()>
                        {move || if remove.pending().get() { "Deleting…" } else { "Delete" }}
                    </button>
                </footer>
            </form>
        </dialog>
    }
}

fn undelivered(waiting: Option<i64>) -> String {
    match waiting {
        None => "It was never activated: no event has been streamed to it.".to_owned(),
        Some(0) => "Every event so far has been streamed to it.".to_owned(),
        Some(1) => "1 event has not been streamed to it.".to_owned(),
        Some(events) => format!("{} have not been streamed to it.", counted(events, "event")),
    }
}
