//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110, sections 8.8.3 and 13.1).

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

/// The precondition in `If-Match`.
#[derive(Debug)]
pub struct IfMatch(pub Precondition);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let tags = match tags(&parts.headers, &IF_MATCH)? {
            Tags::Absent => return Ok(Self(Precondition::None)),
            Tags::Any => return Ok(Self(Precondition::Exists)),
            Tags::These(tags) => tags,
        };
        // Weak tags never match: `If-Match` requires strong comparison (section 13.1.1).
        let strong = tags.into_iter().filter(|tag| !tag.weak).map(|tag| tag.text);
        Ok(Self(Precondition::OneOf(strong.collect())))
    }
}

/// The versions in `If-None-Match`, which the client already has.
#[derive(Debug)]
pub struct IfNoneMatch(Tags);

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        tags(&parts.headers, &IF_NONE_MATCH).map(Self)
    }
}

impl IfNoneMatch {
    /// Whether the client has this version.
    #[must_use]
    pub fn matches(&self, version: &str) -> bool {
        match &self.0 {
            Tags::Absent => false,
            Tags::Any => true,
            Tags::These(tags) => tags.iter().any(|tag| tag.text == version),
        }
    }

    /// Responds with a resource and its `ETag`, or with 304 if the client has this version.
    pub fn respond<T: Serialize>(&self, resource: T) -> Result<Response, Refusal> {
        let version = Version::of(&resource)?;
        if self.matches(version.as_str()) {
            return Ok((StatusCode::NOT_MODIFIED, headers(&version)).into_response());
        }
        Ok((headers(&version), Json(resource)).into_response())
    }
}

/// A response that carries the `ETag` of its resource.
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

/// The text of a tag for content with this digest, without quotes.
#[must_use]
pub fn of_digest(digest: &[u8]) -> String {
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
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
            let message = format!("Send {name} with * or with the ETag of a response, including its quotes.");
            Refusal::new(Code::InvalidParameter, message)
        })?);
    }
    Ok(Tags::These(found))
}

/// Parses `"a", W/"b"`. A tag may contain a comma, but not a quote.
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
        let (text, after) = quoted.strip_prefix('"')?.split_once('"')?;
        rest = after.trim_start_matches([' ', '\t']);
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
    fn lists_of_tags_are_parsed_as_the_standard_defines_them() {
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
        for invalid in ["", ",", "a", r#""a"#, r#""a" "b""#, r#"w/"a""#, r#""a"*"#, r#"*, "a""#] {
            assert_eq!(read(invalid), None, "{invalid}");
        }
    }
}
