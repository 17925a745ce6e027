//! The first start: the one-time link that makes the first admin.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use super::flash::FlashBox;

/// E-mail and password of the first admin.
#[component]
pub fn Setup() -> impl IntoView {
    let token = use_query_map()
        .with_untracked(|query| query.get("token"))
        .unwrap_or_default();
    view! {
        <Title text="Set up Auditstream" />
        <main class="gate">
            <p class="brand"><span class="brand-mark" aria-hidden="true"></span>"Auditstream"</p>
            <h1>"Set up Auditstream"</h1>
            <p class="muted">"Make the first account admin. This link works once, for an hour."</p>
            <FlashBox />
            <form method="post" action="/setup" class="stack">
                <input type="hidden" name="token" value=token />
                <div class="field">
                    <label for="email">"E-mail"</label>
                    <input id="email" name="email" type="email" autocomplete="username" required autofocus />
                </div>
                <div class="field">
                    <label for="password">"Password"</label>
                    <input
                        id="password"
                        name="password"
                        type="password"
                        autocomplete="new-password"
                        minlength="12"
                        maxlength="256"
                        aria-describedby="password-note"
                        required
                    />
                    <p class="field-note" id="password-note">"12 characters or more. A sentence is easy to remember."</p>
                </div>
                <button type="submit" class="button primary wide">"Create admin"</button>
            </form>
        </main>
    }
    .into_any()
}
