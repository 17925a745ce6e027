//! Who looks at a page.

use auditstream_app::Flash;
use auditstream_engine::{Actor, access};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::cookies;
use crate::api::problem::Refusal;
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
        Some(token) => match access::session(&state.engine, token).await {
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
