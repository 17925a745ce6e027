//! A menu that opens from three dots, by the ARIA menu-button pattern.

use leptos::ev::KeyboardEvent;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::{Icon, Shape};

#[derive(Clone, Copy)]
struct Popover(NodeRef<leptos::html::Div>);

/// The button with its menu; the children are the items.
#[component]
pub fn Menu(
    id: String,
    /// The name of the thing that the actions change.
    #[prop(into)]
    of: Signal<String>,
    children: Children,
) -> impl IntoView {
    let node = NodeRef::<leptos::html::Div>::new();
    provide_context(Popover(node));
    view! {
        <button
            type="button"
            class="button icon-button"
            popovertarget=id.clone()
            aria-haspopup="menu"
            aria-label=move || format!("Actions for {}", of.get())
        >
            <Icon shape=Shape::Dots />
        </button>
        <div class="menu" id=id popover="auto" role="menu" node_ref=node on:keydown=move_focus aria-label="Actions">
            {children()}
        </div>
    }
    .into_any()
}

/// An action of a menu. Choosing it closes the menu.
#[component]
pub fn MenuItem(
    label: &'static str,
    on_choose: Callback<()>,
    reason_id: String,
    /// Why the item is disabled, if it is.
    #[prop(optional, into)]
    refused: Signal<Option<&'static str>>,
    #[prop(optional)] danger: bool,
    /// Whether it has the focus when the menu opens.
    #[prop(optional)]
    first: bool,
) -> impl IntoView {
    let popover = use_context::<Popover>();
    let choose = move |_| {
        if refused.get_untracked().is_some() {
            return;
        }
        if let Some(menu) = popover.and_then(|popover| popover.0.get_untracked()) {
            drop(menu.hide_popover());
        }
        on_choose.run(());
    };
    view! {
        <button
            type="button"
            role="menuitem"
            class:menu-danger=danger
            autofocus=first
            aria-disabled=move || if refused.get().is_some() { "true" } else { "false" }
            disabled=move || refused.get().is_some()
            aria-describedby=reason_id.clone()
            title=move || refused.get().unwrap_or_default()
            on:click=choose
        >
            {label}
        </button>
        <p class="menu-note" role="none" id=reason_id>{move || refused.get()}</p>
    }
    .into_any()
}

fn move_focus(event: KeyboardEvent) {
    let down = match event.key().as_str() {
        "ArrowDown" => true,
        "ArrowUp" => false,
        _ => return,
    };
    event.prevent_default();
    let Some(focused) = document().active_element() else {
        return;
    };
    let mut other = if down {
        focused.next_element_sibling()
    } else {
        focused.previous_element_sibling()
    };
    while let Some(element) = other {
        if element.get_attribute("role").as_deref() == Some("menuitem") && !element.has_attribute("disabled") {
            if let Ok(element) = element.dyn_into::<web_sys::HtmlElement>() {
                drop(element.focus());
            }
            return;
        }
        other = if down {
            element.next_element_sibling()
        } else {
            element.previous_element_sibling()
        };
    }
}
