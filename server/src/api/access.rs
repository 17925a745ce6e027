//! `/v1/users` and `/v1/api-tokens`: access to the console and the API.

use auditstream_app::paths;
use auditstream_engine::access::{self, Issued};
use auditstream_model::{
    ApiToken, ApiTokenInput, Code, CreatedApiToken, Invitation, IssuedLink, Listing, RoleInput, User,
};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{AuthenticatedBody, Caller};
use crate::http::extract::{Id, Page};
use crate::http::pagination::{PageOnly, Rows};
use crate::http::problem::Refusal;
use crate::openapi::names::tag;
use crate::state::AppState;

/// The routes of users and API tokens.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list_users, invite))
        .routes(routes!(set_role, remove_user))
        .routes(routes!(password_link))
        .routes(routes!(sign_out))
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(revoke_token))
}

/// List users
///
/// The users of the account and the pending invitations, ordered by e-mail address.
#[utoipa::path(
    get,
    path = "/users",
    operation_id = "listUsers",
    tag = tag::ACCESS,
    params(PageOnly),
    responses((status = OK, description = "A page of users.", body = Vec<User>))
)]
async fn list_users(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Page(query): Page,
) -> Result<Rows<User>, Refusal> {
    let all = access::users(&state.engine, &actor).await?;
    Ok(Rows(Listing::paginate(all, &query)))
}

/// Invite a user
///
/// Returns a link that works once and expires after three days. Anyone who has it can set the
/// password, so send it to the invited user only. It replaces an earlier link for the same user.
#[utoipa::path(
    post,
    path = "/users",
    operation_id = "inviteUser",
    tag = tag::ACCESS,
    request_body(content = Invitation, example = json!({"email": "ann@example.com", "role": "account_viewer"})),
    responses((status = CREATED, description = "The link. It is shown only once.", body = IssuedLink), (status = CONFLICT, description = "`duplicate_field`: the user already exists."))
)]
async fn invite(
    State(state): State<AppState>,
    Caller(actor): Caller,
    AuthenticatedBody(input): AuthenticatedBody<Invitation>,
) -> Result<(StatusCode, Json<IssuedLink>), Refusal> {
    let issued = access::invite(&state.engine, &actor, &input.email, input.role).await?;
    Ok((StatusCode::CREATED, Json(link(&state, issued))))
}

/// Change a user's role
///
/// Takes effect with the user's next request.
#[utoipa::path(
    put,
    path = "/users/{email}",
    operation_id = "setUserRole",
    tag = tag::ACCESS,
    params(("email" = String, Path, pattern = "^[!-?A-~]+@[!-?A-~]{3,}$", max_length = 254, description = "The user's e-mail address.")),
    request_body(content = RoleInput, example = json!({"role": "account_admin"})),
    responses((status = OK, description = "The updated user.", body = User), (status = CONFLICT, description = "`conflict`: the last admin cannot be demoted."))
)]
async fn set_role(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(email): Id,
    AuthenticatedBody(input): AuthenticatedBody<RoleInput>,
) -> Result<Json<User>, Refusal> {
    Ok(Json(access::set_role(&state.engine, &actor, &email, input.role).await?))
}

/// Remove a user or withdraw an invitation
///
/// Ends the user's sessions.
#[utoipa::path(
    delete,
    path = "/users/{email}",
    operation_id = "removeUser",
    tag = tag::ACCESS,
    params(("email" = String, Path, pattern = "^[!-?A-~]+@[!-?A-~]{3,}$", max_length = 254, description = "The user's e-mail address.")),
    responses((status = NO_CONTENT, description = "The user or invitation has been removed."), (status = CONFLICT, description = "`conflict`: the last admin cannot be removed."), (status = UNPROCESSABLE_ENTITY, description = "`invalid_fields`: not an e-mail address."))
)]
async fn remove_user(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(email): Id,
) -> Result<StatusCode, Refusal> {
    match access::remove_user(&state.engine, &actor, &email).await {
        Err(error) if error.code() == Code::NotFound => {
            access::withdraw_invitation(&state.engine, &actor, &email).await?;
        }
        removed => removed?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Create a password reset link
///
/// It works once and expires after a day. The current password stays valid until the link is used.
#[utoipa::path(
    post,
    path = "/users/{email}/password-link",
    operation_id = "createPasswordLink",
    tag = tag::ACCESS,
    params(("email" = String, Path, pattern = "^[!-?A-~]+@[!-?A-~]{3,}$", max_length = 254, description = "The user's e-mail address.")),
    responses((status = CREATED, description = "The link. It is shown only once.", body = IssuedLink), (status = UNPROCESSABLE_ENTITY, description = "`invalid_fields`: not an e-mail address."))
)]
async fn password_link(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(email): Id,
) -> Result<(StatusCode, Json<IssuedLink>), Refusal> {
    let issued = access::password_link(&state.engine, &actor, &email).await?;
    Ok((StatusCode::CREATED, Json(link(&state, issued))))
}

/// Sign a user out everywhere
#[utoipa::path(
    post,
    path = "/users/{email}/sign-out",
    operation_id = "signOutUser",
    tag = tag::ACCESS,
    params(("email" = String, Path, pattern = "^[!-?A-~]+@[!-?A-~]{3,}$", max_length = 254, description = "The user's e-mail address.")),
    responses((status = NO_CONTENT, description = "All sessions of the user have ended."), (status = UNPROCESSABLE_ENTITY, description = "`invalid_fields`: not an e-mail address."))
)]
async fn sign_out(State(state): State<AppState>, Caller(actor): Caller, Id(email): Id) -> Result<StatusCode, Refusal> {
    access::sign_out_everywhere(&state.engine, &actor, &email).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List API tokens
///
/// Newest first, without their secrets, which are not stored.
#[utoipa::path(
    get,
    path = "/api-tokens",
    operation_id = "listApiTokens",
    tag = tag::ACCESS,
    params(PageOnly),
    responses((status = OK, description = "A page of tokens.", body = Vec<ApiToken>))
)]
async fn list_tokens(
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
    tag = tag::ACCESS,
    request_body(content = ApiTokenInput, example = json!({"name": "SIEM", "scopes": ["read"], "expires_in_days": 90})),
    responses((status = CREATED, description = "The token. It is shown only once.", body = CreatedApiToken), (status = CONFLICT, description = "`duplicate_field`: the name is in use."))
)]
async fn create_token(
    State(state): State<AppState>,
    Caller(actor): Caller,
    AuthenticatedBody(input): AuthenticatedBody<ApiTokenInput>,
) -> Result<(StatusCode, Json<CreatedApiToken>), Refusal> {
    let created = access::create_token(&state.engine, &actor, &input).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// Revoke an API token
///
/// It is refused from now on.
#[utoipa::path(
    delete,
    path = "/api-tokens/{id}",
    operation_id = "revokeApiToken",
    tag = tag::ACCESS,
    params(("id" = String, Path, pattern = "^[0-9a-f]{16}$", description = "The token's id, not its secret.")),
    responses((status = NO_CONTENT, description = "The token has been revoked."))
)]
async fn revoke_token(State(state): State<AppState>, Caller(actor): Caller, Id(id): Id) -> Result<StatusCode, Refusal> {
    access::revoke_token(&state.engine, &actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn link(state: &AppState, issued: Issued) -> IssuedLink {
    IssuedLink {
        link: format!(
            "{}{}",
            state.public_url,
            paths::one_time_link(paths::INVITATION, &issued.token)
        ),
        email: issued.email,
        expires: issued.expires,
    }
}
