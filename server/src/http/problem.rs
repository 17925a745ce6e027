//! Errors as HTTP responses.

use auditstream_engine::Error;
use auditstream_engine::access::THROTTLED_FOR;
use auditstream_model::{Code, FieldErrors, Problem};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// A problem as a response: `application/problem+json`.
#[derive(Debug)]
pub struct Refusal(pub Problem);

impl Refusal {
    /// A refusal with its message.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Problem::new(code, detail))
    }

    /// The refusal of invalid query parameters.
    #[must_use]
    pub fn parameters(errors: FieldErrors) -> Self {
        let detail = errors
            .0
            .iter()
            .map(|error| format!("{}: {}", error.field, error.message))
            .collect::<Vec<_>>()
            .join(" ");
        Self(Problem::new(Code::InvalidParameter, detail).with_errors(errors.0))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match (error.code(), &error) {
            (Code::Internal, _) => tracing::error!(%error, "a request failed"),
            (Code::Unavailable, Error::Database(_)) => tracing::warn!(%error, "a request could not be served"),
            _ => {}
        }
        Self(error.into_problem())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.0.code {
            Code::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Code::Unavailable => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
            }
            Code::Throttled => {
                headers.insert(RETRY_AFTER, HeaderValue::from(THROTTLED_FOR / 1000));
            }
            _ => {}
        }
        response
    }
}
