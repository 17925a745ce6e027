//! Checks an event and brings it into the form that is stored and streamed.
//!
//! What is stored is the event's own JSON, compact, members in the order in which they came, with
//! `auditEventMetadata` moved to the end and left open behind its last member:
//!
//! ```text
//! {"auditEventId":"e1",…,"auditEventMetadata":{"eventName":"x",     ← stored, ends in { or ,
//!                                              "sequence":7,"batchId":"1-9"}}   ← added when it is sent
//! ```
//!
//! So streaming copies bytes and never parses, and numbers keep every digit that was sent.
//!
//! Three members of `auditEventMetadata` are this server's own, and are left out of what is sent in: `sequence`, `batchId`,
//! and `recordedBy`, which tells what this server recorded of itself from what anybody may claim.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use auditstream_model::limits::EVENT_DEPTH;
use auditstream_model::{EpochMillis, FieldErrors, Sequence};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// The last moment of the year 9999: later ones have no date that readers agree on.
const LATEST_MILLIS: i64 = 253_402_300_799_999;
const ID_CHARS: usize = 512;
/// The members of `auditEventMetadata` that no sender sets.
const RESERVED: [&str; 3] = ["sequence", "batchId", "recordedBy"];
/// The last member of what this server recorded of itself.
const OWN: &str = r#""recordedBy":"auditstream","#;

/// An event that follows the payload schema, ready to be stored.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The first 16 bytes of the SHA-256 of `auditEventId`.
    pub id_digest: [u8; 16],
    /// `auditEventTime`, epoch ms.
    pub time: EpochMillis,
    /// The principal's type: `USER`, `SYSTEM`, `API_KEY` …
    pub principal_type: String,
    /// The principal's identifier.
    pub principal: String,
    /// The action.
    pub action: String,
    /// The module.
    pub module: String,
    /// The resource's type.
    pub resource_type: String,
    /// The resource's identifier.
    pub resource: String,
    /// The organisation, if any.
    pub org: Option<String>,
    /// The project, if any.
    pub project: Option<String>,
    /// The event, open at its end.
    pub payload: String,
}

impl Prepared {
    /// Says that this server recorded it of itself.
    #[must_use]
    pub(crate) fn own(mut self) -> Self {
        self.payload.push_str(OWN);
        self
    }
}

