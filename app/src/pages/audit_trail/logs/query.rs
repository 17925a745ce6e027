//! The filters of Audit Logs in the address of the page.

use auditstream_model::{EventFilter, Show, TimeRange};
use leptos_router::params::ParamsMap;

use crate::choice::Choice;
use crate::paths;

pub(super) const ROWS: u32 = 20;

/// The filters besides range and free text: their names in the address and their labels.
pub(super) const FILTERS: [(&str, &str); 7] = [
    ("principal", "User"),
    ("action", "Action"),
    ("resource_type", "Resource type"),
    ("resource", "Resource"),
    ("org", "Organization"),
    ("project", "Project"),
    ("module", "Module"),
];

pub(super) fn range_of(query: &ParamsMap) -> TimeRange {
    query
        .get("range")
        .and_then(|value| TimeRange::from_value(&value))
        .unwrap_or_default()
}

pub(super) fn filter_of(query: &ParamsMap) -> EventFilter {
    let part = |name: &str| {
        let text = query.get(name)?.trim().to_owned();
        Some(text).filter(|text| !text.is_empty())
    };
    EventFilter {
        show: part("show")
            .and_then(|value| Show::from_value(&value))
            .unwrap_or_default(),
        start: None,
        end: None,
        principal: part("principal"),
        action: part("action"),
        module: part("module"),
        resource_type: part("resource_type"),
        resource: part("resource"),
        org: part("org"),
        project: part("project"),
        q: part("q"),
        // The page does not show how far parts of words were searched.
        parts: Some(true),
        conditions: Vec::new(),
        limit: Some(ROWS),
        cursor: part("cursor"),
    }
}

/// The address leads to the first page, unless the replaced part is the cursor.
pub(super) fn address_with(query: &ParamsMap, name: &'static str, value: &str) -> String {
    let mut query = query.clone();
    query.remove("cursor");
    query.replace(name, value.to_owned());
    format!("{}{}", paths::LOGS, query.to_query_string())
}

pub(super) fn export_address(query: &ParamsMap) -> String {
    let mut query = query.clone();
    query.remove("cursor");
    format!("{}{}", paths::LOGS_EXPORT, query.to_query_string())
}
