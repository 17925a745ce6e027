//! The errors of a form.

use auditstream_model::FieldErrors;
use leptos::prelude::*;

use crate::error::ConsoleError;

/// The errors of a form: one message per field, and a refusal that concerns no field of the form.
#[derive(Clone, Copy, Debug)]
pub struct FormErrors {
    errors: RwSignal<FieldErrors>,
    problem: RwSignal<Option<ConsoleError>>,
    /// The fields that have a place for their message.
    fields: StoredValue<Vec<&'static str>>,
}

impl FormErrors {
    /// Creates a form without errors.
    #[must_use]
    pub fn new() -> Self {
        Self {
            errors: RwSignal::new(FieldErrors::default()),
            problem: RwSignal::new(None),
            fields: StoredValue::new(Vec::new()),
        }
    }

    /// Returns the message of a field. It goes when `value` changes.
    pub fn field(self, field: &'static str, value: impl Track + Send + Sync + 'static) -> Signal<Option<String>> {
        self.fields.update_value(|fields| fields.push(field));
        Effect::new(move |before: Option<()>| {
            value.track();
            if before.is_some() {
                self.remove(field);
            }
        });
        Signal::derive(move || self.errors.with(|errors| errors.of(field).map(str::to_owned)))
    }

    /// Returns the refusal without the messages that are shown next to fields.
    #[must_use]
    pub fn problem(self) -> Signal<Option<ConsoleError>> {
        self.problem.into()
    }

    /// Removes all errors.
    pub fn clear(self) {
        self.set(FieldErrors::default());
    }

    /// Replaces all errors by those of fields.
    pub fn set(self, errors: FieldErrors) {
        self.errors.set(errors);
        self.problem.set(None);
    }

    /// Adds the message of a field.
    pub fn add(self, field: &'static str, message: impl Into<String>) {
        self.errors.update(|errors| errors.add(field, message));
    }

    /// Replaces all errors by those of a refusal.
    pub fn refuse(self, error: &ConsoleError) {
        self.errors.set(FieldErrors(error.0.errors.clone()));
        let mut rest = error.clone();
        self.fields
            .with_value(|fields| rest.0.errors.retain(|error| !fields.contains(&error.field.as_str())));
        let is_shown = !error.0.errors.is_empty() && rest.0.errors.is_empty();
        self.problem.set((!is_shown).then_some(rest));
    }

    /// Returns whether one of these fields has an error.
    #[must_use]
    pub fn has_any(self, fields: &[&str]) -> bool {
        self.errors
            .with(|errors| fields.iter().any(|field| errors.of(field).is_some()))
    }

    fn remove(self, field: &str) {
        if self.errors.with_untracked(|errors| errors.of(field).is_some()) {
            self.errors
                .update(|errors| errors.0.retain(|error| error.field != field));
        }
    }
}

impl Default for FormErrors {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use auditstream_model::{Code, Problem};

    use super::*;

    #[test]
    fn a_message_next_to_its_field_is_not_repeated() {
        let owner = Owner::new();
        owner.set();
        let errors = FormErrors::new();
        let name = errors.field("name", RwSignal::new(String::new()));
        let refusal = |fields: &[&str]| {
            let mut errors = FieldErrors::default();
            for field in fields {
                errors.add(*field, "Wrong.");
            }
            ConsoleError(Problem::new(Code::InvalidFields, "…").with_errors(errors.0))
        };
        errors.refuse(&refusal(&["name"]));
        assert_eq!(name.get_untracked().as_deref(), Some("Wrong."));
        assert_eq!(errors.problem().get_untracked(), None);
        errors.refuse(&refusal(&["name", "spec.kind"]));
        assert_eq!(errors.problem().get_untracked(), Some(refusal(&["spec.kind"])));
        errors.refuse(&refusal(&[]));
        assert_eq!(errors.problem().get_untracked(), Some(refusal(&[])));
        errors.clear();
        assert_eq!(errors.problem().get_untracked(), None);
    }
}
