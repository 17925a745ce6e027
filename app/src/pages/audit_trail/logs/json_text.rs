//! JSON as text: shown as it was sent. Numbers keep their digits and members their order, because
//! neither becomes a value of this program.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Returns a JSON text with one member per line. A text that is not JSON comes back as it is, with
/// other white space.
pub(super) fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut rest = json;
    // Strings are copied whole, because white space in them counts.
    while let Some(character) = rest.chars().next() {
        let after = rest.get(character.len_utf8()..).unwrap_or_default();
        match character {
            '"' => {
                let end = string_end(rest);
                out.push_str(rest.get(..end).unwrap_or(rest));
                rest = rest.get(end..).unwrap_or_default();
                continue;
            }
            '{' | '[' => {
                out.push(character);
                let closed = after.trim_start();
                if let Some(empty) = closed.strip_prefix(['}', ']']) {
                    out.push(if character == '{' { '}' } else { ']' });
                    rest = empty;
                    continue;
                }
                depth += 1;
                new_line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(',');
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            ' ' | '\t' | '\n' | '\r' => {}
            other => out.push(other),
        }
        rest = after;
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth {
        out.push_str("  ");
    }
}

/// Returns the length of the string at the beginning of a text, with its quotes.
fn string_end(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Returns a member of a JSON object as text; `None` if it is absent or the value is no object.
pub(super) fn member<'j>(json: &'j str, name: &str) -> Option<&'j str> {
    let mut members: BTreeMap<String, &'j RawValue> = serde_json::from_str(json).ok()?;
    members.remove(name).map(RawValue::get)
}

/// Returns the text of a JSON string; `None` if it is not a string.
pub(super) fn string(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// Returns the fields that differ between two JSON texts, with both contents. A dash stands for an
/// absent field.
pub(super) fn changed(old: &str, new: &str) -> Vec<(String, String, String)> {
    let mut fields = BTreeMap::new();
    flatten(&mut fields, String::new(), old, 0);
    flatten(&mut fields, String::new(), new, 1);
    let shown = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    fields
        .into_iter()
        .filter(|(_, [old, new])| old != new)
        .map(|(field, [old, new])| (field, shown(old), shown(new)))
        .collect()
}

fn flatten(fields: &mut BTreeMap<String, [Option<String>; 2]>, path: String, json: &str, side: usize) {
    let json = json.trim();
    if json == "null" {
        return;
    }
    if let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(json) {
        for (name, member) in members {
            let path = if path.is_empty() {
                name
            } else {
                format!("{path}.{name}")
            };
            flatten(fields, path, member.get(), side);
        }
        return;
    }
    let text = string(json).unwrap_or_else(|| json.to_owned());
    let path = if path.is_empty() { "value".to_owned() } else { path };
    fields.entry(path).or_default()[side] = Some(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_and_the_order_of_members_are_kept() {
        let json =
            r#"{"z":18446744073709551617,"a":[1.00,1e2,0.1234567890123456789],"m":{},"e":[],"s":"a: {\"b\", \\"}"#;
        let text = pretty(json);
        assert_eq!(
            text,
            r#"{
  "z": 18446744073709551617,
  "a": [
    1.00,
    1e2,
    0.1234567890123456789
  ],
  "m": {},
  "e": [],
  "s": "a: {\"b\", \\"
}"#
        );
        assert_eq!(pretty(&text), text);
    }

    #[test]
    fn differences_are_listed_field_by_field() {
        let old = r#"{"status":"INACTIVE","spec":{"bucket":"logs","prefix":"a/"},"tags":{},"n":18446744073709551616}"#;
        let new = r#"{"status":"ACTIVE","spec":{"bucket":"logs"},"tags":{"eu":""},"n":18446744073709551617}"#;
        let row = |field: &str, old: &str, new: &str| (field.to_owned(), old.to_owned(), new.to_owned());
        assert_eq!(
            changed(old, new),
            [
                row("n", "18446744073709551616", "18446744073709551617"),
                row("spec.prefix", "a/", "–"),
                row("status", "INACTIVE", "ACTIVE"),
                row("tags.eu", "–", ""),
            ]
        );
        assert_eq!(changed("null", "null"), []);
        assert_eq!(changed("null", "true"), [row("value", "–", "true")]);
    }

    #[test]
    fn members_are_read_as_text() {
        let json = r#"{"a":{"b":"\u00e9"},"n":1.0}"#;
        assert_eq!(member(json, "n"), Some("1.0"));
        let inner = member(json, "a").and_then(|a| member(a, "b")).and_then(string);
        assert_eq!(inner.as_deref(), Some("é"));
        assert_eq!(member("[]", "a"), None);
    }
}
