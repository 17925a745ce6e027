//! Select Connector: search, choose, apply; or make a new one.

use auditstream_model::{ConnectorView, ListQuery};
use leptos::prelude::*;

use crate::components::dialog::close;
use crate::components::focus::focus_soon;
use crate::components::{Icon, ProblemBox, Shape};
use crate::pages::connectors::ConnectorForm;
use crate::server_functions::connectors::list_connectors;

/// A dialog; whoever holds `node` opens it. It gives back the id and the name of a connector.
#[component]
pub fn Picker(
    /// The dialog.
    node: NodeRef<leptos::html::Dialog>,
    /// Told what was applied: id and name.
    on_apply: Callback<(String, String)>,
    /// Whether the dialog was ever opened; nothing is loaded before.
    opened: RwSignal<bool>,
    /// Told whether something stands in the form of a new connector.
    typed: RwSignal<bool>,
) -> impl IntoView {
    let search = RwSignal::new(String::new());
    let chosen = RwSignal::new(None::<(String, String)>);
    let making = RwSignal::new(false);
    // An action rather than a resource: one that loads again would put the whole wizard back to its fallback.
    let find = Action::new(|term: &String| {
        let search_term = Some(term.trim().to_owned()).filter(|term| !term.is_empty());
        list_connectors(ListQuery {
            limit: 100,
            search_term,
            ..ListQuery::default()
        })
    });
    let found = find.value();
    Effect::new(move |_| {
        let term = search.get();
        if opened.get() {
            find.dispatch(term);
        }
    });
    // Between list and form, what had the focus is gone.
    Effect::new(move |before: Option<bool>| {
        let now = making.get();
        if before.is_some_and(|before| before != now) {
            focus_soon(move || {
                let dialog = node.get_untracked().filter(|dialog| dialog.open())?;
                dialog.query_selector("input").ok().flatten()
            });
        }
        now
    });
    // What was typed for a new connector stays until it is saved or cancelled.
    let closed = move |_| {
        if !typed.get_untracked() {
            making.set(false);
        }
    };
    let apply = move |_| {
        if let Some(connector) = chosen.get_untracked() {
            on_apply.run(connector);
            close(node);
        }
    };
    let made = Callback::new(move |connector: ConnectorView| {
        let connector = connector.connector;
        chosen.set(Some((connector.identifier.to_string(), connector.name.to_string())));
        making.set(false);
        // Loads the list again, and without what would hide the new one.
        search.set(String::new());
    });
    let row = move |connector: ConnectorView| {
        let connector = connector.connector;
        let (id, name) = (connector.identifier.to_string(), connector.name.to_string());
        let is_chosen = chosen.with_untracked(|chosen| chosen.as_ref().is_some_and(|(chosen, _)| *chosen == id));
        let pair = (id.clone(), name.clone());
        view! {
            <label class="pick">
                <input
                    type="radio"
                    name="connector"
                    value=id.clone()
                    checked=is_chosen
                    on:change=move |_| chosen.set(Some(pair.clone()))
                />
                <span>
                    <strong>{name}</strong>
                    <span class="mono muted block">{id}</span>
                </span>
                <span class="mono muted">{connector.spec.region}</span>
            </label>
        }
    };
    view! {
        <dialog class="dialog picker" node_ref=node aria-labelledby="picker-title" on:close=closed>
            <header class="dialog-head">
                <h2 id="picker-title">
                    {move || if making.get() { "New AWS connector" } else { "Create or select an existing connector" }}
                </h2>
                <button type="button" class="button icon-button" aria-label="Close" on:click=move |_| close(node)>
                    <Icon shape=Shape::Cross />
                </button>
            </header>
            <Show
                when=move || making.get()
                fallback=move || {
                    view! {
                        <div class="dialog-body">
                            <div class="picker-top">
                                <input
                                    type="search"
                                    aria-label="Search connectors"
                                    placeholder="Search connectors"
                                    value=search.get_untracked()
                                    on:input:target=move |event| search.set(event.target().value())
                                />
                                <button type="button" class="button" on:click=move |_| making.set(true)>
                                    "New AWS connector"
                                </button>
                            </div>
                            <fieldset class="picks">
                                <legend class="hidden">"Connectors"</legend>
                                {move || match found.get() {
                                    None => view! { <p class="skeleton">"Loading connectors…"</p> }.into_any(),
                                    Some(Err(error)) => view! { <ProblemBox error=error /> }.into_any(),
                                    Some(Ok(found)) if found.items.is_empty() => {
                                        let none = if search.with_untracked(|term| term.trim().is_empty()) {
                                            "There is no connector yet. Make a new one."
                                        } else {
                                            "No connector matches. Make a new one."
                                        };
                                        view! { <p class="muted">{none}</p> }.into_any()
                                    }
                                    Some(Ok(found)) => found.items.into_iter().map(row).collect_view().into_any(),
                                }}
                            </fieldset>
                        </div>
                        <footer class="dialog-foot">
                            <button type="button" class="button" on:click=move |_| close(node)>"Cancel"</button>
                            <button
                                type="button"
                                class="button primary"
                                disabled=move || chosen.with(Option::is_none)
                                on:click=apply
                            >
                                "Apply Selected"
                            </button>
                        </footer>
                    }
                }
            >
                <div class="dialog-body">
                    <ConnectorForm on_saved=made on_cancel=Callback::new(move |()| making.set(false)) typed=typed />
                </div>
            </Show>
        </dialog>
    }
    .into_any()
}
