//! `/v1/users` and `/v1/api-tokens`: who may use the console and the API.

use auditstream_engine::access::{self, Issued};
use auditstream_model::{ApiToken, ApiTokenInput, Code, CreatedApiToken, Invitation, IssuedLink, RoleInput, User};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};

use super::caller::Caller;
use super::extract::{Id, JsonBody};
use super::problem::Refusal;
use crate::state::AppState;

/// The routes of these nouns.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/users", get(users).post(invite))
        .route("/users/{email}", put(set_role).delete(remove))
        .route("/users/{email}/password-link", post(password_link))
        .route("/users/{email}/sign-out", post(sign_out))
        .route("/api-tokens", get(tokens).post(create_token))
        .route("/api-tokens/{id}", delete(revoke_token))
}

async fn users(State(state): State<AppState>, Caller(actor): Caller) -> Result<Json<Vec<User>>, Refusal> {
    Ok(Json(access::users(&state.engine, &actor).await?))
}

async fn invite(
    State(state): State<AppState>,
    Caller(actor): Caller,
    JsonBody(input): JsonBody<Invitation>,
) -> Result<(StatusCode, Json<IssuedLink>), Refusal> {
    let issued = access::invite(&state.engine, &actor, &input.email, input.role).await?;
    Ok((StatusCode::CREATED, Json(shown(&state, issued))))
}

async fn set_role(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(email): Id,
    JsonBody(input): JsonBody<RoleInput>,
) -> Result<Json<User>, Refusal> {
    Ok(Json(access::set_role(&state.engine, &actor, &email, input.role).await?))
}

/// Removes a person, or the invitation of one who has not used it.
async fn remove(State(state): State<AppState>, Caller(actor): Caller, Id(email): Id) -> Result<StatusCode, Refusal> {
    match access::remove_user(&state.engine, &actor, &email).await {
        Err(error) if error.problem().code == Code::NotFound => {
            access::withdraw_invitation(&state.engine, &actor, &email).await?;
        }
        removed => removed?,
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn password_link(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(email): Id,
) -> Result<(StatusCode, Json<IssuedLink>), Refusal> {
    let issued = access::password_link(&state.engine, &actor, &email).await?;
    Ok((StatusCode::CREATED, Json(shown(&state, issued))))
}

async fn sign_out(State(state): State<AppState>, Caller(actor): Caller, Id(email): Id) -> Result<StatusCode, Refusal> {
    access::sign_out_everywhere(&state.engine, &actor, &email).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn tokens(State(state): State<AppState>, Caller(actor): Caller) -> Result<Json<Vec<ApiToken>>, Refusal> {
    Ok(Json(access::tokens(&state.engine, &actor).await?))
}

async fn create_token(
    State(state): State<AppState>,
    Caller(actor): Caller,
    JsonBody(input): JsonBody<ApiTokenInput>,
) -> Result<(StatusCode, Json<CreatedApiToken>), Refusal> {
    let made = access::create_token(&state.engine, &actor, &input).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn revoke_token(State(state): State<AppState>, Caller(actor): Caller, Id(id): Id) -> Result<StatusCode, Refusal> {
    access::revoke_token(&state.engine, &actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(state: &AppState, issued: Issued) -> IssuedLink {
    IssuedLink {
        link: format!("{}/invitation?token={}", state.public_url, issued.token),
        email: issued.email,
        expires: issued.expires,
    }
}
