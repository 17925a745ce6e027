//! Copying a text.

use leptos::prelude::*;

/// A button that copies a text and reports whether it could.
#[component]
pub fn CopyButton(
    #[prop(into)] text: Signal<String>,
    label: &'static str,
    #[prop(optional)] primary: bool,
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
        <span class="copy-button">
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
