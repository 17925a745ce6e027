//! Who is signed in, and signing in again without leaving the page.

use auditstream_model::SignedIn;
use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use crate::error::ConsoleError;

/// Who is signed in, and what this server has enabled.
#[server(endpoint = "session", input = Json, output = Json)]
pub async fn session() -> Result<SignedIn, ConsoleError> {
    use auditstream_model::{Code, Problem};
    let (engine, actor) = super::who_asks()?;
    actor
        .signed_in(&engine)
        .ok_or_else(|| crate::error::refuse(Problem::new(Code::Unauthenticated, "Sign in to use the console.")))
}

/// Signs in and sets the session's cookie, as the sign-in page does.
#[server(endpoint = "sign-in", input = Json, output = Json)]
pub async fn sign_in(email: String, password: String) -> Result<(), ConsoleError> {
    use auditstream_model::{Code, Problem};
    let missing = || {
        crate::error::refuse(Problem::new(
            Code::Internal,
            "The server has no sessions for this page.",
        ))
    };
    let visit = use_context::<crate::Visit>().ok_or_else(missing)?;
    let engine = use_context::<auditstream_engine::Engine>().ok_or_else(missing)?;
    let response = use_context::<leptos_axum::ResponseOptions>().ok_or_else(missing)?;
    let token =
        auditstream_engine::access::sign_in(&engine, &email, &password, visit.session.as_deref(), &visit.client_ip)
            .await?;
    response.append_header(http::header::SET_COOKIE, (visit.session_cookie)(&token));
    Ok(())
}
