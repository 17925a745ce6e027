//! What is wrong with the fields of a form.

use auditstream_model::FieldErrors;
use leptos::prelude::*;

use crate::error::ConsoleError;

/// A sentence for each field that is wrong, by the rules that the server has, too.
#[derive(Clone, Copy, Debug)]
pub struct Wrong {
    errors: RwSignal<FieldErrors>,
    /// Fields that the form shows the sentence of.
    shown: StoredValue<Vec<&'static str>>,
}

impl Wrong {
    /// Nothing is.
    #[must_use]
    pub fn new() -> Self {
        Self {
            errors: RwSignal::new(FieldErrors::default()),
            shown: StoredValue::new(Vec::new()),
        }
    }

    /// The sentence about a field that is shown beside it; it goes when the field is edited.
    pub fn of<T: Send + Sync + 'static>(self, field: &'static str, value: RwSignal<T>) -> Signal<Option<String>> {
        self.shown.update_value(|shown| shown.push(field));
        Effect::new(move |before: Option<()>| {
            value.track();
            if before.is_some() {
                self.forget(field);
            }
        });
        Signal::derive(move || self.errors.with(|errors| errors.of(field).map(str::to_owned)))
    }

    /// Takes what was found in place of what was known.
    pub fn set(self, errors: FieldErrors) {
        self.errors.set(errors);
    }

    /// Adds a field and its sentence.
    pub fn add(self, field: &'static str, sentence: impl Into<String>) {
        self.errors.update(|errors| errors.add(field, sentence));
    }

    /// Whether one of these fields is wrong.
    #[must_use]
    pub fn any(self, fields: &[&str]) -> bool {
        self.errors
            .with(|errors| fields.iter().any(|field| errors.of(field).is_some()))
    }

    /// What is left to say of a refusal beside the fields that the form shows; nothing when it was about those alone.
    #[must_use]
    pub fn elsewhere(self, error: &ConsoleError) -> Option<ConsoleError> {
        let mut rest = error.clone();
        self.shown
            .with_value(|shown| rest.0.errors.retain(|wrong| !shown.contains(&wrong.field.as_str())));
        (error.0.errors.is_empty() || !rest.0.errors.is_empty()).then_some(rest)
    }

    fn forget(self, field: &str) {
        if self.errors.with_untracked(|errors| errors.of(field).is_some()) {
            self.errors
                .update(|errors| errors.0.retain(|wrong| wrong.field != field));
        }
    }
}

impl Default for Wrong {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use auditstream_model::{Code, Problem};

    use super::*;

    #[test]
    fn what_stands_at_its_field_is_not_said_again() {
        let owner = Owner::new();
        owner.set();
        let wrong = Wrong::new();
        let name = wrong.of("name", RwSignal::new(String::new()));
        let refusal = |fields: &[&str]| {
            let mut errors = FieldErrors::default();
            for field in fields {
                errors.add(*field, "Wrong.");
            }
            ConsoleError(Problem::new(Code::InvalidFields, "…").with_errors(errors.0))
        };
        wrong.set(FieldErrors(refusal(&["name"]).0.errors));
        assert_eq!(name.get_untracked().as_deref(), Some("Wrong."));
        assert_eq!(wrong.elsewhere(&refusal(&["name"])), None);
        assert_eq!(
            wrong.elsewhere(&refusal(&["name", "spec.kind"])),
            Some(refusal(&["spec.kind"]))
        );
        assert_eq!(wrong.elsewhere(&refusal(&[])), Some(refusal(&[])));
    }
}
