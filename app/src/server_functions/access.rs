//! Users, API tokens and the user's own account. Responses with a secret are only requested by
//! actions, so that the server never renders one into a page.

use auditstream_model::{ApiToken, ApiTokenInput, CreatedApiToken, Invitation, IssuedLink, OneTimeLink, Role, User};
use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use super::client::ConsoleClient;
use crate::error::ConsoleError;
#[cfg(feature = "ssr")]
use crate::paths;

/// Returns the users of the account, including invited ones.
#[server(client = ConsoleClient, endpoint = "users", input = Json, output = Json)]
pub async fn users() -> Result<Vec<User>, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::access::users(&engine, &actor).await?)
}

/// Invites a user. An earlier link for the same address expires.
#[server(client = ConsoleClient, endpoint = "user/invite", input = Json, output = Json)]
pub async fn invite(invitation: Invitation) -> Result<IssuedLink, ConsoleError> {
    let (engine, actor) = super::caller()?;
    let Invitation { email, role } = invitation;
    let issued = auditstream_engine::access::invite(&engine, &actor, &email, role).await?;
    link(issued)
}

/// Changes the role of a user.
#[server(client = ConsoleClient, endpoint = "user/role", input = Json, output = Json)]
pub async fn set_role(email: String, role: Role) -> Result<User, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::access::set_role(&engine, &actor, &email, role).await?)
}

/// Removes a user and ends their sessions.
#[server(client = ConsoleClient, endpoint = "user/remove", input = Json, output = Json)]
pub async fn remove_user(email: String) -> Result<(), ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::access::remove_user(&engine, &actor, &email).await?)
}

/// Withdraws an invitation that has not been used.
#[server(client = ConsoleClient, endpoint = "user/withdraw-invitation", input = Json, output = Json)]
pub async fn withdraw_invitation(email: String) -> Result<(), ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::access::withdraw_invitation(&engine, &actor, &email).await?)
}

/// Creates a link for setting a new password.
#[server(client = ConsoleClient, endpoint = "user/password-link", input = Json, output = Json)]
pub async fn password_link(email: String) -> Result<IssuedLink, ConsoleError> {
    let (engine, actor) = super::caller()?;
    let issued = auditstream_engine::access::password_link(&engine, &actor, &email).await?;
    link(issued)
}

/// Ends every session of a user.
#[server(client = ConsoleClient, endpoint = "user/sign-out", input = Json, output = Json)]
pub async fn sign_out_user(email: String) -> Result<(), ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::access::sign_out_everywhere(&engine, &actor, &email).await?)
}

/// Returns the API tokens of the account, without their secrets.
#[server(client = ConsoleClient, endpoint = "api-tokens", input = Json, output = Json)]
pub async fn api_tokens() -> Result<Vec<ApiToken>, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::access::tokens(&engine, &actor).await?)
}

/// Creates an API token.
#[server(client = ConsoleClient, endpoint = "api-token/create", input = Json, output = Json)]
pub async fn create_api_token(token: ApiTokenInput) -> Result<CreatedApiToken, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::access::create_token(&engine, &actor, &token).await?)
}

/// Revokes an API token.
#[server(client = ConsoleClient, endpoint = "api-token/revoke", input = Json, output = Json)]
pub async fn revoke_api_token(id: String) -> Result<(), ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::access::revoke_token(&engine, &actor, &id).await?)
}

/// Changes the user's own password. All their sessions end; the browser receives the cookie of a
/// new one.
#[server(client = ConsoleClient, endpoint = "account/password", input = Json, output = Json)]
pub async fn change_password(current: String, new: String) -> Result<(), ConsoleError> {
    let (engine, actor) = super::caller()?;
    let visit = super::visit()?;
    let cookie = auditstream_engine::access::change_password(&engine, &actor, &current, &new, &visit.client_ip).await?;
    super::set_session(&visit, &cookie)
}

/// Ends all sessions of the signed-in user, including this one.
#[server(client = ConsoleClient, endpoint = "account/sign-out-everywhere", input = Json, output = Json)]
pub async fn sign_out_everywhere() -> Result<(), ConsoleError> {
    let (engine, actor) = super::caller()?;
    let email = actor.email().unwrap_or_default();
    Ok(auditstream_engine::access::sign_out_everywhere(&engine, &actor, email).await?)
}

/// Returns the purpose of a one-time link, or `None` if it cannot be used. Requires no session.
#[server(client = ConsoleClient, endpoint = "one-time-link", input = Json, output = Json)]
pub async fn find_link(token: String) -> Result<Option<OneTimeLink>, ConsoleError> {
    let engine = super::engine()?;
    Ok(auditstream_engine::access::link(&engine, &token).await?)
}

#[cfg(feature = "ssr")]
fn link(issued: auditstream_engine::access::Issued) -> Result<IssuedLink, ConsoleError> {
    let visit = super::visit()?;
    Ok(IssuedLink {
        link: format!(
            "{}{}",
            visit.public_url,
            paths::one_time_link(paths::INVITATION, &issued.token)
        ),
        email: issued.email,
        expires: issued.expires,
    })
}
