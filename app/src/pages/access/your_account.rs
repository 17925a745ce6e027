//! The tab Your account: the signed-in user, a new password, and signing out everywhere.

use auditstream_model::SignedIn;
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use super::tab::AccessHead;
use crate::choice::Choice;
use crate::components::{Field, FormErrors, Icon, ProblemAlert, Shape, TextField};
use crate::paths;
use crate::server_functions::access::{change_password, sign_out_everywhere};
use crate::session::signed_in;

/// The tab.
#[component]
pub fn YourAccount() -> impl IntoView {
    view! {
        <AccessHead />
        <Suspense fallback=|| view! { <p class="skeleton">"Loading your account…"</p> }>
            {move || Suspend::new(async move {
                match signed_in().await {
                    Ok(user) => view! { <Account user=user /> }.into_any(),
                    Err(error) => view! { <ProblemAlert error=error /> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn Account(user: SignedIn) -> impl IntoView {
    view! {
        <dl class="facts">
            <dt>"E-mail"</dt>
            <dd class="mono">{user.email.clone()}</dd>
            <dt>"Role"</dt>
            <dd>{user.role.label().to_owned()}</dd>
            <dt>"Account"</dt>
            <dd class="mono">{user.account.to_string()}</dd>
        </dl>
        <ChangePassword email=user.email />
        <SignOutEverywhere />
    }
}

#[component]
fn ChangePassword(email: String) -> impl IntoView {
    let [current, new] = [(); 2].map(|()| Field::new(""));
    let errors = FormErrors::new();
    let done = RwSignal::new(false);
    let change = Action::new(|(current, new): &(String, String)| change_password(current.clone(), new.clone()));
    Effect::new(move |_| match change.value().get() {
        None => {}
        Some(Ok(())) => {
            current.set("");
            new.set("");
            done.set(true);
        }
        Some(Err(error)) => errors.refuse(&error),
    });
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if change.pending().get_untracked() {
            return;
        }
        errors.clear();
        done.set(false);
        change.dispatch((current.now(), new.now()));
    };
    view! {
        <h2 class="section">"Change password"</h2>
        // Sent before hydration, this method keeps the entries out of the address.
        <form method="dialog" class="narrow stack" on:submit=submit novalidate>
            <input type="hidden" autocomplete="username" value=email />
            <TextField
                label="Current password"
                name="current-password"
                kind="password"
                autocomplete="current-password"
                field=current
                error=errors.field("current", current.value)
            />
            <TextField
                label="New password"
                name="new-password"
                kind="password"
                field=new
                error=errors.field("password", new.value)
                help="12 characters or more. A sentence is easy to remember. Your other sessions end; this one continues."
            />
            {move || errors.problem().get().map(|error| view! { <ProblemAlert error=error /> })}
            <div role="status">
                <Show when=move || done.get()>
                    <p class="status status-good"><Icon shape=Shape::Check />"Password changed. Your other sessions have ended."</p>
                </Show>
            </div>
            <div class="form-actions">
                <button type="submit" class="button primary" disabled=move || change.pending().get()>
                    {move || if change.pending().get() { "Changing…" } else { "Change password" }}
                </button>
            </div>
        </form>
    }
}

#[component]
fn SignOutEverywhere() -> impl IntoView {
    let sign_out = Action::new(|(): &()| sign_out_everywhere());
    Effect::new(move |_| {
        if sign_out.value().with(|outcome| matches!(outcome, Some(Ok(())))) {
            drop(window().location().set_href(paths::SIGN_IN));
        }
    });
    view! {
        <h2 class="section">"Sign out everywhere"</h2>
        <div class="narrow stack">
            <p class="muted">
                "Ends all your sessions, including this one. Use it if you lost a device or left a browser signed in."
            </p>
            {move || sign_out.value().get().and_then(Result::err).map(|error| view! { <ProblemAlert error=error /> })}
            <div>
                <button
                    type="button"
                    class="button"
                    disabled=move || sign_out.pending().get()
                    on:click=move |_| {
                        sign_out.dispatch(());
                    }
                >
                    {move || if sign_out.pending().get() { "Signing out…" } else { "Sign out everywhere" }}
                </button>
            </div>
        </div>
    }
}
