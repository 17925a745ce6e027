//! The confirmation of a removal that elapsed time does not explain.

use auditstream_model::{Code, Permission, RemovalConfirmation, RetentionView};
use serde_json::json;

use super::account_setting::{IDENTIFIER, KIND, get, unconfirmed};
use crate::error::{Error, Result};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// Confirms that old events of the actor's account may be removed at once. The next sweep removes
/// them.
///
/// # Errors
/// [`Code::Conflict`] if no removal up to this event waits for a confirmation; no permission.
pub async fn confirm_removal(engine: &Engine, actor: &Actor, input: RemovalConfirmation) -> Result<RetentionView> {
    actor.require(Permission::EditAccount)?;
    let account_id = actor.account_id();
    engine
        .database()
        .transaction("confirm_removal", async |tx| {
            let waiting = unconfirmed(&mut **tx, account_id).await?;
            let waiting = waiting.filter(|waiting| waiting.last_sequence >= input.last_sequence);
            let Some(waiting) = waiting.filter(|_| input.last_sequence > 0) else {
                return Err(Error::refused(
                    Code::Conflict,
                    "No removal up to this event waits for a confirmation. Read the retention again.",
                ));
            };
            let new = json!({"last_sequence": input.last_sequence, "events": waiting.events});
            record(tx, actor, Change::of(KIND, IDENTIFIER, "CONFIRM", (), new)).await?;
            sqlx::query("UPDATE account SET confirmed_sequence = $2, unconfirmed_sequence = 0 WHERE id = $1")
                .bind(account_id)
                .bind(input.last_sequence)
                .execute(&mut **tx)
                .await?;
            Ok(())
        })
        .await?;
    get(engine, actor).await
}
