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
            ended.asked.set(true);
        }
    };
    let again = ended.filter(|_| signed_out).map(|ended| ended.again);
    let over = Memo::new(move |before: Option<&(u32, bool)>| {
        let times = again.map_or(0, |again| again.get());
        let first = before.map_or(times, |before| before.0);
        (first, times > first)
    });
    Effect::new(move |_| {
        if let (true, Some(retry)) = (over.get().1, retry) {
            retry.run(());
        }
    });
    Effect::new(move |_| {
        if signed_out {
            ask();
        }
    });
    // Sentences about fields are listed: the detail has the same, with the names that the API has for them.
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
                    let text = if over.get().1 {
                        Some("You are signed in again: what was refused can be repeated.".to_owned())
                    } else {
                        detail.clone()
                    };
                    text.map(|text| view! { <p>{text}</p> })
                }}
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
