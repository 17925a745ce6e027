//! Dialogs over the page.

use leptos::ev::{KeyboardEvent, SubmitEvent};
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::{Icon, ProblemAlert, Shape};
use crate::error::ConsoleError;

/// Opens a dialog that is not open yet, and focuses its first input.
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
    node: NodeRef<leptos::html::Dialog>,
    id: String,
    #[prop(into)] title: Signal<String>,
    #[prop(optional, into)] on_close: Option<Callback<()>>,
    /// Whether Escape leaves it open, because its content is shown only once.
    #[prop(optional, into)]
    ignores_escape: Signal<bool>,
    children: Children,
) -> impl IntoView {
    let closed = move |_| {
        if let Some(on_close) = on_close {
            on_close.run(());
        }
    };
    let key = move |event: KeyboardEvent| {
        if event.key() == "Escape" && ignores_escape.get_untracked() {
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

/// A dialog with a form. It stays open while the action runs and if it fails; the owner of `node`
/// closes it.
#[component]
pub fn FormDialog(
    node: NodeRef<leptos::html::Dialog>,
    id: String,
    title: &'static str,
    /// The label of the button that confirms.
    verb: &'static str,
    running: &'static str,
    #[prop(optional)] danger: bool,
    #[prop(default = Signal::stored(true))] ready: Signal<bool>,
    #[prop(into)] pending: Signal<bool>,
    #[prop(into)] problem: Signal<Option<ConsoleError>>,
    /// Called when the form is submitted, except while the action runs.
    on_submit: Callback<()>,
    /// Called when the dialog closes, confirmed or not.
    on_close: Callback<()>,
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
                    {children()} {move || problem.get().map(|error| view! { <ProblemAlert error=error /> })}
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

/// A dialog that asks for confirmation before an action.
#[component]
pub fn ConfirmDialog(
    node: NodeRef<leptos::html::Dialog>,
    id: String,
    title: &'static str,
    verb: &'static str,
    #[prop(optional)] danger: bool,
    /// Called when the user confirms, after the dialog has closed.
    on_confirm: Callback<()>,
    /// Called when the dialog closes, confirmed or not.
    #[prop(optional, into)]
    on_close: Option<Callback<()>>,
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
