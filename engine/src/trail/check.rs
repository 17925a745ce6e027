//! Checks events against the payload schema.

use std::borrow::Cow;

use auditstream_model::{EpochMillis, FieldErrors};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::canonical::{Canonical, ContentDigest};
use super::error_limits::{EVENT_ERRORS, shorten};
use super::null_members;
use super::outline::{Object, Outline};
use super::stored_form::{Prepared, RESERVED, open_payload};

/// The last moment of the year 9999; later times have no date that readers agree on.
const LATEST_MILLIS: EpochMillis = 253_402_300_799_999;
const TIME_DIGITS: usize = 15;
const ID_CHARS: usize = 512;

pub(super) fn prepare(json: &RawValue, account: &str) -> Result<Prepared, FieldErrors> {
    let read = |json| Outline::of(json).map_err(|why| FieldErrors::one("", why));
    let received = read(json.get())?;
    let rewritten = null_members::leave_out(&received);
    let outline = match &rewritten {
        Some(json) => read(json)?,
        None => received,
    };
    let Some(event) = outline.object() else {
        return Err(FieldErrors::one("", "An event is a JSON object."));
    };
    let mut check = Check::default();
    let prepared = check.event(event, account);
    // Of a valid event the payload is examined anyway, which has everything but reserved members.
    let canonical = Canonical::of(prepared.as_ref().map_or(outline.text(), |event| &event.payload));
    for path in &canonical.duplicates {
        check.duplicate(path.clone());
    }
    match prepared {
        Some(event) if check.errors.is_empty() => Ok(Prepared {
            content_digest: canonical.digest(),
            ..event
        }),
        _ => Err(check.errors),
    }
}

#[derive(Default)]
struct Check {
    errors: FieldErrors,
}

impl Check {
    fn add(&mut self, path: String, message: impl Into<String>) {
        match self.errors.0.len() {
            named if named + 1 < EVENT_ERRORS => self.errors.add(shorten(path), message),
            named if named + 1 == EVENT_ERRORS => self.errors.add("", "This event has more errors."),
            _ => {}
        }
    }

    fn duplicate(&mut self, path: String) {
        const MESSAGE: &str = "Duplicate key.";
        if !self
            .errors
            .0
            .iter()
            .any(|error| error.field == path && error.message == MESSAGE)
        {
            self.add(path, MESSAGE);
        }
    }

    /// `None` if a required member is missing or of the wrong type; other errors are recorded.
    fn event(&mut self, event: Object<'_>, account: &str) -> Option<Prepared> {
        let id = self.id(event);
        let principal = self.principal(event);
        let module = self.string("", event, "auditModule");
        let resource = self.resource(event);
        let scope = self.scope(event, account);
        let action = self.string("", event, "auditAction");
        self.http_request(event);
        let time = self.time(event);
        let metadata = match event.find("auditEventMetadata") {
            None => Some(Object::default()),
            Some(_) => self.object("", event, "auditEventMetadata"),
        };
        if let Some(metadata) = metadata {
            self.unique_outside_payload(event, metadata);
        }
        principal.and(module).and(resource).and(scope).and(action)?;
        let digest = Sha256::digest(id?.as_bytes());
        let mut id_digest = [0; 16];
        id_digest.copy_from_slice(&digest[..16]);
        Some(Prepared {
            id_digest,
            time: time?,
            payload: open_payload(event, metadata?),
            content_digest: ContentDigest::default(),
        })
    }

