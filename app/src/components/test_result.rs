//! How a connection test went.

use auditstream_model::connector::{Outcome, TestError};
use auditstream_model::{ConnectionTest, TestStep};
use leptos::prelude::*;

use super::{Icon, ProblemBox, Shape};
use crate::error::ConsoleError;

/// The steps of a test, running or done, and for a failed one what to do, what it means and what AWS said.
#[component]
pub fn TestResult(
    /// Whether it runs.
    #[prop(into)]
    pending: Signal<bool>,
    /// How the last one went.
    #[prop(into)]
    result: Signal<Option<Result<ConnectionTest, ConsoleError>>>,
) -> impl IntoView {
    view! {
        <div class="test-result" aria-live="polite">
            {move || {
                if pending.get() {
                    return view! {
                        <p class="test-running">
                            <span class="spinner" aria-hidden="true"></span>
                            "Testing the connection…"
                        </p>
                    }
                        .into_any();
                }
                match result.get() {
                    None => ().into_any(),
                    Some(Err(error)) => view! { <ProblemBox error=error /> }.into_any(),
                    Some(Ok(test)) => view! { <Steps test=test /> }.into_any(),
                }
            }}
        </div>
    }
}

#[component]
fn Steps(test: ConnectionTest) -> impl IntoView {
    let passed = test.status == Outcome::Success;
    view! {
        <TestSteps steps=test.steps />
        {if passed {
            view! {
                <div class="banner banner-good">
                    <Icon shape=Shape::Check />
                    <p><strong>"Connection test successful"</strong></p>
                </div>
            }
                .into_any()
        } else {
            view! { <TestFailure title="Connection test failed" error=test.error /> }.into_any()
        }}
    }
}

/// The steps of a test with how each went.
#[component]
pub fn TestSteps(
    /// The steps, in order.
    steps: Vec<TestStep>,
) -> impl IntoView {
    view! {
        <ol class="test-steps">
            {steps
                .into_iter()
                .map(|step| {
                    let (class, shape, word) = match step.status {
                        Outcome::Success => ("status status-good", Shape::Check, "Passed"),
                        Outcome::Failure => ("status status-bad", Shape::Warning, "Failed"),
                        Outcome::Skipped => ("status status-idle", Shape::Circle, "Skipped"),
                    };
                    view! {
                        <li>
                            <span class=class><Icon shape=shape />{word}</span>
                            <div>
                                <strong>{step.name}</strong>
                                <p class="muted">{step.detail}</p>
                            </div>
                        </li>
                    }
                })
                .collect_view()}
        </ol>
    }
}

/// Why a test failed: what to do, what it means and what the server said.
#[component]
pub fn TestFailure(
    /// What failed.
    title: &'static str,
    /// Why.
    error: Option<TestError>,
) -> impl IntoView {
    view! {
        <div class="banner banner-danger" role="alert">
            <Icon shape=Shape::Warning />
            <div>
                <strong>{title}</strong>
                {error
                    .map(|error| {
                        view! {
                            <dl class="facts">
                                <dt>"What to do"</dt>
                                <dd>{error.hint}</dd>
                                <dt>"Why"</dt>
                                <dd>{error.explanation}</dd>
                                <dt>"The server's message"</dt>
                                <dd class="mono">{error.message}</dd>
                            </dl>
                        }
                    })}
            </div>
        </div>
    }
}
