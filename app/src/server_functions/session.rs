//! The signed-in user, and signing in again without leaving the page.

use auditstream_model::SignedIn;
use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use super::client::ConsoleClient;
use crate::error::ConsoleError;

/// Returns the signed-in user and the features that this server has enabled.
#[server(client = ConsoleClient, endpoint = "session", input = Json, output = Json)]
pub async fn session() -> Result<SignedIn, ConsoleError> {
    use auditstream_model::{Code, Problem};
    let (engine, actor) = super::caller()?;
    actor
        .signed_in(engine.streaming_enabled())
        .ok_or_else(|| crate::error::refuse(Problem::new(Code::Unauthenticated, "Sign in to use the console.")))
}

/// Signs in and sets the session cookie, as the sign-in page does. `account` is the one of the page
/// that is open.
#[server(client = ConsoleClient, endpoint = "sign-in", input = Json, output = Json)]
pub async fn sign_in(email: String, password: String, account: Option<String>) -> Result<(), ConsoleError> {
    let (engine, visit) = (super::engine()?, super::visit()?);
    let (previous, ip) = (visit.session.as_deref(), &visit.client_ip);
    let signed_in =
        auditstream_engine::access::sign_in_to(&engine, account.as_deref(), &email, &password, previous, ip);
    let cookie = signed_in.await?;
    super::set_session(&visit, &cookie)
}
