//! Deleting a destination. The user types its name to confirm.

use leptos::prelude::*;

use crate::components::FormDialog;
use crate::components::dialog::close;
use crate::components::format::pluralise;
use crate::server_functions::destinations::delete_destination;

/// The dialog for deleting a destination. The owner of `node` opens it.
#[component]
pub fn DeleteDialog(
    id: String,
    #[prop(into)] name: Signal<String>,
    /// The number of events that it has not received; `None` if it was never activated.
    waiting: Signal<Option<i64>>,
    node: NodeRef<leptos::html::Dialog>,
    on_deleted: Callback<()>,
) -> impl IntoView {
    let typed = RwSignal::new(String::new());
    let title = format!("delete-title-{id}");
    let field = format!("delete-name-{id}");
    let remove = Action::new(|id: &String| delete_destination(id.clone()));
    Effect::new(move |_| {
        if remove.value().with(|outcome| matches!(outcome, Some(Ok(())))) {
            close(node);
            on_deleted.run(());
        }
    });
    view! {
        <FormDialog
            node=node
            id=title
            title="Delete streaming destination"
            verb="Delete"
            running="Deleting…"
            danger=true
            ready=Signal::derive(move || typed.get().trim() == name.get())
            pending=remove.pending()
            problem=Signal::derive(move || remove.value().get().and_then(Result::err))
            on_submit=Callback::new(move |()| {
                remove.dispatch(id.clone());
            })
            on_close=Callback::new(move |()| typed.set(String::new()))
        >
            <p>"Its settings, its history and its position in the trail are deleted. Objects in the bucket are kept."</p>
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
        </FormDialog>
    }
}

fn undelivered(waiting: Option<i64>) -> String {
    match waiting {
        None => "It was never activated, so no event has been streamed to it.".to_owned(),
        Some(0) => "Every event so far has been streamed to it.".to_owned(),
        Some(1) => "1 event has not been streamed to it.".to_owned(),
        Some(events) => format!("{} have not been streamed to it.", pluralise(events, "event")),
    }
}
