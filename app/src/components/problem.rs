//! A refusal, shown where it happened.

use leptos::prelude::*;

use super::{Icon, Shape};
use crate::error::ConsoleError;
use crate::session::SessionEnded;

/// A refusal with its title and message. If the session has ended, it opens the sign-in dialog.
#[component]
pub fn ProblemAlert(
    error: ConsoleError,
    /// Called to try again, also after signing in again.
    #[prop(optional, into)]
    retry: Option<Callback<()>>,
) -> impl IntoView {
    let signed_out = error.is_signed_out();
    let ended = use_context::<SessionEnded>();
    let request_sign_in = move || {
        if let Some(ended) = ended {
            ended.requested.set(true);
        }
    };
    let renewals = ended.filter(|_| signed_out).map(|ended| ended.renewals);
    let first = renewals.map_or(0, |renewals| renewals.get_untracked());
    let is_renewed = Memo::new(move |_| renewals.is_some_and(|renewals| renewals.get() > first));
    Effect::new(move |_| {
        if let (true, Some(retry)) = (is_renewed.get(), retry) {
            retry.run(());
        }
    });
    Effect::new(move |_| {
        if signed_out {
            request_sign_in();
        }
    });
    // The detail repeats the messages of fields, with their names in the API.
    let detail = error.0.errors.is_empty().then_some(error.0.detail);
    let fields: Vec<_> = error
        .0
        .errors
        .iter()
        .map(|field| view! { <li>{field.message.clone()}</li> })
        .collect();
    view! {
        <div class="banner banner-danger" role="alert">
            <Icon shape=Shape::Warning />
            <div>
                <strong>{error.0.title}</strong>
                {move || {
                    let text = if is_renewed.get() {
                        Some("You are signed in again. Repeat the action.".to_owned())
                    } else {
                        detail.clone()
                    };
                    text.map(|text| view! { <p>{text}</p> })
                }}
                {(!fields.is_empty()).then(|| view! { <ul>{fields}</ul> })}
                {signed_out
                    .then(|| {
                        view! {
                            <button type="button" class="button" on:click=move |_| request_sign_in()>
                                "Sign in"
                            </button>
                        }
                    })}
                {retry
                    .map(|retry| {
                        view! {
                            <button type="button" class="button" on:click=move |_| retry.run(())>
                                "Retry"
                            </button>
                        }
                    })}
            </div>
        </div>
    }
}
