//! Signing in again over the page, when the session has ended: what was typed below stays.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use super::dialog::{close, open};
use super::{Icon, Shape};
use crate::server_functions::session::sign_in;

/// An ended session; every page under the frame has it as a context.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionEnded {
    /// Whether signing in is asked for.
    pub asked: RwSignal<bool>,
    /// How often somebody has signed in again since the page was opened.
    pub again: RwSignal<u32>,
}

/// The dialog. It opens when [`SessionEnded`] is set, and closes when somebody has signed in.
#[component]
pub fn SessionDialog(
    /// Whether it is asked for.
    ended: SessionEnded,
) -> impl IntoView {
    let node = NodeRef::<leptos::html::Dialog>::new();
    let email = NodeRef::<leptos::html::Input>::new();
    let password = NodeRef::<leptos::html::Input>::new();
    let enter = Action::new(|(email, password): &(String, String)| sign_in(email.clone(), password.clone()));
    Effect::new(move |_| {
        if ended.asked.get() && node.get().is_some() {
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
            ended.again.update(|times| *times += 1);
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
        <dialog class="dialog session" node_ref=node aria-labelledby="session-title" on:close=move |_| ended.asked.set(false)>
            <form on:submit=submit>
                <header class="dialog-head">
                    <h2 id="session-title">"Sign in again"</h2>
                    <button type="button" class="button icon-button" aria-label="Close" on:click=move |_| close(node)>
                        <Icon shape=Shape::Cross />
                    </button>
                </header>
                <div class="dialog-body">
                    <p>"Your session has ended. Sign in to go on where you were: what you typed is still there."</p>
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
