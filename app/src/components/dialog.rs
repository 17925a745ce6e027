//! Dialogs over the page.

use leptos::ev::{KeyboardEvent, SubmitEvent};
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::{Icon, ProblemBox, Shape};
use crate::ConsoleError;

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
    /// Whether it stays open when Escape is pressed, because what it shows would be lost.
    #[prop(optional, into)]
    stays: Signal<bool>,
    /// What is in it.
    children: Children,
) -> impl IntoView {
    let closed = move |_| {
        if let Some(on_close) = on_close {
            on_close.run(());
        }
    };
    let key = move |event: KeyboardEvent| {
        if event.key() == "Escape" && stays.get_untracked() {
            event.prevent_default();
        }
    };
    view! {
        <dialog class="dialog" node_ref=node aria-labelledby=id on:close=closed on:keydown=key>
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

/// Asks for what something needs, and does it. It stays open while that runs and when it fails; who holds `node` closes it.
#[component]
pub fn FormDialog(
    /// The dialog.
    node: NodeRef<leptos::html::Dialog>,
    /// The title's element id.
    id: String,
    /// The title.
    title: &'static str,
    /// What the button says that does it.
    verb: &'static str,
    /// What it says meanwhile.
    running: &'static str,
    /// Whether something is taken away.
    #[prop(optional)]
    danger: bool,
    /// Whether it can be done with what was entered.
    #[prop(default = Signal::stored(true))]
    ready: Signal<bool>,
    /// Whether it runs.
    #[prop(into)]
    pending: Signal<bool>,
    /// Why it failed.
    #[prop(into)]
    problem: Signal<Option<ConsoleError>>,
    /// Told that it shall be done; never while it runs.
    on_submit: Callback<()>,
    /// Told that the dialog was closed, whichever way.
    on_close: Callback<()>,
    /// What is asked for.
    children: Children,
) -> impl IntoView {
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if ready.get_untracked() && !pending.get_untracked() {
            on_submit.run(());
        }
    };
    view! {
        <Dialog node=node id=id title=Signal::stored(title.to_owned()) on_close=on_close>
            <form on:submit=submit novalidate>
                <div class="dialog-body">
                    {children()} {move || problem.get().map(|error| view! { <ProblemBox error=error /> })}
                </div>
                <footer class="dialog-foot">
                    <button type="button" class="button" on:click=move |_| close(node)>"Cancel"</button>
                    <button
                        type="submit"
                        class="button"
                        class:danger=danger
                        class:primary=!danger
                        disabled=move || !ready.get() || pending.get()
                    >
                        {move || if pending.get() { running } else { verb }}
                    </button>
                </footer>
            </form>
        </Dialog>
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
