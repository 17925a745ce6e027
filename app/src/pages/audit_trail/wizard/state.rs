//! The three steps. All stay in the page, so that nothing typed is lost by going back.

use auditstream_model::{AggregateItem, Code, DestinationInput, FieldErrors};
use leptos::prelude::*;

use super::connection_test::ConnectionTest;
use super::connector::StreamingConnector;
use super::form_state::Entries;
use super::overview::Overview;
use crate::ConsoleError;
use crate::components::focus::{first_wrong, focus_soon};
use crate::components::{Icon, ProblemBox, Shape, TestRun, Unsaved, Wrong};
use crate::server_functions::destinations::{create_destination, replace_destination};

const STEPS: [&str; 3] = ["Overview", "Streaming Connector", "Connection Test"];

/// What the steps have in common.
#[derive(Clone, Copy)]
pub(super) struct Course {
    pub entries: Entries,
    /// The step that is shown, from 0.
    pub step: RwSignal<usize>,
    /// Whether the destination is there.
    pub saved: RwSignal<bool>,
    /// What is wrong with the entries.
    pub wrong: Wrong,
    /// What went wrong otherwise.
    pub problem: RwSignal<Option<ConsoleError>>,
    /// Focuses the first field of the step that is wrong, or else its title.
    pub attend: Callback<()>,
}

/// The wizard.
#[component]
pub(super) fn Wizard(
    /// The destination to change.
    initial: Option<AggregateItem>,
) -> impl IntoView {
    let exists = initial.is_some();
    // Where it starts is resolved by the first activation.
    let started = initial
        .as_ref()
        .is_some_and(|item| item.streaming_details.cursor.is_some());
    let entries = Entries::of(initial.as_ref());
    let body = NodeRef::<leptos::html::Div>::new();
    let attend = Callback::new(move |()| {
        focus_soon(move || {
            let body = body.get_untracked()?;
            let shown = body.query_selector(":scope > .stack:not([hidden])").ok()??;
            first_wrong(&shown).or_else(|| shown.query_selector("h2").ok().flatten())
        });
    });
    let course = Course {
        entries,
        step: RwSignal::new(0),
        saved: RwSignal::new(exists),
        wrong: Wrong::new(),
        problem: RwSignal::new(None),
        attend,
    };
    let Course {
        step,
        saved,
        wrong,
        problem,
        ..
    } = course;
    Effect::new(move |before: Option<usize>| {
        let now = step.get();
        if before.is_some_and(|before| before != now) {
            attend.run(());
        }
        now
    });

    let entered = Memo::new(move |_| entries.input());
    let kept = RwSignal::new(untrack(|| entries.input()));
    let connector_typed = RwSignal::new(false);
    let unsaved = move || connector_typed.get() || kept.with(|kept| entered.with(|entered| entered != kept));

    let test = TestRun::new();
    let saves = RwSignal::new(0_u32);
    let save = Action::new(move |(exists, input): &(bool, DestinationInput)| {
        let (exists, input) = (*exists, input.clone());
        async move {
            let sent = input.clone();
            if exists {
                replace_destination(input).await.map(|_| sent)
            } else {
                create_destination(input).await.map(|_| sent)
            }
        }
    });
    Effect::new(move |_| match save.value().get() {
        None => {}
        Some(Ok(sent)) => {
            test.start(sent.connector_ref.clone());
            kept.set(sent);
            saved.set(true);
            saves.update(|saves| *saves += 1);
            step.set(2);
        }
        Some(Err(error)) => {
            let errors = FieldErrors(error.0.errors.clone());
            let overview = ["identifier", "name", "description", "tags"];
            if error.0.code == Code::DuplicateField || overview.iter().any(|field| errors.of(field).is_some()) {
                step.set(0);
            }
            if !errors.is_empty() {
                attend.run(());
            }
            wrong.set(errors);
            problem.set(Some(error));
        }
    });
    let keep = Callback::new(move |()| {
        let input = entered.get_untracked();
        problem.set(None);
        // By the rules that the server has, too.
        match input.clone().parse(None) {
            Err(errors) => {
                wrong.set(errors);
                attend.run(());
            }
            Ok(_) => {
                wrong.set(FieldErrors::default());
                save.dispatch((saved.get_untracked(), input));
            }
        }
    });
    let shown_problem = move || {
        let error = problem.get().and_then(|error| wrong.elsewhere(&error));
        error.map(|error| view! { <ProblemBox error=error /> })
    };
    view! {
        <div class="wizard">
            <StepList step=step />
            <div class="wizard-body" node_ref=body>
                {shown_problem}
                <Overview course=course exists=exists />
                <StreamingConnector
                    course=course
                    started=started
                    saving=save.pending()
                    on_save=keep
                    typed=connector_typed
                />
                <ConnectionTest course=course test=test saves=saves />
            </div>
        </div>
        <Unsaved typed=Signal::derive(unsaved) />
    }
    .into_any()
}

/// The steps with their state.
#[component]
fn StepList(step: RwSignal<usize>) -> impl IntoView {
    view! {
        <ol class="steps" aria-label="Steps">
            {STEPS
                .into_iter()
                .enumerate()
                .map(|(number, title)| {
                    view! {
                        <li
                            class="step"
                            class:step-done=move || number < step.get()
                            aria-current=move || (number == step.get()).then_some("step")
                        >
                            <span class="step-mark" aria-hidden="true">
                                {move || {
                                    if number < step.get() {
                                        view! { <Icon shape=Shape::Check /> }.into_any()
                                    } else {
                                        (number + 1).into_any()
                                    }
                                }}
                            </span>
                            {title}
                            <span class="hidden">{move || if number < step.get() { " (done)" } else { "" }}</span>
                        </li>
                    }
                })
                .collect_view()}
        </ol>
    }
}
