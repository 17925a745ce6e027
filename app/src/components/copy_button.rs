//! Copies a text.

use leptos::prelude::*;

/// A button that says how it went.
#[component]
pub fn CopyButton(
    /// What is copied.
    #[prop(into)]
    text: Signal<String>,
    /// What the button says.
    label: &'static str,
    /// Whether it is the primary action.
    #[prop(optional)]
    primary: bool,
) -> impl IntoView {
    let copied = RwSignal::new(None::<bool>);
    let copy = move |_| {
        let text = text.get_untracked();
        leptos::task::spawn_local(async move {
            let writing = window().navigator().clipboard().write_text(&text);
            copied.set(Some(wasm_bindgen_futures::JsFuture::from(writing).await.is_ok()));
        });
    };
    view! {
        <span class="copy">
            <span class="muted" role="status">
                {move || match copied.get() {
                    None => "",
                    Some(true) => "Copied.",
                    Some(false) => "The browser did not allow copying. Select the text instead.",
                }}
            </span>
            <button type="button" class="button" class:primary=primary on:click=copy>{label}</button>
        </span>
    }
}
