//! The wizard. All steps stay in the page, so that going back loses no entries.

use auditstream_model::{AggregateItem, DestinationInput};
use leptos::prelude::*;

use super::connection_test::ConnectionTest;
use super::connector::StreamingConnector;
use super::form_state::DestinationForm;
use super::overview::Overview;
use super::state::{WizardContext, WizardState};
use super::steps::StepList;
use crate::components::focus::{first_invalid, focus_soon};
use crate::components::{FormErrors, ProblemAlert, Unsaved};
use crate::error::ConsoleError;
use crate::features::connection_test::TestRun;
use crate::server_functions::destinations::{create_destination, replace_destination};

#[component]
pub(super) fn Wizard(initial: Option<AggregateItem>) -> impl IntoView {
    let exists = initial.is_some();
    let is_started = initial
        .as_ref()
        .is_some_and(|item| item.streaming_details.cursor.is_some());
    let body = NodeRef::<leptos::html::Div>::new();
    let context = WizardContext {
        form: DestinationForm::new(initial.as_ref()),
        state: RwSignal::new(WizardState::new(exists)),
        errors: FormErrors::new(),
        focus_step: Callback::new(move |()| focus_step(body)),
    };
    let WizardContext {
        form, state, errors, ..
    } = context;
    Effect::new(move |before: Option<_>| {
        let step = state.get().step();
        if before.is_some_and(|before| before != step) {
            context.focus_step.run(());
        }
        step
    });

    let entered = Memo::new(move |_| form.input());
    let saved = RwSignal::new(untrack(|| form.input()));
    let is_connector_unsaved = RwSignal::new(false);
    let is_unsaved = move || is_connector_unsaved.get() || saved.with(|saved| entered.with(|entered| entered != saved));

    let test = TestRun::new();
    let save = Action::new(|(exists, input): &(bool, DestinationInput)| save(*exists, input.clone()));
    Effect::new(move |_| match save.value().get() {
        None => {}
        Some(Ok(input)) => {
            test.start(input.connector_ref.clone());
            saved.set(input);
            state.update(WizardState::saved);
        }
        Some(Err(error)) => {
            state.update(|state| state.refused(&error));
            errors.refuse(&error);
            if !error.0.errors.is_empty() {
                context.focus_step.run(());
            }
        }
    });
    let submit = Callback::new(move |()| {
        let input = entered.get_untracked();
        match input.clone().parse(None) {
            Err(invalid) => {
                errors.set(invalid);
                context.focus_step.run(());
            }
            Ok(_) => {
                errors.clear();
                save.dispatch((state.get_untracked().is_saved(), input));
            }
        }
    });
    view! {
        <div class="wizard">
            <StepList state=state />
            <div class="wizard-body" node_ref=body>
                {move || errors.problem().get().map(|error| view! { <ProblemAlert error=error /> })}
                <Overview context=context exists=exists />
                <StreamingConnector
                    context=context
                    is_started=is_started
                    saving=save.pending()
                    on_save=submit
                    is_unsaved=is_connector_unsaved
                />
                <ConnectionTest context=context test=test />
            </div>
        </div>
        <Unsaved is_unsaved=Signal::derive(is_unsaved) />
    }
    .into_any()
}

async fn save(exists: bool, input: DestinationInput) -> Result<DestinationInput, ConsoleError> {
    if exists {
        replace_destination(input.clone()).await?;
    } else {
        create_destination(input.clone()).await?;
    }
    Ok(input)
}

/// Focuses the first invalid field of the shown step, or its title if there is none.
fn focus_step(body: NodeRef<leptos::html::Div>) {
    focus_soon(move || {
        let body = body.get_untracked()?;
        let shown = body.query_selector(":scope > .stack:not([hidden])").ok()??;
        first_invalid(&shown).or_else(|| shown.query_selector("h2").ok().flatten())
    });
}
