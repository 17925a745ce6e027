//! JSON request bodies. An error names the field and never repeats its value.

use auditstream_engine::Error;
use auditstream_model::{Code, FieldErrors};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use super::problem::Refusal;

/// The content type without its parameters, in lower case; empty if there is none.
pub fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Checks that a request declares its body as JSON.
///
/// # Errors
/// [`Code::UnsupportedMedia`] if it does not.
pub fn require(headers: &HeaderMap) -> Result<(), Refusal> {
    match media_type(headers).as_str() {
        "application/json" => Ok(()),
        other => {
            let message = format!("Send Content-Type: application/json, not “{other}”.");
            Err(Refusal::new(Code::UnsupportedMedia, message))
        }
    }
}

/// Parses a body.
///
/// # Errors
/// [`Code::MalformedBody`] if it is not one JSON value; [`Code::InvalidFields`] if a field is
/// missing or has the wrong type.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let cause = error.inner();
        if cause.is_data() {
            let field = if path == "." { "body".to_owned() } else { path };
            let errors = FieldErrors::one(field, without_value(cause));
            Error::from(errors).into()
        } else {
            Refusal::new(Code::MalformedBody, format!("The body is not JSON: {cause}."))
        }
    })?;
    reader
        .end()
        .map_err(|error| Refusal::new(Code::MalformedBody, format!("The body is not one JSON value: {error}.")))?;
    Ok(value)
}

/// The problem without the offending value, which may be a secret in the wrong field.
fn without_value(cause: &serde_json::Error) -> String {
    let text = cause.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(message, _)| message);
    if text.starts_with("missing field `") || text.starts_with("duplicate field `") {
        return format!("{text}.");
    }
    // The value comes first and may itself contain ", expected "; the expected type comes last.
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("Expected {expected}."),
        None => "Unexpected value.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use auditstream_model::{ConnectorInput, WebhookInput};

    use super::*;

    #[test]
    fn an_error_does_not_repeat_the_value() {
        let shown = |refusal: Refusal| serde_json::to_string(&refusal.0).unwrap();
        for body in [
            r#""SECRET""#,
            r#"{"url":"https://x","lag_limit_seconds":"SECRET, expected "}"#,
            r#"{"url":["SECRET"]}"#,
        ] {
            let shown = shown(parse::<WebhookInput>(body.as_bytes()).unwrap_err());
            assert!(!shown.contains("SECRET") && shown.contains("xpected"), "{shown}");
        }
        let shown = shown(parse::<ConnectorInput>(br#"{"identifier":"a","name":"b","spec":"SECRET"}"#).unwrap_err());
        assert!(
            !shown.contains("SECRET") && shown.contains(r#""field":"spec""#),
            "{shown}"
        );
    }
}
