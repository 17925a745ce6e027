//! Select Connector: selecting an existing connector, or creating one.

use auditstream_model::{ConnectorView, ListQuery, Listing};
use leptos::prelude::*;

use crate::components::dialog::close;
use crate::components::focus::focus_soon;
use crate::components::{Icon, ProblemAlert, Shape};
use crate::error::ConsoleError;
use crate::pages::connectors::ConnectorForm;
use crate::server_functions::connectors::list_connectors;

const MAX_ROWS: u32 = 100;

/// The id and the name of a connector.
type Chosen = (String, String);

#[component]
pub(super) fn ConnectorPicker(
    node: NodeRef<leptos::html::Dialog>,
    on_apply: Callback<Chosen>,
    /// Whether the dialog was ever opened. Nothing is loaded before.
    is_opened: RwSignal<bool>,
    is_unsaved: RwSignal<bool>,
) -> impl IntoView {
    let search = RwSignal::new(String::new());
    let chosen = RwSignal::new(None::<Chosen>);
    let is_creating = RwSignal::new(false);
    // Moves the focus along when the list and the form replace each other.
    Effect::new(move |before: Option<bool>| {
        let now = is_creating.get();
        if before.is_some_and(|before| before != now) {
            focus_soon(move || {
                let dialog = node.get_untracked().filter(|dialog| dialog.open())?;
                dialog.query_selector("input").ok().flatten()
            });
        }
        now
    });
    // Unsaved entries survive closing the dialog.
    let closed = move |_| {
        if !is_unsaved.get_untracked() {
            is_creating.set(false);
        }
    };
    let apply = Callback::new(move |()| {
        if let Some(connector) = chosen.get_untracked() {
            on_apply.run(connector);
            close(node);
        }
    });
    let created = Callback::new(move |connector: ConnectorView| {
        let connector = connector.connector;
        chosen.set(Some((connector.identifier.to_string(), connector.name.to_string())));
        is_creating.set(false);
        // Loads the list again, without a search that could hide the new connector.
        search.set(String::new());
    });
    let found = use_search(search, is_opened);
    view! {
        <dialog class="dialog connector-picker" node_ref=node aria-labelledby="picker-title" on:close=closed>
            <header class="dialog-head">
                <h2 id="picker-title">
                    {move || if is_creating.get() { "New AWS connector" } else { "Create or select an existing connector" }}
                </h2>
                <button type="button" class="button icon-button" aria-label="Close" on:click=move |_| close(node)>
                    <Icon shape=Shape::Cross />
                </button>
            </header>
            <Show
                when=move || is_creating.get()
                fallback=move || {
                    view! {
                        <ConnectorList search=search found=found chosen=chosen is_creating=is_creating />
                        <footer class="dialog-foot">
                            <button type="button" class="button" on:click=move |_| close(node)>"Cancel"</button>
                            <button
                                type="button"
                                class="button primary"
                                disabled=move || chosen.with(Option::is_none)
                                on:click=move |_| apply.run(())
                            >
                                "Apply Selected"
                            </button>
                        </footer>
                    }
                }
            >
                <div class="dialog-body">
                    <ConnectorForm
                        on_saved=created
                        on_cancel=Callback::new(move |()| is_creating.set(false))
                        is_unsaved=is_unsaved
                    />
                </div>
            </Show>
        </dialog>
    }
    .into_any()
}

/// The connectors that match a search; `None` until the first response.
type Found = Signal<Option<Result<Listing<ConnectorView>, ConsoleError>>>;

fn use_search(search: RwSignal<String>, is_opened: RwSignal<bool>) -> Found {
    // An action, because loading a resource again would replace the whole wizard by its fallback.
    let find = Action::new(|text: &String| {
        let search_term = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        list_connectors(ListQuery {
            limit: MAX_ROWS,
            search_term,
            ..ListQuery::default()
        })
    });
    Effect::new(move |_| {
        let text = search.get();
        if is_opened.get() {
            find.dispatch(text);
        }
    });
    find.value().into()
}

#[component]
fn ConnectorList(
    search: RwSignal<String>,
    found: Found,
    chosen: RwSignal<Option<Chosen>>,
    is_creating: RwSignal<bool>,
) -> impl IntoView {
    let rows = move || match found.get() {
        None => view! { <p class="skeleton">"Loading connectors…"</p> }.into_any(),
        Some(Err(error)) => view! { <ProblemAlert error=error /> }.into_any(),
        Some(Ok(found)) if found.items.is_empty() => {
            let text = if search.with_untracked(|text| text.trim().is_empty()) {
                "There are no connectors yet. Create one."
            } else {
                "No connector matches. Create a new one."
            };
            view! { <p class="muted">{text}</p> }.into_any()
        }
        Some(Ok(found)) => found
            .items
            .into_iter()
            .map(|connector| view! { <ConnectorOption connector=connector chosen=chosen /> })
            .collect_view()
            .into_any(),
    };
    view! {
        <div class="dialog-body">
            <div class="connector-search">
                <input
                    type="search"
                    aria-label="Search connectors"
                    placeholder="Search connectors"
                    value=search.get_untracked()
                    on:input:target=move |event| search.set(event.target().value())
                />
                <button type="button" class="button" on:click=move |_| is_creating.set(true)>"New AWS connector"</button>
            </div>
            <fieldset class="connector-options">
                <legend class="hidden">"Connectors"</legend>
                {rows}
            </fieldset>
        </div>
    }
}

#[component]
fn ConnectorOption(connector: ConnectorView, chosen: RwSignal<Option<Chosen>>) -> impl IntoView {
    let connector = connector.connector;
    let (id, name) = (connector.identifier.to_string(), connector.name.to_string());
    let is_chosen = chosen.with_untracked(|chosen| chosen.as_ref().is_some_and(|(chosen, _)| *chosen == id));
    let choice = (id.clone(), name.clone());
    view! {
        <label class="connector-option">
            <input
                type="radio"
                name="connector"
                value=id.clone()
                checked=is_chosen
                on:change=move |_| chosen.set(Some(choice.clone()))
            />
            <span>
                <strong>{name}</strong>
                <span class="mono muted block">{id}</span>
            </span>
            <span class="mono muted">{connector.spec.region}</span>
        </label>
    }
}
