//! Leaves out optional members that are null: clients that write all of their fields send them.

use super::outline::{Member, Object, Outline};

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
/// null; `None` if it has none. A key that comes twice is kept, so that it is refused.
pub(super) fn leave_out(event: &Outline<'_>) -> Option<String> {
    // Most events have no null at all.
    let has_null = event.text().contains("null");
    without_nulls(event.object().filter(|_| has_null)?, &EVENT)
}

/// `None` if there is nothing to leave out.
fn without_nulls(object: Object<'_>, shape: &Shape) -> Option<String> {
    let optional = shape.optional.iter().filter(|key| object.has_at_most_once(key));
    let optional: Vec<_> = optional.copied().collect();
    let mut json = String::from("{");
    let mut has_changed = false;
    for member in object.members() {
        if optional.iter().any(|key| member.has_key(key)) && is_nothing(&member) {
            has_changed = true;
            continue;
        }
        let shape = shape.objects.iter().find(|(name, _)| member.has_key(name));
        let inner = shape.and_then(|(_, shape)| without_nulls(member.object()?, shape));
        has_changed |= inner.is_some();
        member.push_with(&mut json, inner.as_deref().unwrap_or(member.value()));
    }
    if json.ends_with(',') {
        json.pop();
    }
    json.push('}');
    has_changed.then_some(json)
}

/// Whether a member says nothing: null, or a request of which nothing is known.
fn is_nothing(member: &Member<'_>) -> bool {
    let all_null = |object: Object<'_>| {
        object.members().next().is_some() && object.members().all(|member| member.value() == "null")
    };
    member.value() == "null" || (member.has_key(HTTP_REQUEST) && member.object().is_some_and(all_null))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(json: &str) -> String {
        leave_out(&Outline::of(json).unwrap()).unwrap_or_else(|| json.to_owned())
    }

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
            assert_eq!(left(json), expected);
        }
        for kept in [
            r#"{"auditEventMetadata":{"a":null},"auditHttpRequestInfo":{}}"#,
            r#"{"auditHttpRequestInfo":{"requestMethod":"GET","clientIP":null}}"#,
            r#"{"auditEventAuthor":{"principal":{"type":null,"identifier":null}}}"#,
            r#"{"auditEventAuthor":{"principal":{"email":null,"email":"x"}}}"#,
            r#"{"auditEventAuthor":{"principal":null},"auditResourceScope":null}"#,
            r#""null""#,
        ] {
            assert_eq!(left(kept), kept);
        }
    }
}
