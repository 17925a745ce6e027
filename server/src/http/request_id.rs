//! The id of a request: sent by the client or created here, returned in the response, and part of
//! each line that is logged while the request is handled.

use std::panic::AssertUnwindSafe;

use auditstream_model::Code;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use tracing::Instrument as _;

use super::problem::Refusal;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_LENGTH: usize = 128;
/// How much of the path is logged, in bytes.
const MAX_PATH: usize = 200;

/// Gives the request its id. A handler that panics is a 500.
pub async fn add(request: Request, next: Next) -> Response {
    let id = sent(request.headers()).unwrap_or_else(random);
    let path = request.uri().path();
    // As severe as the lines that carry it, so that no filter drops it alone.
    let span = tracing::error_span!(
        "request",
        id,
        method = %request.method(),
        path = path.get(..MAX_PATH).unwrap_or(path),
    );
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind();
    let mut response = handled.instrument(span).await.unwrap_or_else(|_| {
        let detail = "Something went wrong on the server. See its log for details.";
        Refusal::new(Code::Internal, detail).into_response()
    });
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    response
}

/// The client's id, if it is short and harmless in a line of the log.
fn sent(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(X_REQUEST_ID)?.to_str().ok()?;
    let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte);
    let is_valid = (1..=MAX_LENGTH).contains(&id.len()) && id.bytes().all(is_harmless);
    is_valid.then(|| id.to_owned())
}

fn random() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_and_harmless_ids_are_taken_from_clients() {
        let sent = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).unwrap());
            super::sent(&headers)
        };
        let aws = "Root=1-67891233-abcdef012345678912345678";
        for id in ["42", aws, "a1b2/c3d4-000001", "7c9e6679-7425-40de-944b-e07fc1f90ae7"] {
            assert_eq!(sent(id).as_deref(), Some(id));
        }
        let long = "a".repeat(129);
        for id in ["", "a b", "a\"b", "{}", "id=1;x", "ä", "a\tb", long.as_str()] {
            assert_eq!(sent(id), None, "{id}");
        }
    }
}
