//! Who did what.

use auditstream_model::{AuditEvent, Code, EventFilter, EventPage, Permission};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::payload::close;
use crate::error::{Error, Result};
use crate::{Actor, Engine};

macro_rules! page_by {
    ($like:literal) => {
        concat!(
            "SELECT sequence, time, principal, action, module, resource_type, resource, org, project, payload FROM audit_event ",
            "WHERE account_id = $1 AND time >= $2 AND time < $3 AND (time, sequence) < ($4, $5) ",
            "AND ($6 IS NULL OR principal = $6) AND ($7 IS NULL OR action = $7) AND ($8 IS NULL OR module = $8) ",
            "AND ($9 IS NULL OR resource_type = $9) AND ($10 IS NULL OR resource = $10) AND ($11 IS NULL OR org = $11) ",
            "AND ($12 IS NULL OR project = $12) AND ($13 IS NULL OR payload ", $like, " $13 ESCAPE '\\') ",
            "ORDER BY time DESC, sequence DESC LIMIT $14"
        )
    };
}

/// One page of the trail by (`auditEventTime`, sequence), newest first.
///
/// # Errors
/// A parameter that is not usable; no permission.
pub async fn search(engine: &Engine, actor: &Actor, filter: &EventFilter) -> Result<EventPage> {
    actor.require(Permission::ViewAudit)?;
    let limit = filter.rows()?;
    let (before_time, before_sequence) = match filter.cursor.as_deref() {
        None | Some("") => (i64::MAX, i64::MAX),
        Some(cursor) => parse_cursor(cursor)?,
    };
    let wanted = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let like = wanted(&filter.q).map(|text| {
        format!(
            "%{}%",
            text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
        )
    });
    // SQLite's LIKE ignores the case of ASCII letters.
    let rows = sqlx::query(engine.store().dialect().pick(page_by!("LIKE"), page_by!("ILIKE")))
        .bind(actor.account_id())
        .bind(filter.start.unwrap_or(0))
        .bind(filter.end.unwrap_or(i64::MAX))
        .bind(before_time)
        .bind(before_sequence)
        .bind(wanted(&filter.principal))
        .bind(wanted(&filter.action))
        .bind(wanted(&filter.module))
        .bind(wanted(&filter.resource_type))
        .bind(wanted(&filter.resource))
        .bind(wanted(&filter.org))
        .bind(wanted(&filter.project))
        .bind(like)
        .bind(i64::from(limit) + 1)
        .fetch_all(engine.store().read())
        .await?;
    let mut events = rows.iter().map(event).collect::<Result<Vec<_>, sqlx::Error>>()?;
    let more = events.len() > limit as usize;
    events.truncate(limit as usize);
    let next = events
        .last()
        .filter(|_| more)
        .map(|last| format!("{}-{}", last.time, last.sequence));
    let outside_range = if events.is_empty() && filter.cursor.is_none() {
        Some(outside(engine, actor, filter).await?)
    } else {
        None
    };
    Ok(EventPage {
        events,
        next,
        outside_range,
    })
}

fn parse_cursor(cursor: &str) -> Result<(i64, i64)> {
    let parts = cursor
        .split_once('-')
        .and_then(|(time, sequence)| Some((time.parse().ok()?, sequence.parse().ok()?)));
    parts.ok_or_else(|| {
        Error::refused(
            Code::InvalidParameter,
            "The cursor is not one that this server answered as next.",
        )
    })
}

async fn outside(engine: &Engine, actor: &Actor, filter: &EventFilter) -> Result<i64> {
    let query =
        sqlx::query_scalar("SELECT count(*) FROM audit_event WHERE account_id = $1 AND (time < $2 OR time >= $3)");
    let count = query
        .bind(actor.account_id())
        .bind(filter.start.unwrap_or(0))
        .bind(filter.end.unwrap_or(i64::MAX));
    Ok(count.fetch_one(engine.store().read()).await?)
}

fn event(row: &AnyRow) -> Result<AuditEvent, sqlx::Error> {
    let sequence = row.try_get("sequence")?;
    let mut json = String::new();
    close(&mut json, row.try_get("payload")?, sequence, None);
    Ok(AuditEvent {
        sequence,
        time: row.try_get("time")?,
        principal: row.try_get("principal")?,
        action: row.try_get("action")?,
        module: row.try_get("module")?,
        resource_type: row.try_get("resource_type")?,
        resource: row.try_get("resource")?,
        org: row.try_get("org")?,
        project: row.try_get("project")?,
        json,
    })
}
