//! `/v1/users` and `/v1/api-tokens`: who may use the console and the API.

use auditstream_engine::access::{self, Issued};
use auditstream_model::{
    ApiToken, ApiTokenInput, Code, CreatedApiToken, Invitation, IssuedLink, Listing, RoleInput, User,
};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use crate::http::extract::{Id, JsonBody, Page};
use crate::http::pagination::{PagesAlone, Rows};
use crate::http::problem::Refusal;
use crate::state::AppState;

/// The routes of these nouns.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(users, invite))
        .routes(routes!(set_role, remove))
        .routes(routes!(password_link))
        .routes(routes!(sign_out))
        .routes(routes!(tokens, create_token))
        .routes(routes!(revoke_token))
}

/// List users
///
/// A page of the people of the account and those invited, by e-mail address.
#[utoipa::path(
    get,
    path = "/users",
    operation_id = "listUsers",
    tag = "Access",
    params(PagesAlone),
    responses((status = OK, description = "A page of people.", body = Vec<User>))
)]
async fn users(State(state): State<AppState>, Caller(actor): Caller, Page(query): Page) -> Result<Rows<User>, Refusal> {
    let all = access::users(&state.engine, &actor).await?;
    Ok(Rows(Listing::paginate(all, &query)))
}

/// Invite a user
///
/// Answers a link that works once, for three days. Whoever has it sets the password, so send it to that person alone. An
/// earlier link for the same person ends.
#[utoipa::path(
    post,
    path = "/users",
    operation_id = "inviteUser",
    tag = "Access",
    request_body(content = Invitation, example = json!({"email": "ann@example.com", "role": "account_viewer"})),
    responses((status = CREATED, description = "The link, the only time that it is shown.", body = IssuedLink), (status = CONFLICT, description = "`duplicate_field`: the person is there already."))
)]
async fn invite(
    State(state): State<AppState>,
    Caller(actor): Caller,
    JsonBody(input): JsonBody<Invitation>,
) -> Result<(StatusCode, Json<IssuedLink>), Refusal> {
    let issued = access::invite(&state.engine, &actor, &input.email, input.role).await?;
    Ok((StatusCode::CREATED, Json(shown(&state, issued))))
}

/// Change a user's role
///
/// Counts from the person's next request on.
#[utoipa::path(
    put,
    path = "/users/{email}",
    operation_id = "setUserRole",
    tag = "Access",
    params(("email" = String, Path, pattern = "^[!-?A-~]+@[!-?A-~]{3,}$", max_length = 254, description = "The person's e-mail address.")),
    request_body(content = RoleInput, example = json!({"role": "account_admin"})),
    responses((status = OK, description = "The person as they are now.", body = User), (status = CONFLICT, description = "`conflict`: the last admin stays one."))
)]
async fn set_role(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(email): Id,
    JsonBody(input): JsonBody<RoleInput>,
) -> Result<Json<User>, Refusal> {
    Ok(Json(access::set_role(&state.engine, &actor, &email, input.role).await?))
}

/// Remove a user, or withdraw an invitation
///
/// The person's sessions end.
#[utoipa::path(
    delete,
    path = "/users/{email}",
    operation_id = "removeUser",
    tag = "Access",
    params(("email" = String, Path, pattern = "^[!-?A-~]+@[!-?A-~]{3,}$", max_length = 254, description = "The person's e-mail address.")),
    responses((status = NO_CONTENT, description = "Removed."), (status = CONFLICT, description = "`conflict`: the last admin stays."), (status = UNPROCESSABLE_ENTITY, description = "`invalid_fields`: not an e-mail address."))
)]
async fn remove(State(state): State<AppState>, Caller(actor): Caller, Id(email): Id) -> Result<StatusCode, Refusal> {
    match access::remove_user(&state.engine, &actor, &email).await {
        Err(error) if error.problem().code == Code::NotFound => {
            access::withdraw_invitation(&state.engine, &actor, &email).await?;
        }
        removed => removed?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Make a link for a new password
///
/// It works once, for a day. The password stays what it is until the link is used.
#[utoipa::path(
    post,
    path = "/users/{email}/password-link",
    operation_id = "createPasswordLink",
    tag = "Access",
    params(("email" = String, Path, pattern = "^[!-?A-~]+@[!-?A-~]{3,}$", max_length = 254, description = "The person's e-mail address.")),
    responses((status = CREATED, description = "The link, the only time that it is shown.", body = IssuedLink), (status = UNPROCESSABLE_ENTITY, description = "`invalid_fields`: not an e-mail address."))
)]
async fn password_link(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(email): Id,
) -> Result<(StatusCode, Json<IssuedLink>), Refusal> {
    let issued = access::password_link(&state.engine, &actor, &email).await?;
    Ok((StatusCode::CREATED, Json(shown(&state, issued))))
}

/// End all sessions of a user
#[utoipa::path(
    post,
    path = "/users/{email}/sign-out",
    operation_id = "signOutUser",
    tag = "Access",
    params(("email" = String, Path, pattern = "^[!-?A-~]+@[!-?A-~]{3,}$", max_length = 254, description = "The person's e-mail address.")),
    responses((status = NO_CONTENT, description = "Signed out everywhere."), (status = UNPROCESSABLE_ENTITY, description = "`invalid_fields`: not an e-mail address."))
)]
async fn sign_out(State(state): State<AppState>, Caller(actor): Caller, Id(email): Id) -> Result<StatusCode, Refusal> {
    access::sign_out_everywhere(&state.engine, &actor, &email).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List API tokens
///
/// A page of them, the newest first, without their secrets, which nobody has.
#[utoipa::path(
    get,
    path = "/api-tokens",
    operation_id = "listApiTokens",
    tag = "Access",
    params(PagesAlone),
    responses((status = OK, description = "A page of tokens.", body = Vec<ApiToken>))
)]
async fn tokens(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Page(query): Page,
) -> Result<Rows<ApiToken>, Refusal> {
    let all = access::tokens(&state.engine, &actor).await?;
    Ok(Rows(Listing::paginate(all, &query)))
}

/// Create an API token
#[utoipa::path(
    post,
    path = "/api-tokens",
    operation_id = "createApiToken",
    tag = "Access",
    request_body(content = ApiTokenInput, example = json!({"name": "SIEM", "scopes": ["read"], "expires_in_days": 90})),
    responses((status = CREATED, description = "The token, the only time that it is shown.", body = CreatedApiToken), (status = CONFLICT, description = "`duplicate_field`: the name is in use."))
)]
async fn create_token(
    State(state): State<AppState>,
    Caller(actor): Caller,
    JsonBody(input): JsonBody<ApiTokenInput>,
) -> Result<(StatusCode, Json<CreatedApiToken>), Refusal> {
    let made = access::create_token(&state.engine, &actor, &input).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Revoke an API token
///
/// It is refused from then on.
#[utoipa::path(
    delete,
    path = "/api-tokens/{id}",
    operation_id = "revokeApiToken",
    tag = "Access",
    params(("id" = String, Path, pattern = "^[0-9a-f]{16}$", description = "The token's id; not its secret.")),
    responses((status = NO_CONTENT, description = "Revoked."))
)]
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
