//! The state of the clock, and its confirmation by an admin.

use auditstream_model::{AccountName, ClockConfirmation, ClockState, ClockStatus, Code, EpochMillis, Permission};
use jiff::Timestamp;
use serde_json::json;

use super::judgement::{Judgement, TOLERANCE};
use super::watch::{self, Look};
use crate::error::{Error, Result};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

const KIND: &str = "CLOCK";
const IDENTIFIER: &str = "clock";

/// Returns whether the clock of this server can be trusted.
///
/// # Errors
/// Without the permission to read the trail.
pub async fn status(engine: &Engine, actor: &Actor) -> Result<ClockStatus> {
    actor.require(Permission::ViewAudit)?;
    Ok(shown(&watch::look(engine).await?))
}

/// Confirms that the clock of this server is right, after which old events are removed again.
///
/// # Errors
/// [`Code::Conflict`] if the clock of the server or of the database shows another time;
/// [`Code::Forbidden`] without the permission, and for accounts other than `default`, since the
/// clock is the installation's.
pub async fn confirm(engine: &Engine, actor: &Actor, input: ClockConfirmation) -> Result<ClockStatus> {
    actor.require(Permission::EditAccount)?;
    if *actor.account() != AccountName::default_account() {
        return Err(Error::refused(
            Code::Forbidden,
            "The clock belongs to the whole installation. An admin of the account “default” can confirm it.",
        ));
    }
    let look = watch::look(engine).await?;
    if matches!(look.judgement, Judgement::DiffersFromDatabase(_)) {
        return Err(Error::refused(Code::Conflict, look.judgement.explain()));
    }
    if look.wall.abs_diff(input.time) > TOLERANCE.unsigned_abs() {
        let message = format!("The clock of the server shows another time: {}.", utc(look.wall));
        return Err(Error::refused(Code::Conflict, message));
    }
    engine
        .database()
        .transaction("confirm_clock", async |tx| {
            sqlx::query("UPDATE clock SET trusted = $1")
                .bind(look.wall)
                .execute(&mut **tx)
                .await?;
            let (old, new) = (json!({"trusted": look.trusted}), json!({"trusted": look.wall}));
            record(tx, actor, Change::of(KIND, IDENTIFIER, "CONFIRM", old, new)).await
        })
        .await?;
    Ok(shown(&watch::look(engine).await?))
}

fn shown(look: &Look) -> ClockStatus {
    ClockStatus {
        state: match look.judgement {
            Judgement::Trusted => ClockState::Trusted,
            Judgement::Settling => ClockState::Settling,
            Judgement::Ahead(_) => ClockState::Ahead,
            Judgement::Behind(_) => ClockState::Behind,
            Judgement::DiffersFromDatabase(_) => ClockState::DiffersFromDatabase,
        },
        time: look.wall,
        trusted: look.trusted,
        message: look.judgement.explain(),
    }
}

fn utc(time: EpochMillis) -> String {
    Timestamp::from_millisecond(time).unwrap_or_default().to_string()
}
