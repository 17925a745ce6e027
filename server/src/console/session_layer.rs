//! Who looks at a page.

use auditstream_app::Flash;
use auditstream_engine::access::UsedBy;
use auditstream_engine::{Actor, access};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::cookies;
use crate::http::problem::Refusal;
use crate::state::{AppState, client_ip};

/// Who looks, as far as the cookies tell.
#[derive(Clone, Default)]
pub struct Visitor {
    /// The person signed in.
    pub actor: Option<Actor>,
    /// The session's token, to end it.
    pub session: Option<String>,
    /// What the last form left.
    pub flash: Option<Flash>,
    /// Where the request came from.
    pub client_ip: String,
}

/// Bytes of a form or of what a server function is asked.
const BODY_BYTES: usize = 2 << 20;

/// What open pages ask again and again.
const ASKED_BY_PAGES: [&str; 6] = [
    "/api/destination",
    "/api/destination/batches",
    "/api/destinations",
    "/api/destinations/cards",
    "/api/destinations/next-run",
    "/api/events/newer",
];

fn used_by(path: &str) -> UsedBy {
    if ASKED_BY_PAGES.contains(&path) {
        UsedBy::Page
    } else {
        UsedBy::Person
    }
}

/// Puts the [`Visitor`] beside every request of the console. The body is read first: who may do what counts when it is there, not
/// when it was announced.
pub async fn recognise(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let held = match state.bodies.read(body, BODY_BYTES).await {
        Ok(held) => held,
        Err(refusal) => return refusal.into_response(),
    };
    let mut request = Request::from_parts(parts, Body::from(held.bytes.clone()));
    let secure = state.secure();
    let session = cookies::read(request.headers(), cookies::SESSION, secure).map(str::to_owned);
    let flash = cookies::read_flash(request.headers(), secure);
    let client_ip = client_ip(request.extensions());
    let actor = match &session {
        Some(token) => match access::session(&state.engine, token, used_by(request.uri().path())).await {
            Ok(actor) => actor.map(|actor| actor.with_request(request.method().as_str(), &client_ip)),
            Err(error) => return Refusal::from(error).into_response(),
        },
        None => None,
    };
    request.extensions_mut().insert(Visitor {
        actor,
        session,
        flash,
        client_ip,
    });
    let answer = next.run(request).await;
    drop(held);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_open_pages_ask_is_a_server_function_each() {
        let known: Vec<&str> = leptos::server_fn::axum::server_fn_paths()
            .map(|(path, _)| path)
            .collect();
        for path in ASKED_BY_PAGES {
            assert!(known.contains(&path), "{path} is not among {known:?}");
        }
    }
}
