//! The state of the wizard.

use auditstream_model::Code;
use leptos::prelude::*;

use super::form_state::DestinationForm;
use crate::components::FormErrors;
use crate::error::ConsoleError;

const OVERVIEW_FIELDS: [&str; 4] = ["identifier", "name", "description", "tags"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Overview,
    Connector,
    Test,
}

impl Step {
    pub(super) const ALL: [Self; 3] = [Self::Overview, Self::Connector, Self::Test];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Connector => "Streaming Connector",
            Self::Test => "Connection Test",
        }
    }
}

/// The progress through the wizard.
///
/// ```text
/// Overview ──► Connector ──(saved)──► Test
///     ◄── back ────┘   ◄──── back ─────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WizardState {
    step: Step,
    is_saved: bool,
    saves: u32,
}

impl WizardState {
    pub(super) fn new(exists: bool) -> Self {
        Self {
            step: Step::Overview,
            is_saved: exists,
            saves: 0,
        }
    }

    pub(super) fn step(self) -> Step {
        self.step
    }

    /// Returns whether the destination exists, so that its id is fixed.
    pub(super) fn is_saved(self) -> bool {
        self.is_saved
    }

    /// Returns how often the destination was saved here.
    pub(super) fn saves(self) -> u32 {
        self.saves
    }

    pub(super) fn overview_done(&mut self) {
        self.step = Step::Connector;
    }

    pub(super) fn saved(&mut self) {
        self.step = Step::Test;
        self.is_saved = true;
        self.saves += 1;
    }

    /// Handles a refusal to save. Returns to the overview if one of its fields is the cause.
    pub(super) fn refused(&mut self, error: &ConsoleError) {
        let is_about = |field: &&str| error.0.of(field).is_some();
        if error.0.code == Code::DuplicateField || OVERVIEW_FIELDS.iter().any(is_about) {
            self.step = Step::Overview;
        }
    }

    pub(super) fn back(&mut self) {
        self.step = match self.step {
            Step::Overview | Step::Connector => Step::Overview,
            Step::Test => Step::Connector,
        };
    }
}

#[derive(Clone, Copy)]
pub(super) struct WizardContext {
    pub form: DestinationForm,
    pub state: RwSignal<WizardState>,
    pub errors: FormErrors,
    pub focus_step: Callback<()>,
}

impl WizardContext {
    pub(super) fn is_hidden(self, step: Step) -> bool {
        self.state.get().step() != step
    }
}

#[cfg(test)]
mod tests {
    use auditstream_model::{FieldErrors, Problem};

    use super::*;

    fn refusal(code: Code, field: Option<&str>) -> ConsoleError {
        let mut errors = FieldErrors::default();
        if let Some(field) = field {
            errors.add(field, "Wrong.");
        }
        ConsoleError(Problem::new(code, "…").with_errors(errors.0))
    }

    #[test]
    fn saving_leads_to_the_test_and_back_to_what_was_saved() {
        let mut state = WizardState::new(false);
        state.overview_done();
        assert_eq!((state.step(), state.is_saved()), (Step::Connector, false));
        state.saved();
        assert_eq!((state.step(), state.is_saved(), state.saves()), (Step::Test, true, 1));
        state.back();
        state.saved();
        assert_eq!((state.step(), state.saves()), (Step::Test, 2));
    }

    #[test]
    fn back_ends_at_the_overview() {
        let mut state = WizardState::new(true);
        state.saved();
        for expected in [Step::Connector, Step::Overview, Step::Overview] {
            state.back();
            assert_eq!(state.step(), expected);
        }
    }

    #[test]
    fn a_refusal_leads_back_to_the_overview_if_its_fields_are_the_cause() {
        for (error, expected) in [
            (refusal(Code::InvalidFields, Some("name")), Step::Overview),
            (refusal(Code::DuplicateField, None), Step::Overview),
            (refusal(Code::InvalidFields, Some("spec.bucket")), Step::Connector),
            (refusal(Code::Unavailable, None), Step::Connector),
        ] {
            let mut state = WizardState::new(false);
            state.overview_done();
            state.refused(&error);
            assert_eq!((state.step(), state.is_saved()), (expected, false), "{error:?}");
        }
    }
}
