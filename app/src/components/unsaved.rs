//! Leaving a page on which something was typed that is not saved.

use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_location, use_navigate};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlAnchorElement};

use super::ConfirmDialog;
use super::dialog::open;

/// Asks before a link or the end of the page loses what was typed. A link that is marked `data-discard` says itself that
/// it does. Back and Forward within the console are not asked about: the router hears of them first.
#[component]
pub fn Unsaved(
    /// Whether something was typed that is not saved.
    #[prop(into)]
    typed: Signal<bool>,
) -> impl IntoView {
    let sure = NodeRef::<html::Dialog>::new();
    let wanted = StoredValue::new(String::new());
    // Read when it is needed: on the way here it was still that of the page before.
    let here = use_location().pathname;
    let navigate = use_navigate();
    let leave = Callback::new(move |()| {
        navigate(&wanted.get_value(), NavigateOptions::default());
    });
    let is_typed = move || typed.try_get_untracked() == Some(true);
    Effect::new(move |_| {
        let end = window_event_listener(ev::beforeunload, move |event| {
            if is_typed() {
                event.prevent_default();
            }
        });
        on_cleanup(move || end.remove());

        // The router listens at the window, which comes later, and leaves a click alone whose default is prevented.
        let links = document().document_element().map(|root| {
            root.on(ev::click, move |event| {
                if let Some(address) = left_by(&event, &here.get_untracked()).filter(|_| is_typed()) {
                    event.prevent_default();
                    wanted.set_value(address);
                    open(sure);
                }
            })
        });
        on_cleanup(move || drop(links));
    });
    view! {
        <ConfirmDialog
            node=sure
            id="unsaved-title".to_owned()
            title="Leave without saving?"
            verb="Leave"
            danger=true
            on_confirm=leave
        >
            <p>"What you typed on this page is not saved. It is lost when you leave."</p>
        </ConfirmDialog>
    }
}

/// The address of the console to which a click leaves the page at `here`.
fn left_by(event: &ev::MouseEvent, here: &str) -> Option<String> {
    let elsewhere = event.meta_key() || event.ctrl_key() || event.shift_key() || event.alt_key();
    if event.default_prevented() || event.button() != 0 || elsewhere {
        return None;
    }
    let clicked = event.target()?.dyn_into::<Element>().ok()?;
    let link = clicked.closest("a[href]").ok()??;
    let link = link.dyn_into::<HtmlAnchorElement>().ok()?;
    // What the browser itself follows ends the page, which is asked about anyway.
    let is_browsers = !link.target().is_empty() || link.has_attribute("download") || link.rel() == "external";
    let is_own = window().location().origin().ok()? == link.origin();
    if is_browsers || !is_own || link.pathname() == here || link.has_attribute("data-discard") {
        return None;
    }
    Some(link.pathname() + &link.search() + &link.hash())
}
