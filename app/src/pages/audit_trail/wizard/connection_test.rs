//! Connection Test: the test of the connector and, on request, the bucket access check.

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;

use super::state::{Step, WizardContext, WizardState};
use crate::components::focus::focus_page;
use crate::features::BucketAccess;
use crate::features::connection_test::{TestResult, TestRun};
use crate::paths;

#[component]
pub(super) fn ConnectionTest(context: WizardContext, test: TestRun) -> impl IntoView {
    let WizardContext { form, state, .. } = context;
    let navigate = use_navigate();
    let finish = move |_| {
        navigate(paths::STREAMING, NavigateOptions::default());
        focus_page();
    };
    view! {
        <section class="stack" hidden=move || context.is_hidden(Step::Test) aria-labelledby="test-title">
            <h2 id="test-title" tabindex="-1">"Connection Test"</h2>
            <p class="muted">
                "The test signs in with the connector. The bucket is not part of the test: it is first used when the destination is active."
            </p>
            <TestResult run=test />
            <BucketAccess id=form.id.value version=Signal::derive(move || state.get().saves()) />
            <div class="form-actions">
                <button type="button" class="button" on:click=move |_| state.update(WizardState::back)>"Back"</button>
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
                <button type="button" class="button primary" disabled=move || !test.has_passed() on:click=finish>
                    "Finish"
                </button>
            </div>
        </section>
    }
    .into_any()
}
