//! The permissions of server functions, checked before a request's body is read.
//!
//! The functions of the engine check them again, for every caller. A function that is missing here
//! is refused there, after its arguments have been parsed.

use auditstream_model::{Code, Permission};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::session_layer::Visitor;
use crate::http::problem::Refusal;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    Session,
    Permission(Permission),
}

/// The needs of a function, by its path below `/api/`.
fn needs(function: &str) -> Needs {
    match function {
        "sign-in" | "one-time-link" => Needs::Nothing,
        "users"
        | "user/invite"
        | "user/role"
        | "user/remove"
        | "user/withdraw-invitation"
        | "user/password-link"
        | "user/sign-out"
        | "api-tokens"
        | "api-token/create"
        | "api-token/revoke" => Needs::Permission(Permission::EditAccess),
        "connector/create" | "connector/replace" | "connector/test" => Needs::Permission(Permission::EditConnector),
        "connector/delete" => Needs::Permission(Permission::DeleteConnector),
        "destination/create"
        | "destination/replace"
        | "destination/status"
        | "destination/stream-now"
        | "destination/check-bucket"
        | "destination/rename-batch"
        | "destination/cursor" => Needs::Permission(Permission::EditDestination),
        "retention/set" | "retention/confirm" | "clock/confirm" => Needs::Permission(Permission::EditAccount),
        "destination/delete" => Needs::Permission(Permission::DeleteDestination),
        _ => Needs::Session,
    }
}

/// Refuses calls of server functions by visitors without the session or permission.
pub async fn check(request: Request, next: Next) -> Response {
    let Some(function) = request.uri().path().strip_prefix("/api/") else {
        return next.run(request).await;
    };
    let actor = request
        .extensions()
        .get::<Visitor>()
        .and_then(|visitor| visitor.actor.as_ref());
    let checked = match (needs(function), actor) {
        (Needs::Nothing, _) | (Needs::Session, Some(_)) => Ok(()),
        (Needs::Session | Needs::Permission(_), None) => Err(Refusal::new(
            Code::Unauthenticated,
            "Your session has ended. Sign in again.",
        )),
        (Needs::Permission(permission), Some(actor)) => actor.require(permission).map_err(Refusal::from),
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}
