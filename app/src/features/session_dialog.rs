//! Signing in again over the page after the session has ended. Everything typed on the page stays.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use crate::components::dialog::{close, open};
use crate::components::{Icon, Shape};
use crate::server_functions::session::sign_in;
use crate::session::{Session, SessionEnded};

/// The dialog. It opens when [`SessionEnded`] requests it and closes after signing in.
#[component]
pub fn SessionDialog(ended: SessionEnded) -> impl IntoView {
    let node = NodeRef::<leptos::html::Dialog>::new();
    let email = NodeRef::<leptos::html::Input>::new();
    let password = NodeRef::<leptos::html::Input>::new();
    // The page shows data of this account.
    let session = use_context::<Session>();
    let account = move || Some(session?.0.get_untracked()?.ok()?.account.as_str().to_owned());
    let enter =
        Action::new(move |(email, password): &(String, String)| sign_in(email.clone(), password.clone(), account()));
    Effect::new(move |_| {
        if ended.requested.get() && node.get().is_some() {
            open(node);
        }
    });
    Effect::new(move |_| {
        if enter.value().get() == Some(Ok(())) {
            if let Some(input) = password.get_untracked() {
                input.set_value("");
            }
            enter.value().set(None);
            close(node);
            ended.renewals.update(|renewals| *renewals += 1);
        }
    });
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if let (Some(email), Some(password)) = (email.get_untracked(), password.get_untracked())
            && !enter.pending().get_untracked()
        {
            enter.dispatch((email.value(), password.value()));
        }
    };
    view! {
        <dialog class="dialog session" node_ref=node aria-labelledby="session-title" on:close=move |_| ended.requested.set(false)>
            <form on:submit=submit>
                <header class="dialog-head">
                    <h2 id="session-title">"Sign in again"</h2>
                    <button type="button" class="button icon-button" aria-label="Close" on:click=move |_| close(node)>
                        <Icon shape=Shape::Cross />
                    </button>
                </header>
                <div class="dialog-body">
                    <p>"Your session has ended. Sign in to continue. Everything you typed is still here."</p>
                    <div class="field">
                        <label for="session-email">"E-mail"</label>
                        <input id="session-email" type="email" autocomplete="username" required node_ref=email />
                    </div>
                    <div class="field">
                        <label for="session-password">"Password"</label>
                        <input
                            id="session-password"
                            type="password"
                            autocomplete="current-password"
                            required
                            node_ref=password
                        />
                    </div>
                    {move || {
                        enter
                            .value()
                            .get()
                            .and_then(Result::err)
                            .map(|error| {
                                view! {
                                    <div class="banner banner-danger" role="alert">
                                        <Icon shape=Shape::Warning />
                                        <p>{error.0.detail}</p>
                                    </div>
                                }
                            })
                    }}
                </div>
                <footer class="dialog-foot">
                    <button type="submit" class="button primary" disabled=move || enter.pending().get()>
                        {move || if enter.pending().get() { "Signing in…" } else { "Sign in" }}
                    </button>
                </footer>
            </form>
        </dialog>
    }
    .into_any()
}
