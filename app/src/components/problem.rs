//! What went wrong, where it went wrong.

use leptos::prelude::*;

use super::session_ended::SessionEnded;
use super::{Icon, Shape};
use crate::error::ConsoleError;

/// A refusal with its title and sentence. An ended session asks to sign in over the page.
#[component]
pub fn ProblemBox(
    /// What went wrong.
    error: ConsoleError,
    /// What to do to try again.
    #[prop(optional, into)]
    retry: Option<Callback<()>>,
) -> impl IntoView {
    let signed_out = error.is_signed_out();
    let ended = use_context::<SessionEnded>();
    let ask = move || {
        if let Some(ended) = ended {
            ended.0.set(true);
        }
    };
    Effect::new(move |_| {
        if signed_out {
            ask();
        }
    });
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
                            <button type="button" class="button" on:click=move |_| ask()>
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
