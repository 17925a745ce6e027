//! Restores keyboard focus after the focused element has been removed.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};

/// Focuses an element once the page has been updated.
pub fn focus_soon(find: impl FnOnce() -> Option<Element> + 'static) {
    request_animation_frame(move || {
        if let Some(element) = find().and_then(|found| found.dyn_into::<HtmlElement>().ok()) {
            drop(element.focus());
        }
    });
}

/// Focuses the content of the page.
pub fn focus_page() {
    focus_soon(page);
}

/// Focuses the frame of a table that has lost a row, or the page if the table is gone as well.
pub fn focus_table(frame: NodeRef<leptos::html::Div>) {
    focus_soon(move || {
        let frame = frame.get_untracked().filter(|frame| frame.is_connected());
        frame.map(Element::from).or_else(page)
    });
}

fn page() -> Option<Element> {
    document().get_element_by_id("main")
}

/// Returns the first control of an invalid field.
#[must_use]
pub fn first_invalid(form: &Element) -> Option<Element> {
    form.query_selector(".field-invalid input, .field-invalid .selection button")
        .ok()
        .flatten()
}
