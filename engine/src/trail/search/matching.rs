//! Whether an event matches a filter, which is decided by its stored payload.

use std::borrow::Cow;

use auditstream_model::{AuditEvent, Condition, EpochMillis, EventField, EventFilter, Network, Sequence, Show, Test};

use super::text::{Buffers, SearchText};
use crate::error::Result;
use crate::trail::fields::{self, Fields};
use crate::trail::stored_form::close;

/// The most bytes that [`close`] adds to a payload.
const CLOSING: usize = 40;

/// The conditions of a filter on an event's content.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    fields: Vec<FieldTests>,
    show: Show,
    text: Option<SearchText>,
}

/// The conditions on one field.
#[derive(Clone, Debug)]
struct FieldTests {
    field: EventField,
    /// Tests of which at least one must succeed, unless the list is empty.
    any: Vec<ValueTest>,
    /// Tests that must fail.
    none: Vec<ValueTest>,
}

#[derive(Clone, Debug)]
enum ValueTest {
    Is(String),
    Begins(String),
    In(Network),
}

impl ValueTest {
    fn of(condition: &Condition) -> Self {
        let network = Network::parse(&condition.value).filter(|_| condition.field == EventField::Ip);
        match (network, condition.test) {
            (Some(network), _) => Self::In(network),
            (None, Test::Is) => Self::Is(condition.value.clone()),
            (None, Test::Begins) => Self::Begins(condition.value.clone()),
        }
    }

    fn is_met(&self, value: Option<&str>) -> bool {
        value.is_some_and(|value| match self {
            Self::Is(wanted) => value == wanted,
            Self::Begins(beginning) => value.starts_with(beginning),
            Self::In(network) => value.parse().is_ok_and(|address| network.contains(address)),
        })
    }
}

impl FieldTests {
    fn are_met(&self, fields: &Fields<'_>) -> bool {
        let value = value_of(fields, self.field);
        let meets_one = self.any.is_empty() || self.any.iter().any(|test| test.is_met(value));
        meets_one && !self.none.iter().any(|test| test.is_met(value))
    }
}

/// The value of a field, if the event has one.
pub(super) fn value_of<'f>(fields: &'f Fields<'_>, field: EventField) -> Option<&'f str> {
    let value = match field {
        EventField::Principal => Some(&fields.principal),
        EventField::PrincipalType => Some(&fields.principal_type),
        EventField::Action => Some(&fields.action),
        EventField::Module => Some(&fields.module),
        EventField::ResourceType => Some(&fields.resource_type),
        EventField::Resource => Some(&fields.resource),
        EventField::Org => fields.org.as_ref(),
        EventField::Project => fields.project.as_ref(),
        EventField::Ip => fields.client_ip.as_ref(),
    };
    value.map(|value| &**value)
}

impl Matcher {
    pub(super) fn of(filter: &EventFilter) -> Result<Self> {
        let conditions = filter.all_conditions();
        let tests = |field, is_negated| {
            let of_field = conditions.iter().filter(move |condition| condition.field == field);
            let tests = of_field.filter(move |condition| condition.is_negated == is_negated);
            tests.map(ValueTest::of).collect::<Vec<_>>()
        };
        let fields = EventField::ALL.into_iter().map(|field| FieldTests {
            field,
            any: tests(field, false),
            none: tests(field, true),
        });
        Ok(Self {
            fields: fields
                .filter(|tests| !tests.any.is_empty() || !tests.none.is_empty())
                .collect(),
            show: filter.show,
            text: filter.search_text()?.map(SearchText::new),
        })
    }

    /// Whether every event matches.
    pub(super) fn matches_all(&self) -> bool {
        self.show == Show::All && self.text.is_none() && self.fields.is_empty()
    }

    /// Whether a stored payload matches. `sequence` belongs to the text that is searched.
    pub(super) fn matches(&self, sequence: Sequence, payload: &str, buffers: &mut MatchBuffers) -> bool {
        if !self.matches_fields(payload) {
            return false;
        }
        let Some(text) = &self.text else { return true };
        buffers.json.clear();
        close(&mut buffers.json, payload, sequence, None);
        text.is_in(&buffers.json, &mut buffers.text)
    }

    fn matches_fields(&self, payload: &str) -> bool {
        if self.show == Show::All && self.fields.is_empty() {
            return true;
        }
        let fields = fields::of(payload);
        let is_shown = match self.show {
            Show::All => true,
            Show::NoLogin => !matches!(&*fields.action, "LOGIN" | "LOGIN2FA" | "UNSUCCESSFUL_LOGIN"),
            Show::NoSystem => fields.principal_type != "SYSTEM",
        };
        is_shown && self.fields.iter().all(|tests| tests.are_met(&fields))
    }
}

/// Buffers that are reused from event to event.
#[derive(Debug, Default)]
pub(super) struct MatchBuffers {
    json: String,
    text: Buffers,
}

/// An event as it is listed.
pub(super) fn listed(sequence: Sequence, time: EpochMillis, payload: &str) -> AuditEvent {
    let Fields {
        principal,
        action,
        module,
        resource_type,
        resource,
        org,
        project,
        ..
    } = fields::of(payload);
    let mut json = String::with_capacity(payload.len() + CLOSING);
    close(&mut json, payload, sequence, None);
    AuditEvent {
        sequence,
        time,
        principal: principal.into_owned(),
        action: action.into_owned(),
        module: module.into_owned(),
        resource_type: resource_type.into_owned(),
        resource: resource.into_owned(),
        org: org.map(Cow::into_owned),
        project: project.map(Cow::into_owned),
        json,
    }
}
