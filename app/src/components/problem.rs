//! What went wrong, where it went wrong.

use leptos::prelude::*;
use leptos_router::hooks::use_location;

use super::{Icon, Shape};
use crate::error::ConsoleError;

/// A refusal with its title and sentence. An ended session offers to sign in, in another tab when something was typed.
#[component]
pub fn ProblemBox(
    /// What went wrong.
    error: ConsoleError,
    /// Whether this page holds what somebody typed.
    #[prop(optional)]
    keep_page: bool,
    /// What to do to try again.
    #[prop(optional, into)]
    retry: Option<Callback<()>>,
) -> impl IntoView {
    let signed_out = error.is_signed_out();
    let location = use_location();
    let address = move || format!("/sign-in?next={}", location.pathname.get());
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
                <strong>{error.0.title.clone()}</strong>
                <p>{error.0.detail}</p>
                {(!fields.is_empty()).then(|| view! { <ul>{fields}</ul> })}
                {signed_out
                    .then(|| {
                        view! {
                            <a
                                class="button"
                                href=address
                                rel="external"
                                target=if keep_page { "_blank" } else { "_self" }
                            >
                                {if keep_page { "Sign in in a new tab" } else { "Sign in" }}
                            </a>
                        }
                    })}
                {retry
                    .filter(|_| !signed_out)
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
