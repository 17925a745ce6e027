//! The members of an event by which it is listed and found, read from its stored payload.

use std::borrow::Cow;
use std::ops::ControlFlow;

use memchr::memchr2;

/// The listed members of an event. They are borrowed from its payload where they have no escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields<'p> {
    pub(crate) event_id: Cow<'p, str>,
    pub(crate) principal_type: Cow<'p, str>,
    pub(crate) principal: Cow<'p, str>,
    pub(crate) email: Option<Cow<'p, str>>,
    pub(crate) action: Cow<'p, str>,
    pub(crate) module: Cow<'p, str>,
    pub(crate) resource_type: Cow<'p, str>,
    pub(crate) resource: Cow<'p, str>,
    pub(crate) org: Option<Cow<'p, str>>,
    pub(crate) project: Option<Cow<'p, str>>,
    pub(crate) request_method: Option<Cow<'p, str>>,
    pub(crate) client_ip: Option<Cow<'p, str>>,
}

/// Reads the listed members of a stored payload in one pass. A required one that is missing, which
/// ingest refuses, is empty.
pub(crate) fn of(payload: &str) -> Fields<'_> {
    let mut fields = Fields::default();
    let mut reader = Reader { json: payload, at: 0 };
    // Without a break the payload has no metadata, and has been read to its end.
    let _ = reader.object(|reader, key| {
        match key {
            "auditEventId" => fields.event_id = reader.required(),
            "auditModule" => fields.module = reader.required(),
            "auditAction" => fields.action = reader.required(),
            "auditEventAuthor" => author(reader, &mut fields),
            "auditResource" => resource(reader, &mut fields),
            "auditResourceScope" => scope(reader, &mut fields),
            "auditHttpRequestInfo" => http_request(reader, &mut fields),
            // The last member, open at its end.
            "auditEventMetadata" => return ControlFlow::Break(()),
            _ => reader.skip(),
        }
        ControlFlow::Continue(())
    });
    fields
}

fn author<'p>(reader: &mut Reader<'p>, fields: &mut Fields<'p>) {
    reader.members(|reader, key| match key {
        "principal" => reader.members(|reader, key| match key {
            "type" => fields.principal_type = reader.required(),
            "identifier" => fields.principal = reader.required(),
            "email" => fields.email = reader.text(),
            _ => reader.skip(),
        }),
        _ => reader.skip(),
    });
}

fn resource<'p>(reader: &mut Reader<'p>, fields: &mut Fields<'p>) {
    reader.members(|reader, key| match key {
        "type" => fields.resource_type = reader.required(),
        "identifier" => fields.resource = reader.required(),
        _ => reader.skip(),
    });
}

fn scope<'p>(reader: &mut Reader<'p>, fields: &mut Fields<'p>) {
    reader.members(|reader, key| match key {
        "orgIdentifier" => fields.org = reader.text(),
        "projectIdentifier" => fields.project = reader.text(),
        _ => reader.skip(),
    });
}

fn http_request<'p>(reader: &mut Reader<'p>, fields: &mut Fields<'p>) {
    reader.members(|reader, key| match key {
        "requestMethod" => fields.request_method = reader.text(),
        "clientIP" => fields.client_ip = reader.text(),
        _ => reader.skip(),
    });
}

/// Reads compact JSON that ingest has checked. Other text gives members that it does not have, and
/// always comes to an end.
struct Reader<'p> {
    json: &'p str,
    at: usize,
}

