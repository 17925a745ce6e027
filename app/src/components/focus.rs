//! Where the keyboard goes when what had the focus is gone.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};

/// Focuses what is found once the page shows what has just changed.
pub fn focus_soon(find: impl FnOnce() -> Option<Element> + 'static) {
    request_animation_frame(move || {
        if let Some(element) = find().and_then(|found| found.dyn_into::<HtmlElement>().ok()) {
            drop(element.focus());
        }
    });
}

/// Focuses the page, where nothing nearer is left.
pub fn focus_page() {
    focus_soon(page);
}

/// Focuses the frame of a table that has lost a row, or the page where the table went with it.
pub fn focus_table(frame: NodeRef<leptos::html::Div>) {
    focus_soon(move || {
        let frame = frame.get_untracked().filter(|frame| frame.is_connected());
        frame.map(Element::from).or_else(page)
    });
}

fn page() -> Option<Element> {
    document().get_element_by_id("main")
}

/// The first control in a form whose field is wrong.
#[must_use]
pub fn first_wrong(form: &Element) -> Option<Element> {
    form.query_selector(".field-wrong input, .field-wrong .chosen button")
        .ok()
        .flatten()
}
