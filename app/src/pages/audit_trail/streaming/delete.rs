//! Deleting a destination: its name is typed to confirm.

use leptos::prelude::*;

use crate::components::FormDialog;
use crate::components::dialog::close;
use crate::components::format::counted;
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
    let field = format!("delete-name-{id}");
    let remove = Action::new(|id: &String| delete_destination(id.clone()));
    Effect::new(move |_| {
        if remove.value().with(|outcome| matches!(outcome, Some(Ok(())))) {
            close(node);
            on_gone.run(());
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
            <p>"Its settings, its history and its place in the trail are deleted. Objects that are in the bucket stay there."</p>
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
        None => "It was never activated: no event has been streamed to it.".to_owned(),
        Some(0) => "Every event so far has been streamed to it.".to_owned(),
        Some(1) => "1 event has not been streamed to it.".to_owned(),
        Some(events) => format!("{} have not been streamed to it.", counted(events, "event")),
    }
}
