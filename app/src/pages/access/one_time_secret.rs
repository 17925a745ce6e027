//! A secret at the only moment that it is shown.

use leptos::prelude::*;

use crate::components::dialog::{close, open};
use crate::components::{CopyButton, Dialog};

/// A secret with what a person has to know of it. It comes as the answer of an action and goes when the dialog is closed:
/// no page that the server renders has it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret {
    /// What it is.
    pub title: String,
    /// What to do with it.
    pub advice: String,
    /// What is copied.
    pub text: String,
    /// What its button says.
    pub copy: &'static str,
    /// How it is used: a sentence and a command.
    pub example: Option<(String, String)>,
}

/// The dialog; it opens when there is something to show.
#[component]
pub(super) fn ShownOnce(
    /// What is to be shown.
    secret: RwSignal<Option<Secret>>,
) -> impl IntoView {
    let node = NodeRef::<leptos::html::Dialog>::new();
    Effect::new(move |_| {
        if node.get().is_some() && secret.with(Option::is_some) {
            open(node);
        }
    });
    let title = Signal::derive(move || {
        secret.with(|secret| secret.as_ref().map(|secret| secret.title.clone()).unwrap_or_default())
    });
    let forget = Callback::new(move |()| secret.set(None));
    view! {
        <Dialog node=node id="shown-once-title".to_owned() title=title on_close=forget stays=true>
            {move || secret.get().map(|secret| view! { <Body secret=secret /> })}
            <footer class="dialog-foot">
                <button type="button" class="button" on:click=move |_| close(node)>"Done"</button>
            </footer>
        </Dialog>
    }
    .into_any()
}

#[component]
fn Body(secret: Secret) -> impl IntoView {
    view! {
        <div class="dialog-body">
            <p>{secret.advice}</p>
            <div class="secret">
                <code class="mono">{secret.text.clone()}</code>
                <CopyButton text=Signal::stored(secret.text) label=secret.copy primary=true />
            </div>
            {secret
                .example
                .map(|(sentence, command)| {
                    view! {
                        <figure class="policy">
                            <figcaption>
                                {sentence} <CopyButton text=Signal::stored(command.clone()) label="Copy command" />
                            </figcaption>
                            <pre class="code" tabindex="0" aria-label="Command">{command}</pre>
                        </figure>
                    }
                })}
        </div>
    }
}