impl<'p> Reader<'p> {
    fn peek(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    /// Reads an object; another value is skipped.
    fn members(&mut self, mut visit: impl FnMut(&mut Self, &str)) {
        let _ = self.object(|reader, key| {
            visit(reader, key);
            ControlFlow::Continue(())
        });
    }

    /// Calls `visit` at the value of each member of an object, which it reads or skips. Another
    /// value is skipped.
    fn object(&mut self, mut visit: impl FnMut(&mut Self, &str) -> ControlFlow<()>) -> ControlFlow<()> {
        if self.peek() != Some(b'{') {
            self.skip();
            return ControlFlow::Continue(());
        }
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    let key = self.string();
                    // The colon.
                    self.at += 1;
                    visit(self, &key)?;
                }
                b'}' => {
                    self.at += 1;
                    break;
                }
                _ => self.at += 1,
            }
        }
        ControlFlow::Continue(())
    }

    fn required(&mut self) -> Cow<'p, str> {
        self.text().unwrap_or_default()
    }

    /// Reads a string; `None` for another value.
    fn text(&mut self) -> Option<Cow<'p, str>> {
        if self.peek() == Some(b'"') {
            return Some(self.string());
        }
        self.skip();
        None
    }

    /// Reads the string that begins here.
    fn string(&mut self) -> Cow<'p, str> {
        let begin = self.at;
        let has_escapes = self.skip_string();
        let quoted = self.json.get(begin..self.at).unwrap_or_default();
        if has_escapes {
            return Cow::Owned(serde_json::from_str(quoted).unwrap_or_default());
        }
        let plain = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Cow::Borrowed(plain.unwrap_or_default())
    }

    /// Returns whether the string has escapes.
    fn skip_string(&mut self) -> bool {
        let bytes = self.json.as_bytes();
        let mut has_escapes = false;
        self.at += 1;
        while let Some(found) = bytes.get(self.at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            self.at += found;
            if self.peek() == Some(b'"') {
                self.at += 1;
                return has_escapes;
            }
            has_escapes = true;
            // The backslash and the character after it: a quote there does not end the string.
            self.at += 2;
        }
        self.at = bytes.len();
        has_escapes
    }

    /// Moves past a value.
    fn skip(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.skip_string();
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' | b',' if depth == 0 => return,
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
            if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trail::check::prepare;

    const EVENT: &str = r#"{"later":[{"auditAction":"no"},"}"],"auditEventId":"e\"1","auditEventAuthor":{"x":{"type":1},
        "principal":{"type":"USER","email":"a@b","identifier":"J\u00fcrgen","more":[]}},"auditModule":"CD",
        "auditResource":{"identifier":"p","type":"PIPELINE"},"a\u0075ditAction":"CREATE","n":-1.50,
        "auditResourceScope":{"accountIdentifier":"default","orgIdentifier":"o","projectIdentifier":null},
        "auditHttpRequestInfo":{"requestMethod":"GET","clientIP":"192.0.2.1"},"auditEventTime":"1688989356000",
        "auditEventMetadata":{"auditModule":"no"}}"#;

    fn payload() -> String {
        let json: Box<serde_json::value::RawValue> = serde_json::from_str(EVENT).unwrap();
        prepare(&json, "default").unwrap().payload
    }

    #[test]
    fn the_listed_members_of_a_payload_are_read_however_they_are_ordered_and_escaped() {
        let payload = payload();
        let fields = of(&payload);
        let expected = Fields {
            event_id: "e\"1".into(),
            principal_type: "USER".into(),
            principal: "Jürgen".into(),
            email: Some("a@b".into()),
            action: "CREATE".into(),
            module: "CD".into(),
            resource_type: "PIPELINE".into(),
            resource: "p".into(),
            org: Some("o".into()),
            project: None,
            request_method: Some("GET".into()),
            client_ip: Some("192.0.2.1".into()),
        };
        assert_eq!(fields, expected);
        assert!(matches!(fields.module, Cow::Borrowed(_)) && matches!(fields.principal, Cow::Owned(_)));
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_an_end(text in r#"[{}\[\]",:\\a-z]{0,60}"#, cut in any::<proptest::sample::Index>()) {
            let _ = of(&text);
            let payload = payload();
            let cut = cut.index(payload.len());
            if payload.is_char_boundary(cut) {
                let _ = of(&payload[..cut]);
            }
        }
    }
}
