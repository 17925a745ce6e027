//! The entries of the connector form.

use std::collections::BTreeMap;

use auditstream_model::{
    Backoff, Connector, ConnectorInput, ConnectorKind, ConnectorSpec, Credentials, CredentialsInput, CrossAccount,
    FieldErrors, Identifier,
};
use leptos::prelude::*;

use crate::choice::Choice;
use crate::components::Field;

/// The longest wait that is allowed, ms.
const LONGEST_WAIT: u64 = 600_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CredentialsKind {
    Manual,
    Inherit,
    Irsa,
}

impl Choice for CredentialsKind {
    const ALL: &'static [Self] = &[Self::Manual, Self::Inherit, Self::Irsa];

    fn value(&self) -> &str {
        match self {
            Self::Manual => "MANUAL",
            Self::Inherit => "INHERIT",
            Self::Irsa => "IRSA",
        }
    }

    fn label(&self) -> &str {
        match self {
            Self::Manual => "AWS access key",
            Self::Inherit => "Inherit from the host",
            Self::Irsa => "IRSA (service account of the pod)",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BackoffKind {
    FullJitter,
    EqualJitter,
    FixedDelay,
}

impl Choice for BackoffKind {
    const ALL: &'static [Self] = &[Self::FullJitter, Self::EqualJitter, Self::FixedDelay];

    fn value(&self) -> &str {
        match self {
            Self::FullJitter => "FULL_JITTER",
            Self::EqualJitter => "EQUAL_JITTER",
            Self::FixedDelay => "FIXED_DELAY",
        }
    }

    fn label(&self) -> &str {
        match self {
            Self::FullJitter => "Full jitter",
            Self::EqualJitter => "Equal jitter",
            Self::FixedDelay => "Fixed delay",
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct ConnectorEntries {
    pub name: Field,
    pub id: Field,
    pub description: Field,
    pub credentials: RwSignal<CredentialsKind>,
    pub access_key: Field,
    pub secret_key: Field,
    pub session_token: Field,
    pub region: Field,
    pub role: Field,
    pub endpoint: Field,
    pub path_style: RwSignal<bool>,
    pub backoff: RwSignal<BackoffKind>,
    pub first_wait: Field,
    pub longest_wait: Field,
    pub retries: Field,
    /// Kept as they are: the form does not show them.
    tags: StoredValue<BTreeMap<String, String>>,
    /// Whether the id no longer follows the name.
    id_edited: RwSignal<bool>,
    exists: bool,
}

impl ConnectorEntries {
    pub(super) fn new(old: Option<&Connector>) -> Self {
        let spec = old.map(|connector| &connector.spec);
        let text = |text: Option<String>| Field::new(text.unwrap_or_default());
        let (credentials, access_key) = match spec.map(|spec| &spec.credentials) {
            None => (CredentialsKind::Manual, None),
            Some(Credentials::Manual { access_key }) => (CredentialsKind::Manual, Some(access_key.clone())),
            Some(Credentials::Inherit) => (CredentialsKind::Inherit, None),
            Some(Credentials::Irsa) => (CredentialsKind::Irsa, None),
        };
        let (backoff, first_wait, longest_wait, retries) = match spec.map(|spec| spec.backoff).unwrap_or_default() {
            Backoff::FixedDelay {
                fixed_backoff,
                retry_count,
            } => (BackoffKind::FixedDelay, fixed_backoff, 30_000, retry_count),
            Backoff::EqualJitter {
                base_delay,
                max_backoff_time,
                retry_count,
            } => (BackoffKind::EqualJitter, base_delay, max_backoff_time, retry_count),
            Backoff::FullJitter {
                base_delay,
                max_backoff_time,
                retry_count,
            } => (BackoffKind::FullJitter, base_delay, max_backoff_time, retry_count),
        };
        Self {
            name: text(old.map(|old| old.name.to_string())),
            id: text(old.map(|old| old.identifier.to_string())),
            description: text(old.map(|old| old.description.to_string())),
            credentials: RwSignal::new(credentials),
            access_key: text(access_key),
            secret_key: text(None),
            session_token: text(None),
            region: Field::new(spec.map_or("us-east-1", |spec| &spec.region)),
            role: text(
                spec.and_then(|spec| spec.cross_account.as_ref())
                    .map(|cross| cross.role_arn.clone()),
            ),
            endpoint: text(spec.and_then(|spec| spec.endpoint.clone())),
            path_style: RwSignal::new(spec.is_some_and(|spec| spec.path_style)),
            backoff: RwSignal::new(backoff),
            first_wait: Field::new(first_wait.to_string()),
            longest_wait: Field::new(longest_wait.to_string()),
            retries: Field::new(retries.to_string()),
            tags: StoredValue::new(old.map(|old| old.tags.as_map().clone()).unwrap_or_default()),
            id_edited: RwSignal::new(old.is_some()),
            exists: old.is_some(),
        }
    }

    pub(super) fn exists(self) -> bool {
        self.exists
    }

    /// Lets the id follow the name until the user edits the id.
    pub(super) fn name_typed(self, name: &str) {
        if !self.id_edited.get_untracked() {
            self.id.set(&Identifier::propose(name));
        }
    }

    pub(super) fn id_typed(self, id: &str) {
        let is_own = !id.is_empty() && id != Identifier::propose(&self.name.now());
        self.id_edited.set(self.exists || is_own);
    }

    /// Returns the connector to save, and the errors of entries that are not numbers.
    pub(super) fn input(self) -> (ConnectorInput, FieldErrors) {
        let filled = |field: Field| Some(field.value.get()).filter(|text| !text.trim().is_empty());
        let mut errors = FieldErrors::default();
        let backoff = self.backoff(&mut errors);
        let input = ConnectorInput {
            identifier: self.id.value.get(),
            name: self.name.value.get(),
            description: self.description.value.get(),
            tags: self.tags.get_value(),
            spec: ConnectorSpec {
                kind: ConnectorKind::Aws,
                region: self.region.value.get().trim().to_owned(),
                endpoint: filled(self.endpoint),
                path_style: self.path_style.get(),
                credentials: match self.credentials.get() {
                    CredentialsKind::Inherit => CredentialsInput::Inherit,
                    CredentialsKind::Irsa => CredentialsInput::Irsa,
                    CredentialsKind::Manual => CredentialsInput::Manual {
                        access_key: self.access_key.value.get(),
                        secret_key: filled(self.secret_key),
                        session_token: filled(self.session_token),
                    },
                },
                cross_account: filled(self.role).map(|role| CrossAccount {
                    role_arn: role.trim().to_owned(),
                }),
                backoff,
            },
        };
        (input, errors)
    }

    /// Returns every error that can be found without the server.
    pub(super) fn check(self, input: &ConnectorInput, mut errors: FieldErrors) -> FieldErrors {
        errors.0.extend(input.clone().parse().err().unwrap_or_default().0);
        let lacks_secret = matches!(
            input.spec.credentials,
            CredentialsInput::Manual { secret_key: None, .. }
        );
        if lacks_secret && !self.exists {
            errors.add("spec.credentials.secret_key", "A secret key is required.");
        }
        errors
    }

    /// Records an error for anything that is not a number and substitutes a valid value.
    fn backoff(self, errors: &mut FieldErrors) -> Backoff {
        let digits = |field: Field| field.value.get().trim().replace(',', "");
        let retry_count = digits(self.retries).parse().unwrap_or_else(|_| {
            errors.add("spec.backoff.retry_count", "Enter a whole number.");
            0
        });
        let first_wait = digits(self.first_wait).parse().unwrap_or_else(|_| {
            errors.add("spec.backoff.base_delay", "Enter a whole number of milliseconds.");
            0
        });
        let kind = self.backoff.get();
        if kind == BackoffKind::FixedDelay {
            return Backoff::FixedDelay {
                fixed_backoff: first_wait,
                retry_count,
            };
        }
        let longest_wait = digits(self.longest_wait).parse().unwrap_or_else(|_| {
            errors.add("spec.backoff.max_backoff_time", "Enter a whole number of milliseconds.");
            LONGEST_WAIT
        });
        if kind == BackoffKind::EqualJitter {
            Backoff::EqualJitter {
                base_delay: first_wait,
                max_backoff_time: longest_wait,
                retry_count,
            }
        } else {
            Backoff::FullJitter {
                base_delay: first_wait,
                max_backoff_time: longest_wait,
                retry_count,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_is_not_a_number_hides_no_other_error() {
        let owner = Owner::new();
        owner.set();
        let entries = ConnectorEntries::new(None);
        entries.retries.value.set("many".to_owned());
        entries.longest_wait.value.set(String::new());
        let (input, errors) = entries.input();
        let fields: Vec<_> = errors.0.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["spec.backoff.retry_count", "spec.backoff.max_backoff_time"]);
        let rest = input.parse().unwrap_err();
        let others: Vec<_> = rest.0.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(others, ["identifier", "name", "spec.credentials.access_key"]);
    }
}
