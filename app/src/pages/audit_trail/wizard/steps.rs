//! The list of the wizard's steps.

use leptos::prelude::*;

use super::state::{Step, WizardState};
use crate::components::{Icon, Shape};

#[component]
pub(super) fn StepList(state: RwSignal<WizardState>) -> impl IntoView {
    let current = Memo::new(move |_| state.get().step());
    let item = move |(position, step): (usize, Step)| {
        let is_done = move || step < current.get();
        let mark = move || {
            if is_done() {
                view! { <Icon shape=Shape::Check /> }.into_any()
            } else {
                (position + 1).into_any()
            }
        };
        view! {
            <li class="step" class:step-done=is_done aria-current=move || (step == current.get()).then_some("step")>
                <span class="step-mark" aria-hidden="true">{mark}</span>
                {step.title()}
                <span class="hidden">{move || if is_done() { " (done)" } else { "" }}</span>
            </li>
        }
    };
    view! {
        <ol class="steps" aria-label="Steps">
            {Step::ALL.into_iter().enumerate().map(item).collect_view()}
        </ol>
    }
}
