//! What stands in the form of a connector.

use std::collections::BTreeMap;

use auditstream_model::{
    Backoff, Connector, ConnectorInput, ConnectorKind, ConnectorSpec, Credentials, CredentialsInput, CrossAccount,
    FieldErrors,
};
use leptos::prelude::*;

use crate::components::Field;

/// Longest wait that the rules allow, ms.
const LONGEST_WAIT: u64 = 600_000;

/// The entries.
#[derive(Clone, Copy)]
pub(super) struct Entries {
    pub name: Field,
    pub id: Field,
    pub description: Field,
    pub kind: RwSignal<String>,
    pub access_key: Field,
    pub secret_key: Field,
    pub session_token: Field,
    pub region: Field,
    pub role: Field,
    pub endpoint: Field,
    pub path_style: RwSignal<bool>,
    pub backoff: RwSignal<String>,
    pub first: Field,
    pub longest: Field,
    pub retries: Field,
    /// The form leaves them as they are.
    tags: StoredValue<BTreeMap<String, String>>,
}

impl Entries {
    /// Those of a connector, or of a new one.
    pub fn of(old: Option<&Connector>) -> Self {
        let spec = old.map(|connector| &connector.spec);
        let text = |text: Option<String>| Field::new(text.unwrap_or_default());
        let (kind, key) = match spec.map(|spec| &spec.credentials) {
            None => ("MANUAL", None),
            Some(Credentials::Manual { access_key }) => ("MANUAL", Some(access_key.clone())),
            Some(Credentials::Inherit) => ("INHERIT", None),
            Some(Credentials::Irsa) => ("IRSA", None),
        };
        let (backoff, first, longest, retries) = match spec.map(|spec| spec.backoff).unwrap_or_default() {
            Backoff::FixedDelay {
                fixed_backoff,
                retry_count,
            } => ("FIXED_DELAY", fixed_backoff, 30_000, retry_count),
            Backoff::EqualJitter {
                base_delay,
                max_backoff_time,
                retry_count,
            } => ("EQUAL_JITTER", base_delay, max_backoff_time, retry_count),
            Backoff::FullJitter {
                base_delay,
                max_backoff_time,
                retry_count,
            } => ("FULL_JITTER", base_delay, max_backoff_time, retry_count),
        };
        Self {
            name: text(old.map(|old| old.name.to_string())),
            id: text(old.map(|old| old.identifier.to_string())),
            description: text(old.map(|old| old.description.to_string())),
            kind: RwSignal::new(kind.to_owned()),
            access_key: text(key),
            secret_key: text(None),
            session_token: text(None),
            region: Field::new(spec.map_or("us-east-1", |spec| &spec.region)),
            role: text(
                spec.and_then(|spec| spec.cross_account.as_ref())
                    .map(|cross| cross.role_arn.clone()),
            ),
            endpoint: text(spec.and_then(|spec| spec.endpoint.clone())),
            path_style: RwSignal::new(spec.is_some_and(|spec| spec.path_style)),
            backoff: RwSignal::new(backoff.to_owned()),
            first: Field::new(first.to_string()),
            longest: Field::new(longest.to_string()),
            retries: Field::new(retries.to_string()),
            tags: StoredValue::new(old.map(|old| old.tags.as_map().clone()).unwrap_or_default()),
        }
    }

    /// What is sent when it is saved, and what of it is no number.
    pub fn input(self) -> (ConnectorInput, FieldErrors) {
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
                credentials: match self.kind.get().as_str() {
                    "INHERIT" => CredentialsInput::Inherit,
                    "IRSA" => CredentialsInput::Irsa,
                    _ => CredentialsInput::Manual {
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

    /// A number that is none is noted, and one that follows the rules stands for it.
    fn backoff(self, errors: &mut FieldErrors) -> Backoff {
        let digits = |field: Field| field.value.get().trim().replace(',', "");
        let retry_count = digits(self.retries).parse().unwrap_or_else(|_| {
            errors.add("spec.backoff.retry_count", "Enter a whole number.");
            0
        });
        let first = digits(self.first).parse().unwrap_or_else(|_| {
            errors.add("spec.backoff.base_delay", "Enter a whole number of milliseconds.");
            0
        });
        let kind = self.backoff.get();
        if kind == "FIXED_DELAY" {
            return Backoff::FixedDelay {
                fixed_backoff: first,
                retry_count,
            };
        }
        let longest = digits(self.longest).parse().unwrap_or_else(|_| {
            errors.add("spec.backoff.max_backoff_time", "Enter a whole number of milliseconds.");
            LONGEST_WAIT
        });
        if kind == "EQUAL_JITTER" {
            Backoff::EqualJitter {
                base_delay: first,
                max_backoff_time: longest,
                retry_count,
            }
        } else {
            Backoff::FullJitter {
                base_delay: first,
                max_backoff_time: longest,
                retry_count,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_told_and_hides_no_other_error() {
        let owner = Owner::new();
        owner.set();
        let entries = Entries::of(None);
        entries.retries.value.set("many".to_owned());
        entries.longest.value.set(String::new());
        let (input, errors) = entries.input();
        let fields: Vec<_> = errors.0.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["spec.backoff.retry_count", "spec.backoff.max_backoff_time"]);
        let rest = input.parse().unwrap_err();
        let others: Vec<_> = rest.0.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(others, ["identifier", "name", "spec.credentials.access_key"]);
    }
}
