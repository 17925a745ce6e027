//! One-time links for setting a password. Opening one changes nothing; sending the form uses it up.

use auditstream_model::{LinkKind, OneTimeLink, invalid_link};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use super::flash::FlashMessage;
use crate::components::ProblemAlert;
use crate::paths;
use crate::server_functions::access::find_link;

/// The page of the set-up link that the server prints at its first start.
#[component]
pub fn Setup() -> impl IntoView {
    view! { <Link action=paths::SETUP /> }
}

/// The page of an invitation or a password link.
#[component]
pub fn Invitation() -> impl IntoView {
    view! { <Link action=paths::INVITATION /> }
}

#[component]
fn Link(action: &'static str) -> impl IntoView {
    let token = use_query_map()
        .with_untracked(|query| query.get("token"))
        .unwrap_or_default();
    let requested = token.clone();
    let found = Resource::new(|| (), move |()| find_link(requested.clone()));
    let retry = Callback::new(move |()| found.refetch());
    view! {
        <main class="gate">
            <p class="brand"><span class="brand-mark" aria-hidden="true"></span>"Auditstream"</p>
            <Suspense fallback=|| view! { <p class="skeleton">"Checking the link…"</p> }>
                {move || {
                    let token = token.clone();
                    Suspend::new(async move {
                        match found.await {
                            Ok(Some(link)) => view! { <PasswordForm link=link token=token action=action /> }.into_any(),
                            Ok(None) => view! { <InvalidLink /> }.into_any(),
                            Err(error) => view! { <ProblemAlert error=error retry=retry /> }.into_any(),
                        }
                    })
                }}
            </Suspense>
        </main>
    }
    .into_any()
}

#[component]
fn InvalidLink() -> impl IntoView {
    view! {
        <Title text="Invalid link" />
        <h1>"This link cannot be used"</h1>
        <p>{invalid_link().detail}</p>
        <a class="button" href=paths::SIGN_IN>"Go to sign-in"</a>
    }
}

#[component]
fn PasswordForm(link: OneTimeLink, token: String, action: &'static str) -> impl IntoView {
    let email = link.email.clone().unwrap_or_default();
    let account = link.account.to_string();
    let (title, explanation, verb) = match link.kind {
        LinkKind::Setup => (
            "Set up Auditstream",
            format!("Create the first admin of the account {account}. This link works once and expires after an hour."),
            "Create admin",
        ),
        LinkKind::Invitation => (
            "Join Auditstream",
            format!("You are invited to the account {account}. Set a password to sign in. This link works once."),
            "Set password and sign in",
        ),
        LinkKind::Password => (
            "Set a new password",
            format!("For the account {account}. Setting it ends all your sessions. This link works once."),
            "Set password and sign in",
        ),
    };
    let is_known = link.email.is_some();
    view! {
        <Title text=title />
        <h1>{title}</h1>
        <p class="muted">{explanation}</p>
        <FlashMessage />
        <form method="post" action=action class="stack">
            <input type="hidden" name="token" value=token />
            <div class="field">
                <label for="email">"E-mail"</label>
                <input
                    id="email"
                    name="email"
                    type="email"
                    autocomplete="username"
                    value=email
                    readonly=is_known
                    autofocus=!is_known
                    required
                />
            </div>
            <div class="field">
                <label for="password">"New password"</label>
                <input
                    id="password"
                    name="password"
                    type="password"
                    autocomplete="new-password"
                    minlength="12"
                    maxlength="256"
                    aria-describedby="password-note"
                    autofocus=is_known
                    required
                />
                <p class="field-note" id="password-note">"12 characters or more. A sentence is easy to remember."</p>
            </div>
            <button type="submit" class="button primary wide">{verb}</button>
        </form>
    }
}
