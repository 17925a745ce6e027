//! Search in the trail.

use auditstream_model::{AuditEvent, Code, EpochMillis, EventFilter, EventPage, Permission, Sequence};
use sqlx::Row;
use sqlx::any::{Any, AnyArguments, AnyRow};
use sqlx::query::Query;

use super::stored_form::close;
use crate::error::{Error, Result};
use crate::{Actor, Engine};

// [`bind_filter`] binds $1 to $12 of these statements. They differ in one operator: SQLite's LIKE
// ignores the case of ASCII letters, as PostgreSQL's ILIKE does.
const PAGE_SQLITE: &str = r"
    SELECT sequence, time, principal, action, module, resource_type, resource, org, project, payload
      FROM audit_event
     WHERE account_id = $1 AND time >= $2 AND time < $3
       AND ($4 IS NULL OR principal = $4) AND ($5 IS NULL OR action = $5) AND ($6 IS NULL OR module = $6)
       AND ($7 IS NULL OR resource_type = $7) AND ($8 IS NULL OR resource = $8)
       AND ($9 IS NULL OR org = $9) AND ($10 IS NULL OR project = $10)
       AND ($11 IS NULL OR payload LIKE $11 ESCAPE '\')
       AND ($12 <> 'no_login' OR action NOT IN ('LOGIN', 'LOGIN2FA', 'UNSUCCESSFUL_LOGIN'))
       AND ($12 <> 'no_system' OR principal_type <> 'SYSTEM')
       AND (time, sequence) < ($13, $14)
     ORDER BY time DESC, sequence DESC LIMIT $15";
const PAGE_POSTGRES: &str = r"
    SELECT sequence, time, principal, action, module, resource_type, resource, org, project, payload
      FROM audit_event
     WHERE account_id = $1 AND time >= $2 AND time < $3
       AND ($4 IS NULL OR principal = $4) AND ($5 IS NULL OR action = $5) AND ($6 IS NULL OR module = $6)
       AND ($7 IS NULL OR resource_type = $7) AND ($8 IS NULL OR resource = $8)
       AND ($9 IS NULL OR org = $9) AND ($10 IS NULL OR project = $10)
       AND ($11 IS NULL OR payload ILIKE $11 ESCAPE '\')
       AND ($12 <> 'no_login' OR action NOT IN ('LOGIN', 'LOGIN2FA', 'UNSUCCESSFUL_LOGIN'))
       AND ($12 <> 'no_system' OR principal_type <> 'SYSTEM')
       AND (time, sequence) < ($13, $14)
     ORDER BY time DESC, sequence DESC LIMIT $15";
const NEWER_SQLITE: &str = r"
    SELECT count(*) FROM (SELECT 1 FROM audit_event
     WHERE account_id = $1 AND time >= $2 AND time < $3
       AND ($4 IS NULL OR principal = $4) AND ($5 IS NULL OR action = $5) AND ($6 IS NULL OR module = $6)
       AND ($7 IS NULL OR resource_type = $7) AND ($8 IS NULL OR resource = $8)
       AND ($9 IS NULL OR org = $9) AND ($10 IS NULL OR project = $10)
       AND ($11 IS NULL OR payload LIKE $11 ESCAPE '\')
       AND ($12 <> 'no_login' OR action NOT IN ('LOGIN', 'LOGIN2FA', 'UNSUCCESSFUL_LOGIN'))
       AND ($12 <> 'no_system' OR principal_type <> 'SYSTEM')
       AND sequence > $13 LIMIT $14) AS newer";
const NEWER_POSTGRES: &str = r"
    SELECT count(*) FROM (SELECT 1 FROM audit_event
     WHERE account_id = $1 AND time >= $2 AND time < $3
       AND ($4 IS NULL OR principal = $4) AND ($5 IS NULL OR action = $5) AND ($6 IS NULL OR module = $6)
       AND ($7 IS NULL OR resource_type = $7) AND ($8 IS NULL OR resource = $8)
       AND ($9 IS NULL OR org = $9) AND ($10 IS NULL OR project = $10)
       AND ($11 IS NULL OR payload ILIKE $11 ESCAPE '\')
       AND ($12 <> 'no_login' OR action NOT IN ('LOGIN', 'LOGIN2FA', 'UNSUCCESSFUL_LOGIN'))
       AND ($12 <> 'no_system' OR principal_type <> 'SYSTEM')
       AND sequence > $13 LIMIT $14) AS newer";

const NEWER_AT_MOST: i64 = 1_000;

/// One page of the trail by (`auditEventTime`, sequence), newest first.
pub async fn search(engine: &Engine, actor: &Actor, filter: &EventFilter) -> Result<EventPage> {
    actor.require(Permission::ViewAudit)?;
    let (limit, like) = (filter.rows()?, pattern(filter)?);
    let (before_time, before_sequence) = match filter.cursor.as_deref() {
        None | Some("") => (i64::MAX, i64::MAX),
        Some(cursor) => parse_cursor(cursor)?,
    };
    // Read before the rows, so that events committed in between show up as new.
    let last_sequence = sqlx::query_scalar("SELECT last_sequence FROM account WHERE id = $1")
        .bind(actor.account_id())
        .fetch_one(engine.database().read())
        .await?;
    let query = sqlx::query(engine.database().dialect().pick(PAGE_SQLITE, PAGE_POSTGRES));
    let rows = bind_filter(query, actor, filter, like)
        .bind(before_time)
        .bind(before_sequence)
        .bind(i64::from(limit) + 1)
        .fetch_all(engine.database().read())
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
        last_sequence,
        outside_range,
    })
}

/// Counts the matching events after a sequence, up to 1,000.
pub async fn newer(engine: &Engine, actor: &Actor, filter: &EventFilter, after: Sequence) -> Result<i64> {
    actor.require(Permission::ViewAudit)?;
    let query = sqlx::query(engine.database().dialect().pick(NEWER_SQLITE, NEWER_POSTGRES));
    let row = bind_filter(query, actor, filter, pattern(filter)?)
        .bind(after)
        .bind(NEWER_AT_MOST)
        .fetch_one(engine.database().read())
        .await?;
    Ok(row.try_get(0)?)
}

type Filtered = Query<'static, Any, AnyArguments>;

fn pattern(filter: &EventFilter) -> Result<Option<String>> {
    Ok(filter.search_text()?.map(|text| {
        format!(
            "%{}%",
            text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
        )
    }))
}

fn bind_filter(query: Filtered, actor: &Actor, filter: &EventFilter, like: Option<String>) -> Filtered {
    let wanted = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    query
        .bind(actor.account_id())
        .bind(start(filter))
        .bind(end(filter))
        .bind(wanted(&filter.principal))
        .bind(wanted(&filter.action))
        .bind(wanted(&filter.module))
        .bind(wanted(&filter.resource_type))
        .bind(wanted(&filter.resource))
        .bind(wanted(&filter.org))
        .bind(wanted(&filter.project))
        .bind(like)
        .bind(filter.show.as_str())
}

fn start(filter: &EventFilter) -> EpochMillis {
    filter.start.unwrap_or(0)
}

fn end(filter: &EventFilter) -> EpochMillis {
    filter.end.unwrap_or(i64::MAX)
}

/// Parses the cursor of a page into time and sequence.
///
/// # Errors
/// [`Code::InvalidParameter`] for any other text.
pub fn parse_cursor(cursor: &str) -> Result<(i64, i64)> {
    let parts = cursor
        .split_once('-')
        .and_then(|(time, sequence)| Some((time.parse().ok()?, sequence.parse().ok()?)));
    parts.ok_or_else(|| {
        Error::refused(
            Code::InvalidParameter,
            "The cursor is invalid. Use a value that this server returned as “next”.",
        )
    })
}

/// Counts the events that match outside the requested range, up to 1,000.
async fn outside(engine: &Engine, actor: &Actor, filter: &EventFilter) -> Result<i64> {
    if filter.start.is_none() && filter.end.is_none() {
        return Ok(0);
    }
    let at_any_time = EventFilter {
        start: None,
        end: None,
        ..filter.clone()
    };
    newer(engine, actor, &at_any_time, 0).await
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
