//! Search in the trail. A search reads a bounded number of rows and bytes and returns the position
//! that it has reached. So its cost is the same in any trail at any depth (rule 17).
//!
//! ```text
//! search ─▶ indexed ─▶ index: candidates, newest first    counts: over time, by value
//!    │         │
//! newer ───────┴▶ scan: steps of rows, newest first ─▶ statements: which rows, by one index
//!                  │                                  └▶ segment: their events
//!                  └▶ matching: whether an event matches ─▶ text: whether it has a text
//! ```

mod counts;
mod indexed;
mod matching;
mod scan;
mod statements;
pub(super) mod text;

use std::time::Duration;

use auditstream_model::limits::{EXPORT_ROWS, PAGE_BYTES};
use auditstream_model::{AuditEvent, Code, EpochMillis, EventFilter, EventPage, NewerCount, Permission, Sequence};

pub use self::counts::{histogram, values};
use self::indexed::Indexed;
use self::scan::{Budget, End, Page, Scan};
use self::statements::Position;
pub use self::statements::explained;
use super::index::Query;
use super::readers;
use crate::database::{Caller, SearchConnection, now};
use crate::error::{Error, Result};
use crate::{Actor, Engine};

/// The time for which a search waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time for which an export waits for a connection before each page.
const EXPORT_PATIENCE: Duration = Duration::from_secs(60);
/// Counts are exact up to this number.
const COUNTED: usize = 1_000;
/// The budget of counts that only accompany a page.
const COUNTING: Budget = Budget {
    rows: 10_000,
    bytes: 4 << 20,
};

/// Returns one page of the trail by (`auditEventTime`, sequence), newest first. The first page that
/// a person reads on a day leaves an audit event.
pub async fn search(engine: &Engine, actor: &Actor, filter: &EventFilter) -> Result<EventPage> {
    actor.require(Permission::ViewAudit)?;
    filter.validate()?;
    if is_first(filter) {
        readers::note_reading(engine, actor, filter).await;
    }
    find(engine, actor, filter).await
}

/// Like [`search`], without an audit event.
pub(super) async fn find(engine: &Engine, actor: &Actor, filter: &EventFilter) -> Result<EventPage> {
    filter.validate()?;
    let rows = usize::try_from(filter.rows()?).unwrap_or(usize::MAX);
    let below = below(filter)?;
    let mut connection = connect(engine, actor, PATIENCE).await?;
    // Read before the rows, so that events committed in between show up as new.
    let last_sequence = last_sequence(&mut connection, actor).await?;
    let mut page = collect_page(engine, actor, filter, below, (rows, PAGE_BYTES), false, &mut connection).await?;
    page.last_sequence = last_sequence;
    if is_first(filter) {
        count_around(engine, actor, filter, &mut page, &mut connection).await?;
    }
    connection.finish().await?;
    Ok(page)
}

/// Returns the next page of an export: as [`find`], but larger, and more patient.
pub(super) async fn export_page(engine: &Engine, actor: &Actor, filter: &EventFilter) -> Result<EventPage> {
    let rows = usize::try_from(EXPORT_ROWS).unwrap_or(usize::MAX);
    let mut connection = connect(engine, actor, EXPORT_PATIENCE).await?;
    let below = below(filter)?;
    let page = collect_page(engine, actor, filter, below, (rows, PAGE_BYTES), true, &mut connection).await?;
    connection.finish().await?;
    Ok(page)
}

/// Returns the event with a sequence; `None` if the account has none, or retention has removed it.
pub(super) async fn event_at(engine: &Engine, actor: &Actor, sequence: Sequence) -> Result<Option<AuditEvent>> {
    let mut connection = connect(engine, actor, PATIENCE).await?;
    let event = scan(engine, actor, &EventFilter::default(), &mut connection)?
        .event(sequence)
        .await?;
    connection.finish().await?;
    Ok(event)
}

/// Counts the matching events after a sequence, up to a limited number of events: a later call
/// continues at the sequence that is returned.
pub async fn newer(engine: &Engine, actor: &Actor, filter: &EventFilter, after: Sequence) -> Result<NewerCount> {
    actor.require(Permission::ViewAudit)?;
    filter.validate()?;
    // One row by its key. Most polls end here and need no place among the searches.
    let last: Sequence = sqlx::query_scalar("SELECT last_sequence FROM account WHERE id = $1")
        .bind(actor.account_id())
        .fetch_one(engine.database().read())
        .await?;
    if last <= after {
        return Ok(NewerCount { count: 0, until: after });
    }
    let mut connection = connect(engine, actor, PATIENCE).await?;
    let mut scan = scan(engine, actor, filter, &mut connection)?;
    let times = (start(filter), filter.end_at(now()).saturating_sub(1));
    let (count, until) = scan.count_newer(times, after, last, COUNTING).await?;
    connection.finish().await?;
    Ok(NewerCount {
        count: i64::try_from(count).unwrap_or(i64::MAX),
        until,
    })
}

