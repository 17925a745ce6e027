//! What a request says, or a problem that says what and where it is wrong.

use auditstream_model::{Code, FieldErrors, ListQuery};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Refusal;
use crate::api::caller::Caller;
use crate::state::AppState;

/// Bytes of a JSON body other than an ingest request's.
const JSON_BYTES: usize = 1 << 20;

/// A JSON body of at most 1 MiB.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Refusal> {
        let kind = media_type(request.headers());
        if kind != "application/json" {
            let sentence = format!("Send Content-Type: application/json, not “{kind}”.");
            return Err(Refusal::new(Code::UnsupportedMedia, sentence));
        }
        let (mut parts, body) = request.into_parts();
        let body = state.bodies.read(body, JSON_BYTES).await?;
        // A token that was revoked while the body came may no longer do anything.
        Caller::from_request_parts(&mut parts, state).await?;
        parse(&body.bytes).map(Self)
    }
}

/// The content type without its parameters, in lower case; empty when there is none.
pub fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A body beyond its limit.
pub fn too_large(limit: usize) -> Refusal {
    Refusal::new(
        Code::TooLarge,
        format!("A request has at most {} MiB. Send less at once.", limit >> 20),
    )
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let cause = error.inner();
        if cause.is_data() {
            let field = if path == "." { "body".to_owned() } else { path };
            let errors = FieldErrors::one(field, without_value(cause));
            Refusal::from(auditstream_engine::Error::from(errors))
        } else {
            Refusal::new(Code::MalformedBody, format!("The body is not JSON: {cause}."))
        }
    })?;
    reader
        .end()
        .map_err(|error| Refusal::new(Code::MalformedBody, format!("The body is not one JSON value: {error}.")))?;
    Ok(value)
}

/// What is missing or expected, without what was found there: a secret in the wrong place must not come back.
fn without_value(cause: &serde_json::Error) -> String {
    let text = cause.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(said, _)| said);
    if text.starts_with("missing field `") || text.starts_with("duplicate field `") {
        return format!("{text}.");
    }
    // The value comes first and may say the same; what the type expects comes last, in words of ours.
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("Expected {expected}."),
        None => "It is not of the expected form.".to_owned(),
    }
}

/// The parameters of the address.
#[derive(Debug)]
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for Parameters<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Refusal> {
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            let sentence = "A parameter can not hold the character U+0000.";
            return Err(Refusal::new(Code::InvalidParameter, sentence));
        }
        // What is sent empty, as forms do, is not sent.
        let query = parts.uri.query().unwrap_or_default().split('&');
        let sent = query.filter(|pair| !pair.split_once('=').is_some_and(|(_, value)| value.is_empty()));
        let query = sent.collect::<Vec<_>>().join("&");
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|error| {
            let field = error.path().to_string();
            Refusal::parameters(FieldErrors::one(field, format!("{}.", error.inner())))
        })
    }
}

/// Which page of a list is wanted.
#[derive(Debug)]
pub struct Page(pub ListQuery);

impl FromRequestParts<AppState> for Page {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let Parameters(query) = Parameters::<ListQuery>::from_request_parts(parts, state).await?;
        query.validated().map(Self).map_err(Refusal::parameters)
    }
}

/// The identifier in the path.
#[derive(Debug)]
pub struct Id(pub String);

impl FromRequestParts<AppState> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(identifier)) if !identifier.contains('\0') => Ok(Self(identifier)),
            _ => Err(Refusal::new(Code::NotFound, "There is nothing at this address.")),
        }
    }
}

/// A batch of a destination, in the path.
#[derive(Debug)]
pub struct BatchOf {
    /// The destination's identifier.
    pub destination: String,
    /// The batch's number.
    pub number: i64,
}

impl FromRequestParts<AppState> for BatchOf {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        match Path::<(String, i64)>::from_request_parts(parts, state).await {
            Ok(Path((destination, number))) if !destination.contains('\0') => Ok(Self { destination, number }),
            _ => Err(Refusal::new(Code::NotFound, "There is nothing at this address.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use auditstream_model::ConnectorInput;
    use auditstream_model::WebhookInput;

    use super::*;

    #[test]
    fn what_is_wrong_is_told_without_what_was_sent() {
        let told = |refusal: Refusal| serde_json::to_string(&refusal.0).unwrap();
        for body in [
            r#""SECRET""#,
            r#"{"url":"https://x","lag_limit_seconds":"SECRET, expected "}"#,
            r#"{"url":["SECRET"]}"#,
        ] {
            let told = told(parse::<WebhookInput>(body.as_bytes()).unwrap_err());
            assert!(!told.contains("SECRET") && told.contains("xpected"), "{told}");
        }
        let told = told(parse::<ConnectorInput>(br#"{"identifier":"a","name":"b","spec":"SECRET"}"#).unwrap_err());
        assert!(!told.contains("SECRET") && told.contains(r#""field":"spec""#), "{told}");
    }
}