    fn id<'e>(&mut self, event: Object<'e>) -> Option<Cow<'e, str>> {
        let id = self.string("", event, "auditEventId")?;
        if !(1..=ID_CHARS).contains(&id.chars().count()) {
            self.add(
                "auditEventId".to_owned(),
                format!("An id has 1 to {ID_CHARS} characters."),
            );
        }
        Some(id)
    }

    fn principal(&mut self, event: Object<'_>) -> Option<()> {
        let author = self.object("", event, "auditEventAuthor")?;
        let principal = self.object("auditEventAuthor", author, "principal")?;
        let path = "auditEventAuthor.principal";
        let kind = self.string(path, principal, "type");
        self.optional_string(path, principal, "email");
        let identifier = self.string(path, principal, "identifier");
        kind.and(identifier).map(drop)
    }

    fn resource(&mut self, event: Object<'_>) -> Option<()> {
        let resource = self.object("", event, "auditResource")?;
        let kind = self.string("auditResource", resource, "type");
        let identifier = self.string("auditResource", resource, "identifier");
        kind.and(identifier).map(drop)
    }

    fn scope(&mut self, event: Object<'_>, account: &str) -> Option<()> {
        let path = "auditResourceScope";
        let scope = self.object("", event, path)?;
        let named = self.string(path, scope, "accountIdentifier");
        if named.is_some_and(|named| named != account) {
            self.add(
                "auditResourceScope.accountIdentifier".to_owned(),
                format!("The account must be “{account}”, the account of the token."),
            );
        }
        self.optional_string(path, scope, "orgIdentifier");
        self.optional_string(path, scope, "projectIdentifier");
        Some(())
    }

    fn http_request(&mut self, event: Object<'_>) {
        let path = "auditHttpRequestInfo";
        if event.find(path).is_some()
            && let Some(request) = self.object("", event, path)
        {
            self.string(path, request, "requestMethod");
            self.string(path, request, "clientIP");
        }
    }

    fn time(&mut self, event: Object<'_>) -> Option<EpochMillis> {
        let text = self.string("", event, "auditEventTime")?;
        match parse_time(&text) {
            Ok(millis) => Some(millis),
            Err(why) => {
                self.add("auditEventTime".to_owned(), why);
                None
            }
        }
    }

    /// Names what the payload, in which other duplicates are found, does not have twice.
    fn unique_outside_payload(&mut self, event: Object<'_>, metadata: Object<'_>) {
        const METADATA: &str = "auditEventMetadata";
        if !event.has_at_most_once(METADATA) {
            self.duplicate(METADATA.to_owned());
        }
        for key in RESERVED.into_iter().filter(|key| !metadata.has_at_most_once(key)) {
            self.duplicate(join(METADATA, key));
        }
    }

    fn object<'a>(&mut self, path: &str, parent: Object<'a>, key: &str) -> Option<Object<'a>> {
        let Some(member) = parent.find(key).filter(|member| member.value() != "null") else {
            self.add(join(path, key), "This member is required.");
            return None;
        };
        let object = member.object();
        if object.is_none() {
            self.add(join(path, key), "This must be an object.");
        }
        object
    }

    fn string<'e>(&mut self, path: &str, parent: Object<'e>, key: &str) -> Option<Cow<'e, str>> {
        if parent.find(key).is_none_or(|member| member.value() == "null") {
            self.add(join(path, key), "This member is required.");
            return None;
        }
        self.optional_string(path, parent, key)
    }

    fn optional_string<'e>(&mut self, path: &str, parent: Object<'e>, key: &str) -> Option<Cow<'e, str>> {
        let text = parent.find(key)?.string();
        if text.is_none() {
            self.add(join(path, key), "This must be a string.");
        }
        text
    }
}

/// The time in epoch milliseconds, or the reason why the text is invalid.
fn parse_time(text: &str) -> Result<EpochMillis, &'static str> {
    let (digits, is_negative) = text.strip_prefix('-').map_or((text, false), |digits| (digits, true));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("The time must be a string of decimal milliseconds since 1970, such as \"1688989356000\".");
    }
    if is_negative {
        return Err("The time is before 1970. Send milliseconds since 1970, such as \"1688989356000\".");
    }
    let millis = digits.parse().ok().filter(|millis| *millis <= LATEST_MILLIS);
    millis.filter(|_| digits.len() <= TIME_DIGITS).ok_or(
        "The time is after the year 9999. Send milliseconds since 1970, such as \"1688989356000\", \
         not microseconds or nanoseconds.",
    )
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trail::stored_form::close;

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
    fn a_streamed_event_is_the_sent_one_with_sequence_and_batch() {
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
    fn every_invalid_member_is_named() {
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
}
