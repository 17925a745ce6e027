//! Connection Test: the connector is tested, and the bucket is checked where that is asked for.

use auditstream_model::Outcome;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;

use super::state::Course;
use crate::components::focus::focus_page;
use crate::components::{BucketAccess, TestResult, TestRun};

/// The step.
#[component]
pub(super) fn ConnectionTest(
    /// The wizard.
    course: Course,
    /// The test of the connector.
    test: TestRun,
    /// How often the destination was saved.
    saves: RwSignal<u32>,
) -> impl IntoView {
    let Course { entries, step, .. } = course;
    let passed = move || {
        !test.pending.get()
            && test
                .result
                .with(|outcome| matches!(outcome, Some(Ok(test)) if test.status == Outcome::Success))
    };
    let navigate = use_navigate();
    let finish = move |_| {
        navigate("/settings/audit-trail/streaming", NavigateOptions::default());
        focus_page();
    };
    view! {
        <section class="stack" hidden=move || step.get() != 2 aria-labelledby="test-title">
            <h2 id="test-title" tabindex="-1">"Connection Test"</h2>
            <p class="muted">
                "The test signs in with the connector. The bucket is not part of the test: it is first used when the destination is active."
            </p>
            <TestResult run=test />
            <BucketAccess id=entries.id.value version=saves />
            <div class="form-actions">
                <button type="button" class="button" on:click=move |_| step.set(1)>"Back"</button>
                <button
                    type="button"
                    class="button"
                    aria-disabled=move || test.pending.get().to_string()
                    on:click=move |_| {
                        if !test.pending.get_untracked() {
                            test.again();
                        }
                    }
                >
                    "Test again"
                </button>
                <button type="button" class="button primary" disabled=move || !passed() on:click=finish>"Finish"</button>
            </div>
        </section>
    }
    .into_any()
}
