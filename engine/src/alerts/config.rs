//! Where the webhook of an account goes, and what signs it. Both are sealed: an address may be a secret itself.

use auditstream_model::{
    DEFAULT_LAG_LIMIT_SECONDS, FieldErrors, Outcome, Permission, Webhook, WebhookInput, WebhookTest,
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::Uri;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::FromRow;
use sqlx::any::AnyExecutor;

use super::outbox::{Word, message};
use super::send::Receiver;
use crate::database::{WriteTx, now, retried};
use crate::error::{Error, Result};
use crate::precondition::{Precondition, changed_after};
use crate::trail::self_audit::{Change, record};
use crate::vault::Sealed;
use crate::{Actor, Engine};

/// What audit events call it.
const KIND: &str = "WEBHOOK";
const IDENTIFIER: &str = "webhook";
/// The longest address.
const URL_BYTES: usize = 2048;
/// Destinations may stay behind for 30 days at most.
const LAG_LIMITS: std::ops::RangeInclusive<u32> = 1..=30 * 86_400;

#[derive(FromRow)]
struct Row {
    data_key_id: i64,
    sealed: Vec<u8>,
    lag_limit_seconds: i64,
    created: i64,
    updated: i64,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Content {
    url: String,
    /// Base64.
    secret: String,
}

fn place(account_id: i64) -> String {
    format!("webhook {account_id}")
}

impl Row {
    async fn open(&self, engine: &Engine, executor: impl AnyExecutor<'_>, account_id: i64) -> Result<Content> {
        let sealed = Sealed {
            data_key_id: self.data_key_id,
            bytes: self.sealed.clone(),
        };
        let opened = engine
            .vault()
            .open_sealed(executor, &place(account_id), &sealed)
            .await?;
        Ok(serde_json::from_slice(&opened)?)
    }

    fn view(&self, url: String) -> Webhook {
        Webhook {
            url,
            lag_limit_seconds: u32::try_from(self.lag_limit_seconds).unwrap_or(DEFAULT_LAG_LIMIT_SECONDS),
            created: self.created,
            updated: self.updated,
        }
    }
}

async fn find(executor: impl AnyExecutor<'_>, account_id: i64) -> Result<Option<Row>> {
    let query = sqlx::query_as(
        "SELECT data_key_id, sealed, lag_limit_seconds, created, updated FROM webhook WHERE account_id = $1",
    );
    Ok(query.bind(account_id).fetch_optional(executor).await?)
}

/// The row as it stays until the transaction ends.
async fn lock(tx: &mut WriteTx, account_id: i64) -> Result<Option<Row>> {
    let query = sqlx::query_as(tx.dialect().pick(
        "SELECT data_key_id, sealed, lag_limit_seconds, created, updated FROM webhook WHERE account_id = $1",
        "SELECT data_key_id, sealed, lag_limit_seconds, created, updated FROM webhook WHERE account_id = $1 FOR UPDATE",
    ));
    Ok(query.bind(account_id).fetch_optional(&mut **tx).await?)
}

fn missing() -> Error {
    Error::refused(
        auditstream_model::Code::NotFound,
        "This account has no webhook. Set one with PUT.",
    )
}

/// Where an account's messages go; none when it has no webhook.
pub(super) async fn receiver(engine: &Engine, account_id: i64) -> Result<Option<Receiver>> {
    let Some(row) = find(engine.database().read(), account_id).await? else {
        return Ok(None);
    };
    let sealed = row.open(engine, engine.database().read(), account_id).await?;
    Ok(Some(Receiver {
        url: url(&sealed.url)?,
        secret: secret(&sealed.secret)?,
    }))
}

/// The account's webhook, without its secret.
///
/// # Errors
/// There is none; no permission.
pub async fn get(engine: &Engine, actor: &Actor) -> Result<Webhook> {
    engine.require_streaming()?;
    actor.require(Permission::EditDestination)?;
    let row = find(engine.database().read(), actor.account_id()).await?;
    let row = row.ok_or_else(missing)?;
    let sealed = row.open(engine, engine.database().read(), actor.account_id()).await?;
    Ok(row.view(sealed.url))
}

/// Sets the account's webhook. Another address needs the secret again.
///
/// # Errors
/// Fields that do not follow their rules; no permission.
pub async fn put(engine: &Engine, actor: &Actor, input: WebhookInput) -> Result<Webhook> {
    put_if(engine, actor, input, &Precondition::None).await
}

/// [`put`] on a condition.
///
/// # Errors
/// The same, and [`auditstream_model::Code::PreconditionFailed`].
pub async fn put_if(engine: &Engine, actor: &Actor, input: WebhookInput, condition: &Precondition) -> Result<Webhook> {
    engine.require_streaming()?;
    actor.require(Permission::EditDestination)?;
    let account_id = actor.account_id();
    let to = url(&input.url)?;
    engine
        .egress_policy()
        .check_url(&to)
        .map_err(|refusal| FieldErrors::one("url", refusal.to_string()))?;
    let limit = input.lag_limit_seconds.unwrap_or(DEFAULT_LAG_LIMIT_SECONDS);
    if !LAG_LIMITS.contains(&limit) {
        return Err(FieldErrors::one(
            "lag_limit_seconds",
            format!("It must be between {} and {}.", LAG_LIMITS.start(), LAG_LIMITS.end()),
        )
        .into());
    }
    let sent = input.secret.as_deref().map(secret).transpose()?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let before = lock(&mut tx, account_id).await?;
        let old = match &before {
            Some(row) => Some(row.open(engine, &mut *tx, account_id).await?),
            None => None,
        };
        let current = before.as_ref().zip(old.as_ref());
        condition.check(current.map(|(row, old)| row.view(old.url.clone())).as_ref())?;
        let same_url = old.as_ref().is_some_and(|old| old.url == input.url);
        let kept = old.as_ref().filter(|_| same_url).map(|old| old.secret.clone());
        let Some(secret) = sent.as_ref().map(|secret| BASE64_STANDARD.encode(secret)).or(kept) else {
            let sentence = if old.is_some() {
                "Another address needs the secret again."
            } else {
                "A secret is needed: whsec_ and base64 of 24 to 64 bytes."
            };
            return Err(FieldErrors::one("secret", sentence).into());
        };
        let content = Content {
            url: input.url.clone(),
            secret,
        };
        let sealed = engine
            .vault()
            .seal(&mut tx, &place(account_id), &serde_json::to_vec(&content)?)
            .await?;
        sqlx::query(
            "INSERT INTO webhook (account_id, data_key_id, sealed, lag_limit_seconds, created, updated) \
             VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (account_id) DO UPDATE SET data_key_id = excluded.data_key_id, \
             sealed = excluded.sealed, lag_limit_seconds = excluded.lag_limit_seconds, updated = excluded.updated",
        )
        .bind(account_id)
        .bind(sealed.data_key_id)
        .bind(sealed.bytes)
        .bind(i64::from(limit))
        .bind(before.as_ref().map_or_else(now, |row| changed_after(row.updated)))
        .execute(&mut *tx)
        .await?;
        let old_shown = current.map(|(row, old)| {
            let before = old.url.parse().unwrap_or_default();
            shown_of(&before, row.lag_limit_seconds)
        });
        let action = if before.is_some() { "UPDATE" } else { "CREATE" };
        let mut new = shown_of(&to, i64::from(limit));
        new["url_changed"] = (!same_url).into();
        new["secret_changed"] = sent.is_some().into();
        record(&mut tx, actor, Change::of(KIND, IDENTIFIER, action, old_shown, new)).await?;
        let made = find(&mut *tx, account_id).await?.ok_or_else(missing)?;
        tx.commit().await?;
        Ok(made.view(input.url.clone()))
    })
    .await
}

