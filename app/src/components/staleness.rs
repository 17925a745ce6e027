//! Pages that ask again and again, and what they say when they are refused.

use auditstream_model::Code;
use leptos::prelude::*;

use super::ProblemBox;
use crate::ConsoleError;

/// Why what is shown may be old; nothing while it is as it should be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stale(RwSignal<Option<ConsoleError>>);

impl Stale {
    /// What came of asking again. The same refusal once more changes nothing, so that what was closed stays closed.
    pub fn learn(self, refused: Option<ConsoleError>) {
        if self.0.try_with_untracked(|known| *known != refused) == Some(true) {
            self.0.try_set(refused);
        }
    }

    /// Whether it may be old.
    #[must_use]
    pub fn is_old(self) -> bool {
        self.0.with_untracked(Option::is_some)
    }
}

/// Says so.
#[component]
pub fn StaleBox(
    /// What is known.
    stale: Stale,
    /// Asks again.
    refresh: Callback<()>,
) -> impl IntoView {
    move || {
        let error = stale.0.get()?;
        Some(match error.0.code {
            Code::Unavailable | Code::Internal => view! {
                <p class="banner banner-danger" role="status">"The server does not answer. What you see may be old."</p>
            }
            .into_any(),
            Code::NotFound => view! { <ProblemBox error=error /> }.into_any(),
            _ => view! { <ProblemBox error=error retry=refresh /> }.into_any(),
        })
    }
}
