//! One-time links: the first admin's, invitations, new passwords. Looking changes nothing; sending the form uses the link up.
//! Plain forms that the server itself answers, so that they work without the page's program.

use auditstream_model::{LinkKind, OneTimeLink, invalid_link};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use super::flash::FlashBox;
use crate::components::ProblemBox;
use crate::server_functions::access::look_at_link;

/// The first start: the link that the server printed.
#[component]
pub fn Setup() -> impl IntoView {
    view! { <Link action="/setup" /> }
}

/// An invitation, or a link for a new password.
#[component]
pub fn Invitation() -> impl IntoView {
    view! { <Link action="/invitation" /> }
}

#[component]
fn Link(action: &'static str) -> impl IntoView {
    let token = use_query_map()
        .with_untracked(|query| query.get("token"))
        .unwrap_or_default();
    let asked = token.clone();
    let found = Resource::new(|| (), move |()| look_at_link(asked.clone()));
    let retry = Callback::new(move |()| found.refetch());
    view! {
        <main class="gate">
            <p class="brand"><span class="brand-mark" aria-hidden="true"></span>"Auditstream"</p>
            <Suspense fallback=|| view! { <p class="skeleton">"Looking at the link…"</p> }>
                {move || {
                    let token = token.clone();
                    Suspend::new(async move {
                        match found.await {
                            Ok(Some(link)) => view! { <PasswordForm link=link token=token action=action /> }.into_any(),
                            Ok(None) => view! { <Dead /> }.into_any(),
                            Err(error) => view! { <ProblemBox error=error retry=retry /> }.into_any(),
                        }
                    })
                }}
            </Suspense>
        </main>
    }
    .into_any()
}

#[component]
fn Dead() -> impl IntoView {
    view! {
        <Title text="Link not usable" />
        <h1>"This link cannot be used"</h1>
        <p>{invalid_link().detail}</p>
        <a class="button" href="/sign-in">"Go to sign-in"</a>
    }
}

#[component]
fn PasswordForm(link: OneTimeLink, token: String, action: &'static str) -> impl IntoView {
    let email = link.email.clone().unwrap_or_default();
    let account = link.account.to_string();
    let (title, what, verb) = match link.kind {
        LinkKind::Setup => (
            "Set up Auditstream",
            format!("Make the first admin of the account {account}. This link works once, for an hour."),
            "Create admin",
        ),
        LinkKind::Invitation => (
            "Join Auditstream",
            format!("You are invited to the account {account}. Set a password to sign in with; this link works once."),
            "Set password and sign in",
        ),
        LinkKind::Password => (
            "Set a new password",
            format!("For the account {account}. Wherever you are signed in, you are signed out; this link works once."),
            "Set password and sign in",
        ),
    };
    let is_known = link.email.is_some();
    view! {
        <Title text=title />
        <h1>{title}</h1>
        <p class="muted">{what}</p>
        <FlashBox />
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
