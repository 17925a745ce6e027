//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110, sections 8.8.3 and 13.1): a change is made to what its sender has read,
//! and what has not changed is not sent again.

use auditstream_engine::{Precondition, Version};
use auditstream_model::Code;
use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::{CACHE_CONTROL, ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::problem::Refusal;
use crate::state::AppState;

/// What `If-Match` asks for.
#[derive(Debug)]
pub struct IfMatch(pub Precondition);

impl FromRequestParts<AppState> for IfMatch {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Refusal> {
        let tags = match tags(&parts.headers, &IF_MATCH)? {
            Tags::Absent => return Ok(Self(Precondition::None)),
            Tags::Any => return Ok(Self(Precondition::Exists)),
            Tags::These(tags) => tags,
        };
        // A weak one may stand for what differs a little: it is never good enough for a change.
        let strong = tags.into_iter().filter(|tag| !tag.weak).map(|tag| tag.text);
        Ok(Self(Precondition::OneOf(strong.collect())))
    }
}

/// What the caller has already.
#[derive(Debug)]
pub struct IfNoneMatch(Tags);

impl FromRequestParts<AppState> for IfNoneMatch {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Refusal> {
        tags(&parts.headers, &IF_NONE_MATCH).map(Self)
    }
}

impl IfNoneMatch {
    /// Whether it names this version.
    #[must_use]
    pub fn names(&self, version: &str) -> bool {
        match &self.0 {
            Tags::Absent => false,
            Tags::Any => true,
            Tags::These(tags) => tags.iter().any(|tag| tag.text == version),
        }
    }

    /// The same thing, with its `ETag`; without its body when the caller has it.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn answer<T: Serialize>(&self, thing: T) -> Result<Response, Refusal> {
        let version = Version::of(&thing)?;
        if self.names(version.as_str()) {
            return Ok((StatusCode::NOT_MODIFIED, headers(&version)).into_response());
        }
        Ok((headers(&version), Json(thing)).into_response())
    }
}

/// A thing on its way out, with its `ETag`.
#[derive(Debug)]
pub struct Versioned<T>(pub T);

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        match Version::of(&self.0) {
            Ok(version) => (headers(&version), Json(self.0)).into_response(),
            Err(error) => Refusal::from(error).into_response(),
        }
    }
}

fn headers(version: &Version) -> [(HeaderName, String); 2] {
    [
        (ETAG, format!("\"{}\"", version.as_str())),
        (CACHE_CONTROL, "private, no-cache".to_owned()),
    ]
}

#[derive(Debug, PartialEq, Eq)]
enum Tags {
    Absent,
    Any,
    These(Vec<Tag>),
}

#[derive(Debug, PartialEq, Eq)]
struct Tag {
    weak: bool,
    text: String,
}

/// The tags of a header, which may come several times.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Tags, Refusal> {
    let mut lines = headers.get_all(name).iter().peekable();
    if lines.peek().is_none() {
        return Ok(Tags::Absent);
    }
    let lines: Vec<&HeaderValue> = lines.collect();
    if let [one] = lines.as_slice()
        && one.as_bytes() == b"*"
    {
        return Ok(Tags::Any);
    }
    let mut found = Vec::new();
    for line in lines {
        let listed = line.to_str().ok().and_then(list);
        found.extend(listed.ok_or_else(|| {
            let sentence = format!("Send {name}: * or the ETag of an answer, with its quotes.");
            Refusal::new(Code::InvalidParameter, sentence)
        })?);
    }
    Ok(Tags::These(found))
}

/// `"a", W/"b"`; a tag may hold a comma, but no quote.
fn list(line: &str) -> Option<Vec<Tag>> {
    let mut tags = Vec::new();
    let mut rest = line.trim();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return (!tags.is_empty()).then_some(tags);
        }
        let (weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let (text, behind) = quoted.strip_prefix('"')?.split_once('"')?;
        rest = behind.trim_start_matches([' ', '\t']);
        if !(rest.is_empty() || rest.starts_with(',')) {
            return None;
        }
        tags.push(Tag {
            weak,
            text: text.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_the_standard_has_them() {
        let read = |line: &str| {
            let tags = list(line)?;
            Some(tags.into_iter().map(|tag| (tag.weak, tag.text)).collect::<Vec<_>>())
        };
        let strong = |text: &str| (false, text.to_owned());
        assert_eq!(read(r#""a""#), Some(vec![strong("a")]));
        assert_eq!(
            read(r#" "a" ,, W/"b","c,d" "#),
            Some(vec![strong("a"), (true, "b".into()), strong("c,d")])
        );
        assert_eq!(read(r#""""#), Some(vec![strong("")]));
        for wrong in ["", ",", "a", r#""a"#, r#""a" "b""#, r#"w/"a""#, r#""a"*"#, r#"*, "a""#] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
