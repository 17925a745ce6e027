//! Leaving a page with unsaved entries.

use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_location, use_navigate};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlAnchorElement};

use super::ConfirmDialog;
use super::dialog::open;

/// Asks for confirmation before a link or closing the page discards unsaved entries. Links marked
/// `data-discard` are exempt, and so are Back and Forward within the console, which the router
/// handles first.
#[component]
pub fn Unsaved(#[prop(into)] is_unsaved: Signal<bool>) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    let destination = StoredValue::new(String::new());
    // Read on each click: during navigation to this page it was still the previous address.
    let here = use_location().pathname;
    let navigate = use_navigate();
    let leave = Callback::new(move |()| {
        navigate(&destination.get_value(), NavigateOptions::default());
    });
    let is_unsaved = move || is_unsaved.try_get_untracked() == Some(true);
    Effect::new(move |_| {
        let end = window_event_listener(ev::beforeunload, move |event| {
            if is_unsaved() {
                event.prevent_default();
            }
        });
        on_cleanup(move || end.remove());

        // The router listens on the window, which is later in the event's path, and ignores clicks
        // whose default is prevented.
        let links = document().document_element().map(|root| {
            root.on(ev::click, move |event| {
                if let Some(address) = left_by(&event, &here.get_untracked()).filter(|_| is_unsaved()) {
                    event.prevent_default();
                    destination.set_value(address);
                    open(dialog);
                }
            })
        });
        on_cleanup(move || drop(links));
    });
    view! {
        <ConfirmDialog
            node=dialog
            id="unsaved-title".to_owned()
            title="Leave without saving?"
            verb="Leave"
            danger=true
            on_confirm=leave
        >
            <p>"Your changes on this page have not been saved. They will be lost if you leave."</p>
        </ConfirmDialog>
    }
}

/// Returns the address of the console to which a click leaves the page at `here`.
fn left_by(event: &ev::MouseEvent, here: &str) -> Option<String> {
    let elsewhere = event.meta_key() || event.ctrl_key() || event.shift_key() || event.alt_key();
    if event.default_prevented() || event.button() != 0 || elsewhere {
        return None;
    }
    let clicked = event.target()?.dyn_into::<Element>().ok()?;
    let link = clicked.closest("a[href]").ok()??;
    let link = link.dyn_into::<HtmlAnchorElement>().ok()?;
    // Links that the browser follows itself fire `beforeunload`.
    let is_followed_by_browser =
        !link.target().is_empty() || link.has_attribute("download") || link.rel() == "external";
    let is_own = window().location().origin().ok()? == link.origin();
    if is_followed_by_browser || !is_own || link.pathname() == here || link.has_attribute("data-discard") {
        return None;
    }
    Some(link.pathname() + &link.search() + &link.hash())
}
