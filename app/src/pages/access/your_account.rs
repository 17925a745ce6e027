//! The tab Your account: who is signed in, a new password, and signing out everywhere.

use auditstream_model::{FieldErrors, SignedIn};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use super::{AccessHead, role_name};
use crate::ConsoleError;
use crate::components::{Field, Icon, ProblemBox, Shape, TextField};
use crate::layout::signed_in;
use crate::server_functions::access::{change_password, sign_out_everywhere};

/// The tab.
#[component]
pub fn You() -> impl IntoView {
    view! {
        <AccessHead />
        <Suspense fallback=|| view! { <p class="skeleton">"Loading your account…"</p> }>
            {move || Suspend::new(async move {
                match signed_in().await {
                    Ok(person) => view! { <Account person=person /> }.into_any(),
                    Err(error) => view! { <ProblemBox error=error /> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn Account(person: SignedIn) -> impl IntoView {
    view! {
        <dl class="facts">
            <dt>"E-mail"</dt>
            <dd class="mono">{person.email.clone()}</dd>
            <dt>"Role"</dt>
            <dd>{role_name(person.role)}</dd>
            <dt>"Account"</dt>
            <dd class="mono">{person.account.to_string()}</dd>
        </dl>
        <ChangePassword email=person.email />
        <SignOutEverywhere />
    }
}

#[component]
fn ChangePassword(email: String) -> impl IntoView {
    let [current, new] = [(); 2].map(|()| Field::new(""));
    let wrong = RwSignal::new(FieldErrors::default());
    let problem = RwSignal::new(None::<ConsoleError>);
    let done = RwSignal::new(false);
    let of = move |field: &'static str| Signal::derive(move || wrong.with(|wrong| wrong.of(field).map(str::to_owned)));
    let change = Action::new(|(current, new): &(String, String)| change_password(current.clone(), new.clone()));
    Effect::new(move |_| {
        let Some(outcome) = change.value().get() else { return };
        match outcome {
            Ok(()) => {
                current.set("");
                new.set("");
                done.set(true);
            }
            Err(error) if !error.0.errors.is_empty() => wrong.set(FieldErrors(error.0.errors)),
            Err(error) => problem.set(Some(error)),
        }
    });
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if change.pending().get_untracked() {
            return;
        }
        wrong.set(FieldErrors::default());
        problem.set(None);
        done.set(false);
        change.dispatch((current.now(), new.now()));
    };
    view! {
        <h2 class="section">"Change password"</h2>
        // The method keeps what is typed out of the address when the form is sent before the page lives.
        <form method="dialog" class="narrow stack" on:submit=submit novalidate>
            <input type="hidden" autocomplete="username" value=email />
            <TextField
                label="Current password"
                name="current-password"
                kind="password"
                autocomplete="current-password"
                field=current
                error=of("current")
            />
            <TextField
                label="New password"
                name="new-password"
                kind="password"
                field=new
                error=of("password")
                help="12 characters or more. A sentence is easy to remember. Your other sessions end, this one goes on."
            />
            {move || problem.get().map(|error| view! { <ProblemBox error=error /> })}
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
    let leave = Action::new(|(): &()| sign_out_everywhere());
    Effect::new(move |_| {
        if leave.value().with(|outcome| matches!(outcome, Some(Ok(())))) {
            drop(window().location().set_href("/sign-in"));
        }
    });
    view! {
        <h2 class="section">"Sign out everywhere"</h2>
        <div class="narrow stack">
            <p class="muted">"Every session of yours ends, this one included: after a device was lost, or a browser was left open."</p>
            {move || leave.value().get().and_then(Result::err).map(|error| view! { <ProblemBox error=error /> })}
            <div>
                <button
                    type="button"
                    class="button"
                    disabled=move || leave.pending().get()
                    on:click=move |_| {
                        leave.dispatch(());
                    }
                >
                    {move || if leave.pending().get() { "Signing out…" } else { "Sign out everywhere" }}
                </button>
            </div>
        </div>
    }
}