/// Closes a stored payload with its sequence and, when it is streamed, the batch's id.
pub fn close(out: &mut String, payload: &str, sequence: Sequence, batch_id: Option<&str>) {
    use fmt::Write as _;
    out.push_str(payload);
    // Writing to a string cannot fail.
    let _ = match batch_id {
        Some(batch_id) => write!(out, r#""sequence":{sequence},"batchId":"{batch_id}"}}}}"#),
        None => write!(out, r#""sequence":{sequence}}}}}"#),
    };
}

/// Whether two stored payloads say the same, whatever the order of their members, and whoever recorded them: what was read
/// out can be sent in again.
#[must_use]
pub fn same_content(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(|payload| payload.strip_suffix(OWN).unwrap_or(payload));
    let whole = |payload: &str| {
        serde_json::from_str::<serde_json::Value>(&format!("{}}}}}", payload.trim_end_matches(','))).ok()
    };
    one == other || whole(one).is_some_and(|value| Some(value) == whole(other))
}

/// Checks one event, given as JSON, of the account named.
///
/// # Errors
/// Every member that does not follow the payload schema.
pub fn prepare(json: &RawValue, account: &str) -> Result<Prepared, FieldErrors> {
    let text = compact(json.get()).map_err(|why| FieldErrors::one("", why))?;
    let Some(event) = members(&text) else {
        return Err(FieldErrors::one("", "An event is a JSON object."));
    };
    let mut check = Check {
        errors: FieldErrors::default(),
    };
    check.no_twice("", &event);
    let id = check.string("", &event, "auditEventId");
    if id
        .as_deref()
        .is_some_and(|id| id.is_empty() || id.chars().count() > ID_CHARS)
    {
        check
            .errors
            .add("auditEventId", format!("An id has 1 to {ID_CHARS} characters."));
    }
    let author = check.object("", &event, "auditEventAuthor");
    let principal = author.and_then(|author| check.object("auditEventAuthor", &author, "principal"));
    let principal = principal.and_then(|principal| {
        let path = "auditEventAuthor.principal";
        let kind = check.string(path, &principal, "type");
        check.optional_string(path, &principal, "email");
        let identifier = check.string(path, &principal, "identifier");
        kind.zip(identifier)
    });
    let module = check.string("", &event, "auditModule");
    let resource = check.object("", &event, "auditResource").map(|resource| {
        (
            check.string("auditResource", &resource, "type"),
            check.string("auditResource", &resource, "identifier"),
        )
    });
    let scope = check.object("", &event, "auditResourceScope").map(|scope| {
        let path = "auditResourceScope";
        if check
            .string(path, &scope, "accountIdentifier")
            .is_some_and(|named| named != account)
        {
            check.errors.add(
                "auditResourceScope.accountIdentifier",
                format!("The account must be “{account}”, the one of the token."),
            );
        }
        (
            check.optional_string(path, &scope, "orgIdentifier"),
            check.optional_string(path, &scope, "projectIdentifier"),
        )
    });
    let action = check.string("", &event, "auditAction");
    if find(&event, "auditHttpRequestInfo").is_some()
        && let Some(request) = check.object("", &event, "auditHttpRequestInfo")
    {
        check.string("auditHttpRequestInfo", &request, "requestMethod");
        check.string("auditHttpRequestInfo", &request, "clientIP");
    }
    let time = check.string("", &event, "auditEventTime").and_then(|time| {
        let millis = time
            .parse::<i64>()
            .ok()
            .filter(|millis| (0..=LATEST_MILLIS).contains(millis) && time.bytes().all(|b| b.is_ascii_digit()));
        if millis.is_none() {
            check.errors.add(
                "auditEventTime",
                "The time is decimal milliseconds since 1970 in a string: \"1688989356000\".",
            );
        }
        millis
    });
    let metadata = match find(&event, "auditEventMetadata") {
        None => Some(Members::default()),
        Some(_) => check.object("", &event, "auditEventMetadata"),
    };
    match (id, principal, module, resource, scope, action, time, metadata) {
        (
            Some(id),
            Some((principal_type, principal)),
            Some(module),
            Some((Some(resource_type), Some(resource))),
            Some((org, project)),
            Some(action),
            Some(time),
            Some(metadata),
        ) if check.errors.is_empty() => {
            let digest = Sha256::digest(id.as_bytes());
            let mut id_digest = [0; 16];
            id_digest.copy_from_slice(&digest[..16]);
            Ok(Prepared {
                id_digest,
                time,
                principal_type,
                principal,
                action,
                module,
                resource_type,
                resource,
                org,
                project,
                payload: open_payload(&event, &metadata),
            })
        }
        _ => Err(check.errors),
    }
}

fn open_payload(event: &Members<'_>, metadata: &Members<'_>) -> String {
    let mut out = String::with_capacity(1024);
    out.push('{');
    let push = |out: &mut String, key: &str, value: &RawValue| {
        out.push_str(&serde_json::Value::from(key).to_string());
        out.push(':');
        out.push_str(value.get());
        out.push(',');
    };
    for (key, value) in event.0.iter().filter(|(key, _)| key != "auditEventMetadata") {
        push(&mut out, key, value);
    }
    out.push_str(r#""auditEventMetadata":{"#);
    for (key, value) in metadata.0.iter().filter(|(key, _)| !RESERVED.contains(&key.as_ref())) {
        push(&mut out, key, value);
    }
    out
}

/// The members of an object in their order.
#[derive(Default)]
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((Cow::Owned(key), value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

fn members(json: &str) -> Option<Members<'_>> {
    serde_json::from_str(json).ok()
}

fn find<'a>(object: &Members<'a>, key: &str) -> Option<&'a RawValue> {
    object.0.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
}

struct Check {
    errors: FieldErrors,
}

impl Check {
    fn no_twice(&mut self, path: &str, object: &Members<'_>) {
        let mut seen = HashSet::new();
        for (key, _) in &object.0 {
            if !seen.insert(key.as_ref()) {
                self.errors.add(join(path, key), "This member is there twice.");
            }
        }
    }

    fn object<'a>(&mut self, path: &str, parent: &Members<'a>, key: &str) -> Option<Members<'a>> {
        let Some(value) = find(parent, key) else {
            self.errors.add(join(path, key), "This member is required.");
            return None;
        };
        let object = members(value.get());
        match &object {
            Some(object) => self.no_twice(&join(path, key), object),
            None => self.errors.add(join(path, key), "This must be an object."),
        }
        object
    }

    fn string(&mut self, path: &str, parent: &Members<'_>, key: &str) -> Option<String> {
        if find(parent, key).is_none() {
            self.errors.add(join(path, key), "This member is required.");
        }
        self.optional_string(path, parent, key)
    }

    fn optional_string(&mut self, path: &str, parent: &Members<'_>, key: &str) -> Option<String> {
        let text = serde_json::from_str::<String>(find(parent, key)?.get()).ok();
        if text.is_none() {
            self.errors.add(join(path, key), "This must be a string.");
        }
        text
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Takes out the white space between tokens of valid JSON, and refuses what readers of JSON stumble over: U+0000,
/// half a surrogate pair, nesting beyond [`EVENT_DEPTH`].
fn compact(json: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(json.len());
    let mut depth = 0_usize;
    let mut bytes = json.bytes().enumerate();
    let mut in_string = false;
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if in_string => {
                out.push(byte);
                let Some((_, kind)) = bytes.next() else { break };
                out.push(kind);
                if kind == b'u' {
                    let unit = code_unit(json, at + 2);
                    if unit == Some(0) {
                        return Err(format!("The character U+0000 at byte {at} cannot be kept."));
                    }
                    let is_low = |unit: Option<u16>| unit.is_some_and(|unit| (0xdc00..0xe000).contains(&unit));
                    if unit.is_some_and(|unit| (0xd800..0xdc00).contains(&unit)) {
                        if json.get(at + 6..at + 8) != Some("\\u") || !is_low(code_unit(json, at + 8)) {
                            return Err(format!("Half a surrogate pair stands at byte {at}."));
                        }
                        out.extend(bytes.by_ref().take(10).map(|(_, byte)| byte));
                    } else if is_low(unit) {
                        return Err(format!("Half a surrogate pair stands at byte {at}."));
                    }
                }
                continue;
            }
            b'"' => in_string = !in_string,
            b' ' | b'\t' | b'\n' | b'\r' if !in_string => continue,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > EVENT_DEPTH {
                    return Err(format!(
                        "The event nests deeper than {EVENT_DEPTH} levels at byte {at}."
                    ));
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        out.push(byte);
    }
    String::from_utf8(out).map_err(|_| "The event is not UTF-8.".to_owned())
}

fn code_unit(json: &str, at: usize) -> Option<u16> {
    u16::from_str_radix(json.get(at..at + 4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(with: &str) -> String {
        format!(
            r#"{{ "auditEventId":"e1", "auditEventAuthor":{{"principal":{{"type":"USER","identifier":"ann"}}}}, "auditModule":"CD",
            "auditResource":{{"type":"PIPELINE","identifier":"p"}}, "auditResourceScope":{{"accountIdentifier":"default"}},
            "auditAction":"CREATE", "auditEventTime":"1688989356000"{with} }}"#
        )
    }

    fn check(json: &str) -> Result<Prepared, FieldErrors> {
        prepare(serde_json::from_str(json).expect("valid JSON"), "default")
    }

    fn streamed(json: &str) -> String {
        let mut out = String::new();
        close(&mut out, &check(json).unwrap().payload, 7, Some("1-9"));
        out
    }

    #[test]
    fn what_is_streamed_is_what_was_sent_with_sequence_and_batch() {
        let sent = event(
            r#", "auditEventMetadata": {"batchId":"old","n":12345678901234567890.10,"sequence":1}, "later": [1, "a b"]"#,
        );
        let out = streamed(&sent);
        assert!(
            out.ends_with(r#""auditEventMetadata":{"n":12345678901234567890.10,"sequence":7,"batchId":"1-9"}}"#),
            "{out}"
        );
        assert!(out.contains(r#""later":[1,"a b"]"#));
        assert!(streamed(&event("")).ends_with(r#""auditEventMetadata":{"sequence":7,"batchId":"1-9"}}"#));
    }

    #[test]
    fn every_wrong_member_is_named() {
        let errors = check(
            r#"{"auditEventId":7,"auditEventAuthor":{"principal":{"type":"USER"}},"auditModule":"","auditModule":""}"#,
        )
        .unwrap_err();
        for field in [
            "auditEventId",
            "auditEventAuthor.principal.identifier",
            "auditModule",
            "auditResource",
            "auditAction",
            "auditEventTime",
        ] {
            assert!(errors.of(field).is_some(), "{field}: {errors:?}");
        }
        let other_account = event("").replace("\"default\"", "\"other\"");
        assert!(
            check(&other_account)
                .unwrap_err()
                .of("auditResourceScope.accountIdentifier")
                .is_some()
        );
        for time in ["-1", "+5", "1.5", "", "99999999999999999", "1e3"] {
            assert!(check(&event("").replace("1688989356000", time)).is_err(), "{time}");
        }
    }

    #[test]
    fn hostile_text_is_refused_and_escapes_are_kept() {
        for bad in [r"\u0000", r"\ud800", r"\ud800x", r"\udc00", r"\ud800\ud800"] {
            assert!(check(&event(&format!(r#","x":"{bad}""#))).is_err(), "{bad}");
        }
        for good in [r"\\u0000", r"\ud83d\ude00", r"\u0001", r"a \t b", r#"\" "#] {
            assert!(streamed(&event(&format!(r#","x":"{good}""#))).contains(good), "{good}");
        }
        let deep = format!(r#","x":{}{}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(
            check(&event(&deep))
                .unwrap_err()
                .of("")
                .is_some_and(|why| why.contains("deeper"))
        );
    }

    #[test]
    fn the_order_of_members_does_not_make_another_content() {
        assert!(same_content(
            r#"{"a":1,"b":2,"auditEventMetadata":{"#,
            r#"{"b":2,"a":1,"auditEventMetadata":{"#
        ));
        assert!(!same_content(
            r#"{"a":1,"auditEventMetadata":{"#,
            r#"{"a":2,"auditEventMetadata":{"#
        ));
    }

    proptest! {
        #[test]
        fn compacting_keeps_the_value(text in "\\PC{0,40}", number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
            let value = serde_json::json!({"t": text, "n": number, "a": [null, true, {"k": text}]});
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let compacted = compact(&pretty).unwrap();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&compacted).unwrap(), value);
            prop_assert!(!compacted.contains('\n'));
        }
    }
}
