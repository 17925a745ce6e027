//! Whether an event matches a filter, which is decided by its stored payload.

use std::borrow::Cow;

use auditstream_model::{AuditEvent, EpochMillis, EventFilter, Sequence, Show};

use super::text::{Buffers, SearchText};
use crate::error::Result;
use crate::trail::fields::{self, Fields};
use crate::trail::stored_form::close;

/// The bytes that [`close`] adds to a payload, at most.
const CLOSING: usize = 40;

/// The conditions of a filter on an event's content.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    /// Principal, action, module, resource type, resource, organisation and project.
    texts: [Option<String>; 7],
    show: Show,
    text: Option<SearchText>,
}

impl Matcher {
    pub(super) fn of(filter: &EventFilter) -> Result<Self> {
        let texts = [
            &filter.principal,
            &filter.action,
            &filter.module,
            &filter.resource_type,
            &filter.resource,
            &filter.org,
            &filter.project,
        ];
        Ok(Self {
            texts: texts.map(|text| text.clone().filter(|text| !text.is_empty())),
            show: filter.show,
            text: filter.search_text()?.map(SearchText::new),
        })
    }

    /// Whether every event matches.
    pub(super) fn matches_all(&self) -> bool {
        self.show == Show::All && self.text.is_none() && self.texts.iter().all(Option::is_none)
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
        if self.show == Show::All && self.texts.iter().all(Option::is_none) {
            return true;
        }
        let fields = fields::of(payload);
        let is_shown = match self.show {
            Show::All => true,
            Show::NoLogin => !matches!(&*fields.action, "LOGIN" | "LOGIN2FA" | "UNSUCCESSFUL_LOGIN"),
            Show::NoSystem => fields.principal_type != "SYSTEM",
        };
        let values = [
            Some(&fields.principal),
            Some(&fields.action),
            Some(&fields.module),
            Some(&fields.resource_type),
            Some(&fields.resource),
            fields.org.as_ref(),
            fields.project.as_ref(),
        ];
        let is_equal = |(wanted, value): (&Option<String>, Option<&Cow<'_, str>>)| {
            wanted
                .as_deref()
                .is_none_or(|wanted| value.is_some_and(|value| value == wanted))
        };
        is_shown && self.texts.iter().zip(values).all(is_equal)
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
