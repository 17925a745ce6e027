//! Sign-in: a plain form that works without (and before) JavaScript.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use super::flash::{FlashMessage, must_choose_account, typed_email};
use crate::paths;

/// The page with e-mail and password.
#[component]
pub fn SignIn() -> impl IntoView {
    let next = use_query_map()
        .with_untracked(|query| query.get("next"))
        .unwrap_or_default();
    let email = typed_email();
    let is_known = email.is_some();
    let asks_account = must_choose_account();
    view! {
        <Title text="Sign in" />
        <main class="gate">
            <p class="brand"><span class="brand-mark" aria-hidden="true"></span>"Auditstream"</p>
            <h1>"Sign in"</h1>
            <FlashMessage />
            <form method="post" action=paths::SIGN_IN class="stack">
                <input type="hidden" name="next" value=next />
                <div class="field">
                    <label for="email">"E-mail"</label>
                    <input
                        id="email"
                        name="email"
                        type="email"
                        autocomplete="username"
                        value=email
                        autofocus=!is_known
                        required
                    />
                </div>
                <div class="field">
                    <label for="password">"Password"</label>
                    <input
                        id="password"
                        name="password"
                        type="password"
                        autocomplete="current-password"
                        autofocus=is_known
                        required
                    />
                </div>
                {asks_account
                    .then(|| {
                        view! {
                            <div class="field">
                                <label for="account">"Account"</label>
                                <input id="account" name="account" autocomplete="organization" required />
                            </div>
                        }
                    })}
                <button type="submit" class="button primary wide">"Sign in"</button>
            </form>
        </main>
    }
    .into_any()
}
