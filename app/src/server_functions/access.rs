//! Users, API tokens and one's own account. What an answer carries of secrets exists nowhere else: pages ask for it by an
//! action, so that the server never renders it.

use auditstream_model::{ApiToken, ApiTokenInput, CreatedApiToken, Invitation, IssuedLink, OneTimeLink, Role, User};
use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use crate::error::ConsoleError;

/// The people of the account and those invited.
#[server(endpoint = "users", input = Json, output = Json)]
pub async fn users() -> Result<Vec<User>, ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    Ok(auditstream_engine::access::users(&engine, &actor).await?)
}

/// Invites somebody; a link made for them before ends.
#[server(endpoint = "user/invite", input = Json, output = Json)]
pub async fn invite(invitation: Invitation) -> Result<IssuedLink, ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    let Invitation { email, role } = invitation;
    let issued = auditstream_engine::access::invite(&engine, &actor, &email, role).await?;
    link(issued)
}

/// Gives a person another role.
#[server(endpoint = "user/role", input = Json, output = Json)]
pub async fn set_role(email: String, role: Role) -> Result<User, ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    Ok(auditstream_engine::access::set_role(&engine, &actor, &email, role).await?)
}

/// Removes a person with their sessions.
#[server(endpoint = "user/remove", input = Json, output = Json)]
pub async fn remove_user(email: String) -> Result<(), ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    Ok(auditstream_engine::access::remove_user(&engine, &actor, &email).await?)
}

/// Ends the invitation of somebody who has not used it.
#[server(endpoint = "user/withdraw-invitation", input = Json, output = Json)]
pub async fn withdraw_invitation(email: String) -> Result<(), ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    Ok(auditstream_engine::access::withdraw_invitation(&engine, &actor, &email).await?)
}

/// A link with which a person sets a new password.
#[server(endpoint = "user/password-link", input = Json, output = Json)]
pub async fn password_link(email: String) -> Result<IssuedLink, ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    let issued = auditstream_engine::access::password_link(&engine, &actor, &email).await?;
    link(issued)
}

/// Ends every session of a person.
#[server(endpoint = "user/sign-out", input = Json, output = Json)]
pub async fn sign_out_user(email: String) -> Result<(), ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    Ok(auditstream_engine::access::sign_out_everywhere(&engine, &actor, &email).await?)
}

/// The API tokens of the account, without their secrets.
#[server(endpoint = "api-tokens", input = Json, output = Json)]
pub async fn api_tokens() -> Result<Vec<ApiToken>, ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    Ok(auditstream_engine::access::tokens(&engine, &actor).await?)
}

/// Makes an API token.
#[server(endpoint = "api-token/create", input = Json, output = Json)]
pub async fn create_api_token(token: ApiTokenInput) -> Result<CreatedApiToken, ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    Ok(auditstream_engine::access::create_token(&engine, &actor, &token).await?)
}

/// Ends an API token.
#[server(endpoint = "api-token/revoke", input = Json, output = Json)]
pub async fn revoke_api_token(id: String) -> Result<(), ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    Ok(auditstream_engine::access::revoke_token(&engine, &actor, &id).await?)
}

/// Changes one's own password. Every session of the person ends; the browser gets the cookie of a new one.
#[server(endpoint = "account/password", input = Json, output = Json)]
pub async fn change_password(current: String, new: String) -> Result<(), ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    let visit = super::visit()?;
    let cookie = auditstream_engine::access::change_password(&engine, &actor, &current, &new, &visit.client_ip).await?;
    super::set_session(&visit, &cookie)
}

/// Ends every session of one's own, this one included.
#[server(endpoint = "account/sign-out-everywhere", input = Json, output = Json)]
pub async fn sign_out_everywhere() -> Result<(), ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    let email = actor.email().unwrap_or_default();
    Ok(auditstream_engine::access::sign_out_everywhere(&engine, &actor, email).await?)
}

/// What a one-time link that can be used is for. Whoever has the link may ask.
#[server(endpoint = "one-time-link", input = Json, output = Json)]
pub async fn look_at_link(token: String) -> Result<Option<OneTimeLink>, ConsoleError> {
    let engine = super::engine()?;
    Ok(auditstream_engine::access::link(&engine, &token).await?)
}

/// The link as a whole address.
#[cfg(feature = "ssr")]
fn link(issued: auditstream_engine::access::Issued) -> Result<IssuedLink, ConsoleError> {
    let visit = super::visit()?;
    Ok(IssuedLink {
        link: format!("{}/invitation?token={}", visit.public_url, issued.token),
        email: issued.email,
        expires: issued.expires,
    })
}
