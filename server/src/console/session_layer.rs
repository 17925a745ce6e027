//! The visitor of each request to the console.

use auditstream_app::{Flash, POLL_HEADER};
use auditstream_engine::access::UsedBy;
use auditstream_engine::{Actor, access};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::cookies;
use crate::http::client_address::client_ip;
use crate::http::problem::Refusal;
use crate::state::AppState;

/// The visitor as identified by the cookies of a request.
#[derive(Clone, Default)]
pub struct Visitor {
    /// The signed-in user; `None` without a valid session.
    pub actor: Option<Actor>,
    /// The token in the session cookie, valid or not.
    pub session: Option<String>,
    /// The message of the last form.
    pub flash: Option<Flash>,
    /// The client's address.
    pub client_ip: String,
}

const BODY_BYTES: usize = 2 << 20;

/// Polls of open pages do not extend the session; that is the only effect of their header.
fn used_by(headers: &HeaderMap) -> UsedBy {
    if headers.contains_key(POLL_HEADER) {
        UsedBy::Page
    } else {
        UsedBy::Person
    }
}

/// Adds the [`Visitor`] to every request of the console. Reads the body first, as
/// [`BodyReader::read`](crate::http::body_limit::BodyReader::read) demands.
pub async fn identify(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = match state.body_reader.read(body, BODY_BYTES).await {
        Ok(body) => body,
        Err(refusal) => return refusal.into_response(),
    };
    let mut request = Request::from_parts(parts, Body::from(body.bytes.clone()));
    let is_https = state.is_https();
    let session = cookies::read(request.headers(), cookies::SESSION, is_https).map(str::to_owned);
    let flash = cookies::read_flash(request.headers(), is_https);
    let client_ip = client_ip(request.extensions());
    let actor = match &session {
        Some(token) => {
            let used_by = used_by(request.headers());
            match access::session(&state.engine, token, used_by).await {
                Ok(actor) => actor.map(|actor| actor.with_request(request.method().as_str(), &client_ip)),
                Err(error) => return Refusal::from(error).into_response(),
            }
        }
        None => None,
    };
    request.extensions_mut().insert(Visitor {
        actor,
        session,
        flash,
        client_ip,
    });
    let response = next.run(request).await;
    // Only now is its share of the memory budget free.
    drop(body);
    response
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_requests_of_polls_do_not_extend_the_session() {
        let mut headers = HeaderMap::new();
        assert_eq!(used_by(&headers), UsedBy::Person);
        headers.insert(POLL_HEADER, HeaderValue::from_static("1"));
        assert_eq!(used_by(&headers), UsedBy::Page);
    }
}
