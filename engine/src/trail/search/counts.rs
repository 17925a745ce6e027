//! Counts of events over time, and by the values of a field.
//!
//! If the index has all conditions of a filter, it counts without reading events, and only those
//! that it lacks are read. Otherwise, for instance for a text, a search reads events, and those
//! that it finds are counted.

use std::collections::HashMap;
use std::net::IpAddr;

use auditstream_model::{
    EpochMillis, EventBucket, EventField, EventFilter, EventHistogram, EventValue, EventValues, Permission, Precision,
};

use super::indexed;
use super::matching::value_of;
use super::scan::{Budget, Scan, Steps};
use super::statements::{Position, ends};
use super::{PATIENCE, below, collect_page, connect, start};
use crate::database::{SearchConnection, Value};
use crate::error::Result;
use crate::trail::fields;
use crate::trail::index::{Count, Counted, Place, Query, Tally, add};
use crate::{Actor, Engine};

/// The most events that are read to be counted.
const READ: usize = 5_000;
const READ_BYTES: usize = 16 << 20;
const MOST_BUCKETS: u32 = 500;
/// Widths of buckets, in seconds: a second to 30 days. Longer ones are multiples of a day.
const WIDTHS: [i64; 16] = [
    1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000,
];

/// Counts the matching events over time, in up to `buckets` buckets of equal width, and one more.
pub async fn histogram(engine: &Engine, actor: &Actor, filter: &EventFilter, buckets: u32) -> Result<EventHistogram> {
    actor.require(Permission::ViewAudit)?;
    filter.validate()?;
    let mut connection = connect(engine, actor, PATIENCE).await?;
    let range = (start(filter), below(filter)?);
    let Some((first, last)) = ends_of(&mut connection, actor.account_id(), range).await? else {
        connection.finish().await?;
        return Ok(EventHistogram::default());
    };
    let (width, edges) = edges(first, last, buckets.clamp(1, MOST_BUCKETS));
    let mut counts = vec![0; edges.len().saturating_sub(1)];
    let mut times = Count::Times {
        edges: &edges,
        counts: &mut counts,
    };
    let outcome = count(engine, actor, filter, range, &mut connection, &mut times).await?;
    connection.finish().await?;
    let bucket = |(edges, count): (&[EpochMillis], u64)| {
        let (start, end) = (edges.first().copied().unwrap_or_default(), edges.last().copied());
        let is_exact = outcome.missing_until.is_none_or(|until| until < start) && end.is_some();
        EventBucket {
            start,
            count: i64::try_from(count).unwrap_or(i64::MAX),
            precision: precision(is_exact),
        }
    };
    Ok(EventHistogram {
        width,
        buckets: edges.windows(2).zip(counts).map(bucket).collect(),
    })
}

/// Returns the most frequent values of a field among the matching events; at most as many as the
/// filter's page has rows.
pub async fn values(engine: &Engine, actor: &Actor, filter: &EventFilter, field: EventField) -> Result<EventValues> {
    actor.require(Permission::ViewAudit)?;
    filter.validate()?;
    let most = usize::try_from(filter.rows()?).unwrap_or(usize::MAX);
    let mut connection = connect(engine, actor, PATIENCE).await?;
    let range = (start(filter), below(filter)?);
    let mut counts = HashMap::new();
    let mut by_value = Count::Values {
        field,
        counts: &mut counts,
    };
    let outcome = count(engine, actor, filter, range, &mut connection, &mut by_value).await?;
    connection.finish().await?;
    let precision = precision(outcome.missing_until.is_none());
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_unstable_by(|one, other| (other.1, &one.0).cmp(&(one.1, &other.0)));
    counts.truncate(most);
    let value = |(value, count)| EventValue {
        value,
        count: i64::try_from(count).unwrap_or(i64::MAX),
        precision,
    };
    Ok(EventValues {
        field,
        values: counts.into_iter().map(value).collect(),
        precision: self::precision(outcome.missing_until.is_none() && !outcome.has_other_values),
    })
}

fn precision(is_exact: bool) -> Precision {
    if is_exact { Precision::Exact } else { Precision::AtLeast }
}

/// The first and the last time of the events in a range.
async fn ends_of(
    connection: &mut SearchConnection,
    account_id: i64,
    (start, below): (EpochMillis, Position),
) -> Result<Option<(EpochMillis, EpochMillis)>> {
    let mut found = Vec::new();
    for sql in ends() {
        let values = [account_id, start, below.time].map(Value::Integer).to_vec();
        found.extend(connection.fetch::<(EpochMillis,)>(sql, values).await?);
    }
    Ok(found.first().zip(found.last()).map(|(first, last)| (first.0, last.0)))
}

/// The width of buckets for a range of time, and their edges.
fn edges(first: EpochMillis, last: EpochMillis, buckets: u32) -> (i64, Vec<EpochMillis>) {
    const DAY: i64 = 86_400_000;
    let least = (last - first) / i64::from(buckets) + 1;
    let width = WIDTHS
        .iter()
        .map(|seconds| seconds * 1_000)
        .find(|width| *width >= least);
    let width = width.unwrap_or_else(|| (least + DAY - 1) / DAY * DAY);
    let from = first.div_euclid(width) * width;
    let mut edges = vec![from];
    while let Some(edge) = edges.last().filter(|edge| **edge <= last) {
        edges.push(edge + width);
    }
    (width, edges)
}

