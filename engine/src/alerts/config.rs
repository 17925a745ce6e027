//! Reading, setting, removing and testing the webhook of an account.

use auditstream_model::{
    Code, DEFAULT_LAG_LIMIT_SECONDS, FieldErrors, Outcome, Permission, Webhook, WebhookInput, WebhookTest,
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::Uri;
use http::uri::Authority;
use serde_json::{Value, json};

use super::outbox::{EventKind, Message};
use super::receiver::{Receiver, parse_secret, parse_url};
use super::rows::{Stored, Target, save};
use super::send::Client;
use crate::error::{Error, Result};
use crate::precondition::Precondition;
use crate::task::outlive_request;
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// The type and identifier of webhooks in audit events.
const WEBHOOK: &str = "WEBHOOK";
const IDENTIFIER: &str = "webhook";
/// The permitted lag limits: up to 30 days.
const LAG_LIMITS: std::ops::RangeInclusive<u32> = 1..=30 * 86_400;

fn require_access(engine: &Engine, actor: &Actor) -> Result<()> {
    engine.require_streaming()?;
    actor.require(Permission::EditDestination)
}

fn not_found() -> Error {
    Error::refused(Code::NotFound, "This account has no webhook. Set one with PUT.")
}

/// Returns the account's webhook, without its secret.
pub async fn get(engine: &Engine, actor: &Actor) -> Result<Webhook> {
    require_access(engine, actor)?;
    let stored = Stored::find(engine, actor.account_id()).await?;
    Ok(stored.ok_or_else(not_found)?.view())
}

/// Sets the account's webhook. Without a secret the stored one is kept, unless the URL changes.
pub async fn put(engine: &Engine, actor: &Actor, input: WebhookInput, condition: &Precondition) -> Result<Webhook> {
    require_access(engine, actor)?;
    let account_id = actor.account_id();
    let url = parse_url(&input.url)?;
    engine
        .egress_policy()
        .of(actor.account().as_str())
        .check_url(&url)
        .map_err(|refusal| FieldErrors::one("url", refusal.to_string()))?;
    let limit = parse_lag_limit(input.lag_limit_seconds)?;
    let new_secret = input.secret.as_deref().map(parse_secret).transpose()?;
    engine
        .database()
        .transaction("set_webhook", async |tx| {
            let old = Stored::lock(engine, tx, account_id).await?;
            condition.check(old.as_ref().map(Stored::view).as_ref())?;
            let target = Target {
                url: input.url.clone(),
                secret: secret_to_store(old.as_ref(), &input.url, new_secret.as_deref())?,
            };
            save(engine, tx, account_id, &target, limit, old.as_ref()).await?;
            let action = if old.is_some() { "UPDATE" } else { "CREATE" };
            let mut new = audited(&url, limit);
            new["url_changed"] = old.as_ref().is_none_or(|old| old.target.url != input.url).into();
            new["secret_changed"] = new_secret.is_some().into();
            let old = old.as_ref().map(audited_stored);
            record(tx, actor, Change::of(WEBHOOK, IDENTIFIER, action, old, new)).await?;
            let stored = Stored::lock(engine, tx, account_id).await?;
            Ok(stored.ok_or_else(not_found)?.view())
        })
        .await
}

fn parse_lag_limit(seconds: Option<u32>) -> Result<u32, FieldErrors> {
    let limit = seconds.unwrap_or(DEFAULT_LAG_LIMIT_SECONDS);
    if LAG_LIMITS.contains(&limit) {
        return Ok(limit);
    }
    let message = format!("It must be between {} and {}.", LAG_LIMITS.start(), LAG_LIMITS.end());
    Err(FieldErrors::one("lag_limit_seconds", message))
}

fn secret_to_store(old: Option<&Stored>, url: &str, new_secret: Option<&[u8]>) -> Result<String> {
    if let Some(secret) = new_secret {
        return Ok(BASE64_STANDARD.encode(secret));
    }
    let message = match old {
        Some(old) if old.target.url == url => return Ok(old.target.secret.clone()),
        Some(_) => "Enter the secret again, because the URL has changed.",
        None => "A secret is required: whsec_ followed by 24 to 64 bytes in base64.",
    };
    Err(FieldErrors::one("secret", message).into())
}

/// Returns the part of a webhook that the trail shows: neither the secret nor the part of the URL
/// that may contain one.
fn audited(url: &Uri, lag_limit_seconds: u32) -> Value {
    let scheme = url.scheme_str().unwrap_or_default();
    let authority = url.authority().map(Authority::as_str).unwrap_or_default();
    json!({"endpoint": format!("{scheme}://{authority}"), "lag_limit_seconds": lag_limit_seconds})
}

fn audited_stored(stored: &Stored) -> Value {
    let url = stored.target.url.parse().unwrap_or_default();
    audited(&url, stored.lag_limit_seconds())
}

/// Removes the webhook and its undelivered messages.
pub async fn remove(engine: &Engine, actor: &Actor, condition: &Precondition) -> Result<()> {
    require_access(engine, actor)?;
    engine
        .database()
        .transaction("remove_webhook", async |tx| {
            // The next webhook is notified of every destination that lags then.
            sqlx::query(
                "UPDATE streaming_destination SET lag_notified = 0 WHERE account_id = $1 AND lag_notified <> 0",
            )
            .bind(actor.account_id())
            .execute(&mut **tx)
            .await?;
            let old = Stored::lock(engine, tx, actor.account_id()).await?;
            let old = old.ok_or_else(not_found)?;
            condition.check(Some(&old.view()))?;
            sqlx::query("DELETE FROM webhook WHERE account_id = $1")
                .bind(actor.account_id())
                .execute(&mut **tx)
                .await?;
            let change = Change::of(WEBHOOK, IDENTIFIER, "DELETE", audited_stored(&old), ());
            record(tx, actor, change).await?;
            Ok(())
        })
        .await
}

/// Contacts the receiver of an account's webhook without sending a message. The inner error is that
/// of a receiver that does not respond.
pub(crate) async fn contact(engine: &Engine, client: &Client, account_id: i64) -> Result<Result<(), String>> {
    let stored = Stored::find(engine, account_id).await?;
    let receiver = stored.ok_or_else(not_found)?.receiver()?;
    Ok(client.date(&receiver.account, &receiver.url).await.map(drop))
}

/// Sends a test message once and returns the result. A receiver that does not accept the message is
/// a result, not an error. The test is completed even if the caller is dropped.
pub async fn test(engine: &Engine, actor: &Actor) -> Result<WebhookTest> {
    require_access(engine, actor)?;
    let stored = Stored::find(engine, actor.account_id()).await?;
    let receiver = stored.ok_or_else(not_found)?.receiver()?;
    outlive_request(
        engine.ongoing_work(),
        send_test(engine.clone(), actor.clone(), receiver),
    )
    .await
}

async fn send_test(engine: Engine, actor: Actor, receiver: Receiver) -> Result<WebhookTest> {
    let message = Message::new(EventKind::Test, actor.account().as_str(), json!({}));
    let (status, detail) = match engine.webhook_client().post(&receiver, &message).await {
        Ok(()) => (Outcome::Success, "The receiver accepted the message.".to_owned()),
        Err(why) => (Outcome::Failure, why),
    };
    engine
        .database()
        .transaction("test_webhook", async |tx| {
            let change = Change::of(WEBHOOK, IDENTIFIER, "TEST", (), json!({"status": status}));
            record(tx, &actor, change).await
        })
        .await?;
    Ok(WebhookTest { status, detail })
}
