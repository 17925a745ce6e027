//! The caller of an API request, identified by an API token.

use auditstream_engine::{Actor, access};
use auditstream_model::{
    ApiTokenInput, BucketCheckInput, ClockConfirmation, Code, ConnectorInput, DestinationInput, Invitation, Permission,
    RemovalConfirmation, RetentionInput, RoleInput, WebhookInput,
};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::http::body_encoding::Encoding;
use crate::http::body_limit::{BufferedBody, Sender};
use crate::http::client_address::client_ip;
use crate::http::json;
use crate::http::problem::Refusal;
use crate::state::AppState;

const ACCOUNT_HEADER: &str = "harness-account";
const KEY_HEADER: &str = "x-api-key";
const JSON_BYTES: usize = 1 << 20;

/// The owner of the token that came with a request, as `Authorization: Bearer …` or `x-api-key: …`.
#[derive(Debug)]
pub struct Caller(pub Actor);

/// The owner of the token, for later extractors of the same request.
#[derive(Clone)]
struct Identified(Actor);

impl FromRequestParts<AppState> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        if let Some(Identified(actor)) = parts.extensions.get() {
            return Ok(Self(actor.clone()));
        }
        let Some(token) = token(parts) else {
            let message = "Send an API token: “Authorization: Bearer …” or “x-api-key: …”.";
            return Err(Refusal::new(Code::Unauthenticated, message));
        };
        let Some(actor) = access::token(&state.engine, token).await? else {
            let message = "Unknown API token. It may have expired or been revoked.";
            return Err(Refusal::new(Code::Unauthenticated, message));
        };
        if let Some(account) = parts.headers.get(ACCOUNT_HEADER)
            && account.as_bytes() != actor.account().as_str().as_bytes()
        {
            let message = "The header Harness-Account names a different account than the token's.";
            return Err(Refusal::new(Code::Forbidden, message));
        }
        let actor = actor.with_request(parts.method.as_str(), &client_ip(&parts.extensions));
        parts.extensions.insert(Identified(actor.clone()));
        Ok(Self(actor))
    }
}

fn token(parts: &Parts) -> Option<&str> {
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = header(AUTHORIZATION.as_str()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let key = || header(KEY_HEADER).map(str::trim);
    bearer.or_else(key).filter(|token| !token.is_empty())
}

/// The JSON body of a change, with the permission that the change needs.
pub trait Input: DeserializeOwned {
    /// The permission; the engine's function requires it again.
    const PERMISSION: Permission;
}

macro_rules! inputs {
    ($($input:ty: $permission:ident,)*) => {
        $(impl Input for $input { const PERMISSION: Permission = Permission::$permission; })*
    };
}

inputs! {
    ApiTokenInput: EditAccess,
    BucketCheckInput: EditDestination,
    ConnectorInput: EditConnector,
    DestinationInput: EditDestination,
    ClockConfirmation: EditAccount,
    Invitation: EditAccess,
    RemovalConfirmation: EditAccount,
    RetentionInput: EditAccount,
    RoleInput: EditAccess,
    WebhookInput: EditDestination,
}

/// A JSON body of at most 1 MiB, read by [`read_body`]. Put [`Caller`] before it. The body of a
/// caller without the permission is not read at all.
#[derive(Debug)]
pub struct AuthenticatedBody<T>(pub T);

impl<T: Input> FromRequest<AppState> for AuthenticatedBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let Caller(actor) = Caller::from_request_parts(&mut parts, state).await?;
        actor.require(T::PERMISSION)?;
        json::require(&parts.headers)?;
        let encoding = Encoding::of(&parts.headers)?;
        let request = Request::from_parts(parts, body);
        let (body, _) = read_body(request, state, Sender::Account(actor.account()), JSON_BYTES, encoding).await?;
        json::parse(&body.bytes).map(Self)
    }
}

/// Reads the body of a request and authenticates the caller again after its last byte: a token that
/// was revoked while the body was arriving no longer has any effect.
pub(super) async fn read_body(
    request: Request,
    state: &AppState,
    sender: Sender<'_>,
    limit: usize,
    encoding: Encoding,
) -> Result<(BufferedBody, Actor), Refusal> {
    let (mut parts, body) = request.into_parts();
    let body = state.body_reader.read(body, sender, limit).await?;
    let body = state.body_reader.decode(body, encoding, limit).await?;
    parts.extensions.remove::<Identified>();
    let Caller(actor) = Caller::from_request_parts(&mut parts, state).await?;
    Ok((body, actor))
}
