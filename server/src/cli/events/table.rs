//! Events as a table for people.

use std::fmt::Write as _;

use auditstream_model::{AuditEvent, EpochMillis};
use jiff::Timestamp;

const COLUMNS: usize = 7;
const TITLES: [&str; COLUMNS] = ["TIME", "SEQUENCE", "PRINCIPAL", "ACTION", "MODULE", "RESOURCE", "SCOPE"];

/// A table whose columns are as wide as the first rows require.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Widths in characters; `None` before the first rows.
    widths: Option<[usize; COLUMNS]>,
}

impl Table {
    /// Returns the lines of these events, the first time after the titles.
    pub(super) fn render(&mut self, events: &[AuditEvent]) -> String {
        let mut rows: Vec<[String; COLUMNS]> = events.iter().map(row).collect();
        if self.widths.is_none() {
            rows.insert(0, TITLES.map(str::to_owned));
        }
        let widths = *self.widths.get_or_insert_with(|| widths(&rows));
        let mut text = String::new();
        for row in rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                // Writing to a string cannot fail.
                let _ = write!(line, "{cell:width$}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn widths(rows: &[[String; COLUMNS]]) -> [usize; COLUMNS] {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

fn row(event: &AuditEvent) -> [String; COLUMNS] {
    let scope: Vec<&str> = [&event.org, &event.project]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    [
        shown_time(event.time),
        event.sequence.to_string(),
        harmless(&event.principal),
        harmless(&event.action),
        harmless(&event.module),
        harmless(&format!("{}/{}", event.resource_type, event.resource)),
        harmless(&scope.join("/")),
    ]
}

/// A time in UTC; as a number if it has no date.
pub(super) fn shown_time(millis: EpochMillis) -> String {
    Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |time| format!("{time:.3}"))
}

/// Escapes characters by which an event could control the terminal or reorder the line.
fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let reorders = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || reorders {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_no_event_controls_the_terminal() {
        let event = |principal: &str, org: Option<&str>| AuditEvent {
            sequence: 7,
            time: 1_700_000_000_000,
            principal: principal.to_owned(),
            action: "UPDATE".to_owned(),
            module: "CD".to_owned(),
            resource_type: "PIPELINE".to_owned(),
            resource: "deploy".to_owned(),
            org: org.map(str::to_owned),
            project: None,
            json: "{}".to_owned(),
        };
        let mut table = Table::default();
        let text = table.render(&[event("\u{1b}[2Jé", Some("acme")), event("ada", None)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("2023-11-14T22:13:20.000Z  7 "), "{text}");
        assert!(
            lines[1].contains(r"\u{1b}[2Jé  UPDATE") && lines[1].ends_with("acme"),
            "{text}"
        );
        let column = |line: &str| line.chars().position(|character| character == 'U');
        assert_eq!(column(lines[1]), column(lines[2]), "{text}");
        assert_eq!(table.render(&[event("ada", None)]).lines().count(), 1);
    }
}
