//! The entry point of the console in the browser: hydrates the page that the server rendered.

#![cfg(target_family = "wasm")]

/// Hydrates the page. Called once by the page's script, when the module has loaded.
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(auditstream_app::App);
}
