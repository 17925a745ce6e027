//! A secret that is shown only once.

use auditstream_model::{IssuedLink, UserStatus};
use leptos::prelude::*;

use crate::components::dialog::{close, open};
use crate::components::time::absolute;
use crate::components::{CopyButton, Dialog};

/// A secret with instructions. It is the result of an action and is dropped when the dialog closes;
/// the server never renders it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct OneTimeSecret {
    pub title: String,
    pub advice: String,
    pub text: String,
    /// The label of the button that copies the text.
    pub copy: &'static str,
    /// An explanation and a command.
    pub example: Option<(String, String)>,
}

impl OneTimeSecret {
    pub(super) fn of_link(issued: IssuedLink, status: UserStatus) -> Self {
        let IssuedLink { email, link, expires } = issued;
        let title = match status {
            UserStatus::Invited => format!("Invitation for {email}"),
            UserStatus::Active => format!("New password link for {email}"),
        };
        Self {
            title,
            advice: format!(
                "Anyone with this link can set the password of {email}. Send it to that user only. It works once, expires \
                 at {}, and is not shown again.",
                absolute(expires)
            ),
            text: link,
            copy: "Copy link",
            example: None,
        }
    }
}

#[component]
pub(super) fn OneTimeSecretDialog(secret: RwSignal<Option<OneTimeSecret>>) -> impl IntoView {
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
        <Dialog node=node id="one-time-secret-title".to_owned() title=title on_close=forget ignores_escape=true>
            {move || secret.get().map(|secret| view! { <SecretText secret=secret /> })}
            <footer class="dialog-foot">
                <button type="button" class="button" on:click=move |_| close(node)>"Done"</button>
            </footer>
        </Dialog>
    }
    .into_any()
}

#[component]
fn SecretText(secret: OneTimeSecret) -> impl IntoView {
    view! {
        <div class="dialog-body">
            <p>{secret.advice}</p>
            <div class="one-time-secret">
                <code class="mono">{secret.text.clone()}</code>
                <CopyButton text=Signal::stored(secret.text) label=secret.copy primary=true />
            </div>
            {secret
                .example
                .map(|(explanation, command)| {
                    view! {
                        <figure class="code-figure">
                            <figcaption>
                                {explanation} <CopyButton text=Signal::stored(command.clone()) label="Copy command" />
                            </figcaption>
                            <pre class="code" tabindex="0" aria-label="Command">{command}</pre>
                        </figure>
                    }
                })}
        </div>
    }
}
