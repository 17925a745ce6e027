//! Leaves out optional members that are null: clients that write all of their fields send them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::members::{Members, push_member};

/// An object of the payload schema.
struct Shape {
    optional: &'static [&'static str],
    objects: &'static [(&'static str, Shape)],
}

const PRINCIPAL: Shape = Shape {
    optional: &["email"],
    objects: &[],
};
const AUTHOR: Shape = Shape {
    optional: &[],
    objects: &[("principal", PRINCIPAL)],
};
const SCOPE: Shape = Shape {
    optional: &["orgIdentifier", "projectIdentifier"],
    objects: &[],
};
const EVENT: Shape = Shape {
    optional: &[HTTP_REQUEST, "auditEventMetadata"],
    objects: &[("auditEventAuthor", AUTHOR), ("auditResourceScope", SCOPE)],
};
const HTTP_REQUEST: &str = "auditHttpRequestInfo";

/// The event without the members that the payload schema knows, does not require, and that are
/// null. `json` is compact. A key that comes twice is kept, so that it is refused.
pub(super) fn leave_out(json: &str) -> Cow<'_, str> {
    // Most events have no null at all.
    let event = json.contains("null").then(|| Members::parse(json)).flatten();
    let rewritten = event.and_then(|event| without_nulls(&event, &EVENT));
    rewritten.map_or(Cow::Borrowed(json), Cow::Owned)
}

/// `None` if there is nothing to leave out.
fn without_nulls(object: &Members<'_>, shape: &Shape) -> Option<String> {
    let optional = shape.optional.iter().filter(|key| object.has_at_most_once(key));
    let optional: Vec<_> = optional.copied().collect();
    let mut json = String::from("{");
    let mut has_changed = false;
    for (key, value) in &object.0 {
        if optional.contains(&key.as_ref()) && is_nothing(key, value) {
            has_changed = true;
            continue;
        }
        let shape = shape.objects.iter().find(|(name, _)| name == key);
        let inner = shape.and_then(|(_, shape)| without_nulls(&Members::parse(value.get())?, shape));
        has_changed |= inner.is_some();
        push_member(&mut json, key, inner.as_deref().unwrap_or(value.get()));
    }
    if json.ends_with(',') {
        json.pop();
    }
    json.push('}');
    has_changed.then_some(json)
}

/// Whether a member says nothing: null, or a request of which nothing is known.
fn is_nothing(key: &str, value: &RawValue) -> bool {
    let all_null =
        |object: Members<'_>| !object.0.is_empty() && object.0.iter().all(|(_, value)| value.get() == "null");
    value.get() == "null" || key == HTTP_REQUEST && Members::parse(value.get()).is_some_and(all_null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_members_that_are_null_are_left_out_and_all_others_are_kept() {
        for (json, expected) in [
            (r#"{"auditEventMetadata":null,"a":null}"#, r#"{"a":null}"#),
            (r#"{"auditHttpRequestInfo":null}"#, "{}"),
            (
                r#"{"auditHttpRequestInfo":{"requestMethod":null,"clientIP":null}}"#,
                "{}",
            ),
            (
                r#"{"auditEventAuthor":{"principal":{"type":"USER","email":null},"x":null},"b":1}"#,
                r#"{"auditEventAuthor":{"principal":{"type":"USER"},"x":null},"b":1}"#,
            ),
            (
                r#"{"auditResourceScope":{"orgIdentifier":null,"accountIdentifier":"a","projectIdentifier":null}}"#,
                r#"{"auditResourceScope":{"accountIdentifier":"a"}}"#,
            ),
        ] {
            assert_eq!(leave_out(json), expected);
        }
        for kept in [
            r#"{"auditEventMetadata":{"a":null},"auditHttpRequestInfo":{}}"#,
            r#"{"auditHttpRequestInfo":{"requestMethod":"GET","clientIP":null}}"#,
            r#"{"auditEventAuthor":{"principal":{"type":null,"identifier":null}}}"#,
            r#"{"auditEventAuthor":{"principal":{"email":null,"email":"x"}}}"#,
            r#"{"auditEventAuthor":{"principal":null},"auditResourceScope":null}"#,
            r#""null""#,
        ] {
            assert_eq!(leave_out(kept), kept);
        }
    }
}
