//! Who calls: an API token, sent as a Bearer token or as `x-api-key`.

use auditstream_engine::{Actor, access};
use auditstream_model::Code;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::http::problem::Refusal;
use crate::state::AppState;

const ACCOUNT_HEADER: &str = "harness-account";
const KEY_HEADER: &str = "x-api-key";

/// The holder of the token that came with a request.
#[derive(Debug)]
pub struct Caller(pub Actor);

impl FromRequestParts<AppState> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let Some(token) = token(parts) else {
            let sentence = "Send an API token: “Authorization: Bearer …” or “x-api-key: …”.";
            return Err(Refusal::new(Code::Unauthenticated, sentence));
        };
        let Some(actor) = access::token(&state.engine, token).await? else {
            return Err(Refusal::new(
                Code::Unauthenticated,
                "This API token is not known. It may have been revoked.",
            ));
        };
        if let Some(account) = parts.headers.get(ACCOUNT_HEADER)
            && account.as_bytes() != actor.account().as_str().as_bytes()
        {
            return Err(Refusal::new(
                Code::Forbidden,
                "The header Harness-Account names another account than the token's.",
            ));
        }
        let actor = actor.with_request(parts.method.as_str(), &crate::state::client_ip(&parts.extensions));
        Ok(Self(actor))
    }
}

fn token(parts: &Parts) -> Option<&str> {
    let bearer = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
    let key = || {
        parts
            .headers
            .get(KEY_HEADER)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    bearer.or_else(key).filter(|token| !token.is_empty())
}
