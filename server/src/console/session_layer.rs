//! The visitor of each request to the console, and the body of the request.

use auditstream_app::{Flash, POLL_HEADER};
use auditstream_engine::access::UsedBy;
use auditstream_engine::{Actor, access};
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::cookies;
use crate::http::body_limit::{BufferedBody, Sender};
use crate::http::client_address::{client_ip, client_network};
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

impl Visitor {
    async fn of(state: &AppState, parts: &Parts) -> Result<Self, Refusal> {
        let is_https = state.is_https();
        let session = cookies::read(&parts.headers, cookies::SESSION, is_https).map(str::to_owned);
        let client_ip = client_ip(&parts.extensions);
        let actor = match &session {
            Some(token) => access::session(&state.engine, token, used_by(&parts.headers)).await?,
            None => None,
        };
        Ok(Self {
            actor: actor.map(|actor| actor.with_request(parts.method.as_str(), &client_ip)),
            session,
            flash: cookies::read_flash(&parts.headers, is_https),
            client_ip,
        })
    }
}

/// Adds the [`Visitor`] to every request of the console, and counts large responses to users.
pub async fn identify(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let visitor = match Visitor::of(&state, &parts).await {
        Ok(visitor) => visitor,
        Err(refusal) => return refusal.into_response(),
    };
    let account = visitor.actor.as_ref().map(|actor| actor.account().clone());
    parts.extensions.insert(visitor);
    let response = next.run(Request::from_parts(parts, body)).await;
    match account {
        Some(account) => state.response_memory.count(&account, response).await,
        None => response,
    }
}

/// Reads the body of a form or of a server function. Every other body is dropped unread.
pub async fn read_body(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    if parts.method != Method::POST || parts.extensions.get::<MatchedPath>().is_none() {
        return next.run(Request::from_parts(parts, Body::empty())).await;
    }
    match read(&state, &mut parts, body).await {
        Ok(body) => {
            let response = next.run(Request::from_parts(parts, Body::from(body.bytes))).await;
            // Only now is its share of the memory budget free.
            drop(body.memory);
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Reads a body within the limits of its visitor, who is then identified again, as
/// [`BodyReader::read`](crate::http::body_limit::BodyReader::read) demands.
async fn read(state: &AppState, parts: &mut Parts, body: Body) -> Result<BufferedBody, Refusal> {
    let visitor = parts.extensions.get::<Visitor>();
    let account = visitor.and_then(|visitor| visitor.actor.as_ref()).map(Actor::account);
    let network = client_network(&parts.extensions);
    let sender = account.map_or(Sender::Stranger(&network), Sender::Account);
    let body = state.body_reader.read(body, sender, BODY_BYTES).await?;
    if account.is_some() {
        let visitor = Visitor::of(state, parts).await?;
        parts.extensions.insert(visitor);
    }
    Ok(body)
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