/// What the trail says of it: neither the secret nor what of the address may be one.
fn shown_of(url: &Uri, lag_limit_seconds: i64) -> Value {
    let scheme = url.scheme_str().unwrap_or_default();
    let authority = url.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    json!({"endpoint": format!("{scheme}://{authority}"), "lag_limit_seconds": lag_limit_seconds})
}

/// Removes the webhook, with the messages that it has yet to get.
///
/// # Errors
/// There is none; no permission.
pub async fn remove(engine: &Engine, actor: &Actor) -> Result<()> {
    remove_if(engine, actor, &Precondition::None).await
}

/// [`remove`] on a condition.
///
/// # Errors
/// The same, and [`auditstream_model::Code::PreconditionFailed`].
pub async fn remove_if(engine: &Engine, actor: &Actor, condition: &Precondition) -> Result<()> {
    engine.require_streaming()?;
    actor.require(Permission::EditDestination)?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        // Whoever is named next is told anew.
        sqlx::query("UPDATE streaming_destination SET lag_notified = 0 WHERE account_id = $1 AND lag_notified <> 0")
            .bind(actor.account_id())
            .execute(&mut *tx)
            .await?;
        let before = lock(&mut tx, actor.account_id()).await?.ok_or_else(missing)?;
        let old = before.open(engine, &mut *tx, actor.account_id()).await?;
        condition.check(Some(&before.view(old.url.clone())))?;
        sqlx::query("DELETE FROM webhook WHERE account_id = $1")
            .bind(actor.account_id())
            .execute(&mut *tx)
            .await?;
        let shown = shown_of(&old.url.parse().unwrap_or_default(), before.lag_limit_seconds);
        record(&mut tx, actor, Change::of(KIND, IDENTIFIER, "DELETE", shown, ())).await?;
        tx.commit().await
    })
    .await
}