/// Waits for a connection. An account and a person or token in it have a limited share of them.
async fn connect(engine: &Engine, actor: &Actor, patience: Duration) -> Result<SearchConnection> {
    let caller = Caller {
        account_id: actor.account_id(),
        name: actor.name().to_owned(),
    };
    engine.database().search().connect(&caller, patience).await
}

fn scan<'a>(
    engine: &Engine,
    actor: &Actor,
    filter: &EventFilter,
    connection: &'a mut SearchConnection,
) -> Result<Scan<'a>> {
    Scan::new(connection, engine.database().dialect(), actor.account_id(), filter)
}

async fn last_sequence(connection: &mut SearchConnection, actor: &Actor) -> Result<Sequence> {
    const LAST: &str = "SELECT last_sequence FROM account WHERE id = $1";
    let values = vec![crate::database::Value::Integer(actor.account_id())];
    let rows: Vec<(Sequence,)> = connection.fetch(LAST, values).await?;
    Ok(rows.first().map_or(0, |row| row.0))
}

/// Collects the events of one page. An export has every event that contains a text, so that it is
/// searched for without the index.
async fn collect_page(
    engine: &Engine,
    actor: &Actor,
    filter: &EventFilter,
    below: Position,
    (rows, bytes): (usize, usize),
    is_export: bool,
    connection: &mut SearchConnection,
) -> Result<EventPage> {
    let mut scan = scan(engine, actor, filter, connection)?;
    let query = Query::of(filter)?;
    let has_text = filter.search_text()?.is_some();
    let range = (start(filter), below);
    let found = if query.is_useful() && !(has_text && (is_export || filter.parts == Some(true))) {
        indexed::collect(engine, &mut scan, &query, range, (rows, bytes), has_text).await?
    } else {
        None
    };
    let found = match found {
        Some(found) => found,
        None => scan_page(&mut scan, range, (rows, bytes)).await?,
    };
    let events = found.page.events;
    let reached = match found.end {
        End::Complete => None,
        End::Exhausted(position) => Some(position),
        End::Found => events.last().map(|last| Position {
            time: last.time,
            sequence: last.sequence,
        }),
    };
    Ok(EventPage {
        events,
        next: reached.map(|position| format!("{}-{}", position.time, position.sequence)),
        searched_until: reached.map(|position| position.time),
        parts_searched_until: found.parts_until,
        ..EventPage::default()
    })
}

/// Collects a page without the index.
async fn scan_page(
    scan: &mut Scan<'_>,
    (start, below): (EpochMillis, Position),
    (rows, bytes): (usize, usize),
) -> Result<Indexed> {
    let mut page = Page::new(rows, bytes);
    let end = scan.collect(below, start, &mut page, Budget::default()).await?;
    Ok(Indexed {
        page,
        end,
        parts_until: None,
    })
}

/// Adds the numbers of matching events that are dated in the future, and of those outside the range
/// of an empty page.
async fn count_around(
    engine: &Engine,
    actor: &Actor,
    filter: &EventFilter,
    page: &mut EventPage,
    connection: &mut SearchConnection,
) -> Result<()> {
    let now = now();
    let end = filter.end_at(now);
    let mut scan = scan(engine, actor, filter, connection)?;
    if !filter.includes_future(now) {
        let count = scan.count(before(EpochMillis::MAX), end, COUNTED, COUNTING).await?;
        page.in_future = i64::try_from(count).ok();
    }
    if page.events.is_empty() && page.next.is_none() {
        let query = Query::of(filter)?;
        let mut outside = 0;
        let before_start = filter.start.map(|start| (EpochMillis::MIN, before(start)));
        let after_end = filter.end.map(|end| (end, before(EpochMillis::MAX)));
        for (from, below) in before_start.into_iter().chain(after_end) {
            let counted = indexed::count(engine, &mut scan, &query, (from, below), COUNTED).await?;
            outside += match counted {
                Some(count) => count,
                None => scan.count(below, from, COUNTED, COUNTING).await?,
            };
        }
        page.outside_range = i64::try_from(outside.min(COUNTED)).ok();
    }
    Ok(())
}

fn is_first(filter: &EventFilter) -> bool {
    filter.cursor.as_deref().is_none_or(str::is_empty)
}

fn start(filter: &EventFilter) -> EpochMillis {
    filter.start.unwrap_or(0)
}

/// Returns the position below which a page begins.
fn below(filter: &EventFilter) -> Result<Position> {
    let end = before(filter.end_at(now()));
    Ok(match filter.cursor.as_deref() {
        None | Some("") => end,
        Some(cursor) => {
            let (time, sequence) = parse_cursor(cursor)?;
            end.min(Position { time, sequence })
        }
    })
}

/// Returns the position of the first time after a range: all events before it are below.
fn before(end: EpochMillis) -> Position {
    Position {
        time: end.saturating_sub(1),
        sequence: Sequence::MAX,
    }
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
