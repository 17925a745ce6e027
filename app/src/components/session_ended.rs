//! Signing in again over the page, when the session has ended: what was typed below stays.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use super::{Icon, Shape};
use crate::server_functions::session::sign_in;

/// Whether signing in is asked for; every page under the frame has it as a context.
#[derive(Clone, Copy, Debug)]
pub struct SessionEnded(pub RwSignal<bool>);

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
    let close = move || {
        ended.0.set(false);
        if let Some(dialog) = node.get_untracked() {
            dialog.close();
        }
    };
    Effect::new(move |_| {
        if let Some(dialog) = node.get()
            && ended.0.get()
            && !dialog.open()
        {
            drop(dialog.show_modal());
        }
    });
    Effect::new(move |_| {
        if enter.value().get() == Some(Ok(())) {
            if let Some(input) = password.get_untracked() {
                input.set_value("");
            }
            enter.value().set(None);
            close();
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
        <dialog class="dialog session" node_ref=node aria-labelledby="session-title" on:close=move |_| ended.0.set(false)>
            <form on:submit=submit>
                <header class="dialog-head">
                    <h2 id="session-title">"Sign in again"</h2>
                    <button type="button" class="button icon-button" aria-label="Close" on:click=move |_| close()>
                        <Icon shape=Shape::Cross />
                    </button>
                </header>
                <div class="dialog-body">
                    <p>"Your session has ended. The page below stays as it is; do again there what was refused."</p>
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
