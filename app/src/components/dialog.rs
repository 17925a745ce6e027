//! Dialogs over the page.

use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::{Icon, Shape};

/// Opens a dialog that is not open. One that asks for something has the focus where that is typed.
pub fn open(node: NodeRef<leptos::html::Dialog>) {
    let Some(dialog) = node.get_untracked().filter(|dialog| !dialog.open()) else {
        return;
    };
    drop(dialog.show_modal());
    if let Ok(Some(input)) = dialog.query_selector("input")
        && let Ok(input) = input.dyn_into::<web_sys::HtmlElement>()
    {
        drop(input.focus());
    }
}

/// Closes a dialog.
pub fn close(node: NodeRef<leptos::html::Dialog>) {
    if let Some(dialog) = node.get_untracked() {
        dialog.close();
    }
}

/// A dialog with a title and a button that closes it.
#[component]
pub fn Dialog(
    /// The dialog.
    node: NodeRef<leptos::html::Dialog>,
    /// The title's element id.
    id: String,
    /// The title.
    #[prop(into)]
    title: Signal<String>,
    /// Told that it was closed.
    #[prop(optional, into)]
    on_close: Option<Callback<()>>,
    /// What is in it.
    children: Children,
) -> impl IntoView {
    let closed = move |_| {
        if let Some(on_close) = on_close {
            on_close.run(());
        }
    };
    view! {
        <dialog class="dialog" node_ref=node aria-labelledby=id on:close=closed>
            <header class="dialog-head">
                <h2 id=id.clone()>{move || title.get()}</h2>
                <button type="button" class="button icon-button" aria-label="Close" on:click=move |_| close(node)>
                    <Icon shape=Shape::Cross />
                </button>
            </header>
            {children()}
        </dialog>
    }
    .into_any()
}

/// Asks before something is done that cannot be taken back.
#[component]
pub fn ConfirmDialog(
    /// The dialog.
    node: NodeRef<leptos::html::Dialog>,
    /// The title's element id.
    id: String,
    /// The title.
    title: &'static str,
    /// What the button says that does it.
    verb: &'static str,
    /// Whether something is taken away.
    #[prop(optional)]
    danger: bool,
    /// Told that it shall be done; the dialog is closed.
    on_confirm: Callback<()>,
    /// Told that the dialog was closed, whichever way.
    #[prop(optional, into)]
    on_close: Option<Callback<()>>,
    /// What will be done.
    children: Children,
) -> impl IntoView {
    let confirm = move |_| {
        close(node);
        on_confirm.run(());
    };
    let closed = move |_| {
        if let Some(on_close) = on_close {
            on_close.run(());
        }
    };
    view! {
        <dialog class="dialog confirm" node_ref=node aria-labelledby=id on:close=closed>
            <header class="dialog-head">
                <h2 id=id.clone()>{title}</h2>
            </header>
            <div class="dialog-body">{children()}</div>
            <footer class="dialog-foot">
                <button type="button" class="button" autofocus on:click=move |_| close(node)>"Cancel"</button>
                <button type="button" class="button" class:danger=danger class:primary=!danger on:click=confirm>
                    {verb}
                </button>
            </footer>
        </dialog>
    }
    .into_any()
}