async fn count(
    engine: &Engine,
    actor: &Actor,
    filter: &EventFilter,
    range: (EpochMillis, Position),
    connection: &mut SearchConnection,
    what: &mut Count<'_>,
) -> Result<Counted> {
    let query = Query::of(filter)?;
    let dialect = engine.database().dialect();
    if query.is_exact() {
        let mut tally = Tally {
            connection: &mut *connection,
            dialect,
            account_id: actor.account_id(),
            query: &query,
            range: (Place::first_of(range.0), range.1.into()),
        };
        match tally.count(what).await {
            Ok(Some(mut counted)) if counted.unindexed.is_some() => {
                let mut scan = Scan::new(connection, dialect, actor.account_id(), filter)?;
                count_unindexed(&mut scan, &mut counted, range, what).await?;
                return Ok(counted);
            }
            Ok(_) => clear(what),
            Err(failure) => {
                clear(what);
                indexed::give_up::<()>(engine, actor.account_id(), failure).await?;
            }
        }
    }
    count_found(engine, actor, filter, range, connection, what).await
}

fn clear(what: &mut Count<'_>) {
    match what {
        Count::Times { counts, .. } => counts.fill(0),
        Count::Values { counts, .. } => counts.clear(),
    }
}

/// Counts the events that no slice has, newest first.
async fn count_unindexed(
    scan: &mut Scan<'_>,
    counted: &mut Counted,
    (start, below): (EpochMillis, Position),
    what: &mut Count<'_>,
) -> Result<()> {
    let rows: Vec<Position> = counted
        .unindexed
        .iter()
        .flatten()
        .rev()
        .copied()
        .map(Position::from)
        .collect();
    let budget = Budget {
        bytes: READ_BYTES,
        ..Budget::default()
    };
    let mut steps = Steps::new(below, start, budget).in_large_chunks();
    let field = match what {
        Count::Times { .. } => None,
        Count::Values { field, .. } => Some(*field),
    };
    let counted_by = move |_, time, payload: &str| (time, field.and_then(|field| value(field, payload)));
    let read = rows.get(..READ.min(rows.len())).unwrap_or_default();
    let (found, looked_at) = scan.read_matching(read, &mut steps, counted_by).await?;
    for (time, value) in found {
        count_one(what, time, value);
    }
    let missing = rows.get(looked_at).map(|row| row.time);
    counted.missing_until = counted.missing_until.max(missing);
    Ok(())
}

fn value(field: EventField, payload: &str) -> Option<String> {
    let fields = fields::of(payload);
    let value = value_of(&fields, field)?;
    match field {
        EventField::Ip => value
            .parse::<IpAddr>()
            .ok()
            .map(|address| address.to_canonical().to_string()),
        _ => Some(value.to_owned()),
    }
}

fn count_one(what: &mut Count<'_>, time: EpochMillis, value: Option<String>) {
    match (what, value) {
        (Count::Times { edges, counts }, _) => add(edges, counts, time),
        (Count::Values { counts, .. }, Some(value)) => *counts.entry(value).or_default() += 1,
        (Count::Values { .. }, None) => {}
    }
}

/// Counts the events that a search finds.
async fn count_found(
    engine: &Engine,
    actor: &Actor,
    filter: &EventFilter,
    (_, below): (EpochMillis, Position),
    connection: &mut SearchConnection,
    what: &mut Count<'_>,
) -> Result<Counted> {
    let page = collect_page(engine, actor, filter, below, (READ, READ_BYTES), false, connection).await?;
    for event in &page.events {
        let value = match what {
            Count::Times { .. } => None,
            Count::Values { field, .. } => value(*field, &event.json),
        };
        count_one(what, event.time, value);
    }
    // A text may also be inside of words of other events.
    let is_everywhere = page.parts_searched_until.is_some();
    Ok(Counted {
        missing_until: if is_everywhere {
            Some(EpochMillis::MAX)
        } else {
            page.searched_until
        },
        ..Counted::default()
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn buckets_cover_the_range_and_are_aligned() {
        let (width, edges) = super::edges(90_500, 3_600_000, 60);
        assert_eq!((width, edges[0]), (60_000, 60_000));
        assert_eq!(edges.last(), Some(&3_660_000));
        let (width, edges) = super::edges(5, 5, 10);
        assert_eq!((width, edges), (1_000, vec![0, 1_000]));
        let year = 365 * 86_400_000_i64;
        let (width, edges) = super::edges(0, 50 * year, 10);
        assert!(width % 86_400_000 == 0 && edges.len() <= 12, "{width}");
        let (_, edges) = super::edges(0, 253_402_300_799_999, 500);
        assert!(edges.len() <= 502);
    }
}