/// Sends a message of its own kind, once, and says what came of it.
///
/// # Errors
/// There is no webhook; no permission. A receiver that does not take it is an answer, not an error.
pub async fn test(engine: &Engine, actor: &Actor) -> Result<WebhookTest> {
    engine.require_streaming()?;
    actor.require(Permission::EditDestination)?;
    let receiver = receiver(engine, actor.account_id()).await?.ok_or_else(missing)?;
    let message = message(Word::Test, actor.account().as_str(), json!({}));
    let (status, detail) = match engine.webhook_client()?.post(&receiver, &message).await {
        Ok(()) => (Outcome::Success, "The receiver took the message.".to_owned()),
        Err(why) => (Outcome::Failure, why),
    };
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let change = Change::of(KIND, IDENTIFIER, "TEST", (), json!({"status": status}));
        record(&mut tx, actor, change).await?;
        tx.commit().await
    })
    .await?;
    Ok(WebhookTest { status, detail })
}

fn url(text: &str) -> Result<Uri, FieldErrors> {
    let wrong = |sentence: &str| FieldErrors::one("url", sentence.to_owned());
    let form = "It must look like https://hooks.example.com/auditstream.";
    if text.len() > URL_BYTES || text.contains('#') {
        return Err(wrong(form));
    }
    let url: Uri = text.parse().map_err(|_| wrong(form))?;
    let has_host = url.host().is_some_and(|host| !host.is_empty());
    if !matches!(url.scheme_str(), Some("http" | "https")) || !has_host {
        return Err(wrong(form));
    }
    if url
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err(wrong(
            "Leave user and password out of the address: messages are signed.",
        ));
    }
    Ok(url)
}

fn secret(text: &str) -> Result<Vec<u8>, FieldErrors> {
    let encoded = text.strip_prefix("whsec_").unwrap_or(text);
    let decoded = BASE64_STANDARD.decode(encoded).ok();
    decoded
        .filter(|secret| (24..=64).contains(&secret.len()))
        .ok_or_else(|| FieldErrors::one("secret", "It must be whsec_ and base64 of 24 to 64 bytes."))
}

/// Seals every webhook under the newest data key; answers how many.
pub(crate) async fn seal_again(engine: &Engine, tx: &mut WriteTx) -> Result<usize> {
    let query = sqlx::query_as::<_, (i64, i64, Vec<u8>)>(tx.dialect().pick(
        "SELECT account_id, data_key_id, sealed FROM webhook ORDER BY account_id",
        "SELECT account_id, data_key_id, sealed FROM webhook ORDER BY account_id FOR UPDATE",
    ));
    let rows = query.fetch_all(&mut **tx).await?;
    let count = rows.len();
    for (account_id, data_key_id, bytes) in rows {
        let before = Sealed { data_key_id, bytes };
        let sealed = engine.vault().seal_again(tx, &place(account_id), &before).await?;
        sqlx::query("UPDATE webhook SET data_key_id = $2, sealed = $3 WHERE account_id = $1")
            .bind(account_id)
            .bind(sealed.data_key_id)
            .bind(sealed.bytes)
            .execute(&mut **tx)
            .await?;
    }
    Ok(count)
}
