//! Leaving a page on which something was typed that is not saved.

use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_location, use_navigate};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, HtmlAnchorElement};

use super::ConfirmDialog;
use super::dialog::open;

/// Asks before links, the browser's Back and Forward, and the end of the page lose what was typed. A link that is marked
/// `data-discard` says itself that it does.
#[component]
pub fn Unsaved(
    /// Whether something was typed that is not saved.
    #[prop(into)]
    typed: Signal<bool>,
) -> impl IntoView {
    let sure = NodeRef::<html::Dialog>::new();
    // Where to, and whether by the history.
    let wanted = StoredValue::new((String::new(), false));
    let here = use_location().pathname.get_untracked();
    let navigate = use_navigate();
    let leave = Callback::new(move |()| {
        let (address, replace) = wanted.get_value();
        let options = NavigateOptions {
            replace,
            ..NavigateOptions::default()
        };
        navigate(&address, options);
    });
    let is_typed = move || typed.try_get_untracked() == Some(true);
    let ask = move |address: String, by_history: bool| {
        wanted.set_value((address, by_history));
        open(sure);
    };
    Effect::new(move |_| {
        let end = window_event_listener(ev::beforeunload, move |event| {
            if is_typed() {
                event.prevent_default();
            }
        });
        on_cleanup(move || end.remove());

        // The router listens at the window, which comes later, and leaves a click alone whose default is prevented.
        let from = here.clone();
        let links = document().document_element().map(|root| {
            root.on(ev::click, move |event| {
                if let Some(address) = left_by(&event, &from).filter(|_| is_typed()) {
                    event.prevent_default();
                    ask(address, false);
                }
            })
        });
        on_cleanup(move || drop(links));

        // The address has changed already: it is put back. The router must not hear of it, so that this listens first.
        let from = here.clone();
        let moved = Closure::<dyn Fn(web_sys::Event)>::new(move |event: web_sys::Event| {
            let to = window().location();
            let (Ok(path), Ok(search)) = (to.pathname(), to.search()) else {
                return;
            };
            if path == from || !is_typed() {
                return;
            }
            event.stop_immediate_propagation();
            if let Ok(history) = window().history() {
                drop(history.push_state_with_url(&JsValue::NULL, "", Some(&from)));
            }
            ask(path + &search, true);
        });
        let moved = StoredValue::new_local(moved);
        moved.with_value(|moved| {
            let listener = moved.as_ref().unchecked_ref();
            drop(window().add_event_listener_with_callback_and_bool("popstate", listener, true));
        });
        on_cleanup(move || {
            moved.with_value(|moved| {
                let listener = moved.as_ref().unchecked_ref();
                drop(window().remove_event_listener_with_callback_and_bool("popstate", listener, true));
            });
        });
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
