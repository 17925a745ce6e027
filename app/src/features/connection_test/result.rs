//! The steps and the outcome of a connection test.

use auditstream_model::{Outcome, TestError, TestStep};
use leptos::prelude::*;

use super::run::{StepState, TestRun};
use crate::components::{Icon, ProblemAlert, Shape};

/// The steps of a test as they run, and its outcome.
#[component]
pub fn TestResult(run: TestRun) -> impl IntoView {
    let retry = Callback::new(move |()| run.again());
    let current = move || {
        run.steps.with(|steps| {
            let running = steps.iter().find(|(_, state)| *state == StepState::Running);
            running.map(|(name, _)| format!("Running: {name}"))
        })
    };
    view! {
        <div class="test-result">
            <p class="hidden" role="status">{current}</p>
            {move || {
                let pending = run.pending.get();
                run.steps
                    .with(|steps| {
                        if steps.is_empty() && pending {
                            return view! {
                                <p class="test-running">
                                    <span class="spinner" aria-hidden="true"></span>
                                    "Testing the connection…"
                                </p>
                            }
                                .into_any();
                        }
                        view! { <StepRows steps=steps.clone() /> }.into_any()
                    })
            }}
            {move || match run.result.get() {
                None => ().into_any(),
                Some(Err(error)) => view! { <ProblemAlert error=error retry=retry /> }.into_any(),
                Some(Ok(test)) if test.status == Outcome::Success => {
                    view! {
                        <div class="banner banner-good" role="status">
                            <Icon shape=Shape::Check />
                            <p><strong>"Connection test successful"</strong></p>
                        </div>
                    }
                        .into_any()
                }
                Some(Ok(test)) => view! { <TestFailure title="Connection test failed" error=test.error /> }.into_any(),
            }}
        </div>
    }
}

/// The steps of a test that has ended.
#[component]
pub fn TestSteps(steps: Vec<TestStep>) -> impl IntoView {
    let steps: Vec<_> = steps
        .into_iter()
        .map(|step| (step.name, StepState::Ended(step.status, step.detail)))
        .collect();
    view! { <StepRows steps=steps /> }
}

#[component]
fn StepRows(steps: Vec<(String, StepState)>) -> impl IntoView {
    let rows: Vec<_> = steps
        .into_iter()
        .map(|(name, state)| view! { <StepRow name=name state=state /> })
        .collect();
    (!rows.is_empty()).then(|| view! { <ol class="test-steps">{rows}</ol> })
}

#[component]
fn StepRow(name: String, state: StepState) -> impl IntoView {
    let (class, shape, label, detail) = match state {
        StepState::Waiting => ("status status-idle", Some(Shape::Circle), "Waiting", String::new()),
        StepState::Interrupted => ("status status-idle", Some(Shape::Circle), "Unknown", String::new()),
        StepState::Running => ("status", None, "Running", String::new()),
        StepState::Ended(Outcome::Success, detail) => ("status status-good", Some(Shape::Check), "Passed", detail),
        StepState::Ended(Outcome::Failure, detail) => ("status status-bad", Some(Shape::Warning), "Failed", detail),
        StepState::Ended(Outcome::Skipped, detail) => ("status status-idle", Some(Shape::Circle), "Skipped", detail),
    };
    let mark = match shape {
        Some(shape) => view! { <Icon shape=shape /> }.into_any(),
        None => view! { <span class="spinner" aria-hidden="true"></span> }.into_any(),
    };
    view! {
        <li>
            <span class=class>{mark}{label}</span>
            <div>
                <strong>{name}</strong>
                {(!detail.is_empty()).then(|| view! { <p class="muted">{detail}</p> })}
            </div>
        </li>
    }
}

/// Why a test failed: hint, explanation and the server's message.
#[component]
pub fn TestFailure(title: &'static str, error: Option<TestError>) -> impl IntoView {
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
