//! Selects the segments to merge.

use auditstream_model::{EpochMillis, Sequence};

use crate::database::{Database, Dialect, Value};
use crate::error::Result;
use crate::trail::segment::months::{months_of, with_months};
use crate::trail::segment::rows::Via;
use crate::trail::segment::write::Head;
use crate::trail::segment::{SEGMENT_BYTES, SEGMENT_EVENTS};

const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;
/// Events of a full segment that were received within this time, ms, are merged at once: their
/// times of receipt stay exact enough.
const AT_ONCE: i64 = 1_000;
/// Segments of which places, sizes and receipts are read at once.
const HEADS: i64 = 2_000;
/// Payload bytes that one transaction replaces.
const STEP_BYTES: usize = 4 << 20;

/// A kind of merge, by the age of the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Those received within a minute of each other.
    Recent,
    /// Those older than a day, within a day of each other.
    Older,
}

impl Pass {
    /// The longest time between the first and the last receipt of a segment, ms.
    fn span(self) -> i64 {
        match self {
            Self::Recent => MINUTE,
            Self::Older => DAY,
        }
    }
}

const SELECT_HEADS_SQLITE: &str = "
    SELECT first_sequence, last_sequence, received, last_received, bytes_before, bytes
    FROM audit_segment
    WHERE account_id = $1 AND last_sequence > $2 AND last_sequence <= $3 AND first_sequence > $2
    ORDER BY last_sequence
    LIMIT $4";
const SELECT_HEADS_POSTGRES: &str = "
    SELECT first_sequence, last_sequence, received, last_received, bytes_before, bytes, CAST(month AS BIGINT) AS month
    FROM audit_segment
    WHERE account_id = $1 AND last_sequence > $2 AND last_sequence <= $3 AND first_sequence > $2
      AND (month = 0 OR month BETWEEN $5 AND $6)
    ORDER BY last_sequence
    LIMIT $4";

pub(in super::super) fn select_heads(dialect: Dialect) -> &'static str {
    dialect.pick(SELECT_HEADS_SQLITE, SELECT_HEADS_POSTGRES)
}

fn events(head: &Head) -> i64 {
    head.last_sequence - head.first_sequence + 1
}

pub(super) async fn read_heads(
    database: &Database,
    account_id: i64,
    after: Sequence,
    up_to: Sequence,
) -> Result<Vec<Head>> {
    let dialect = database.dialect();
    let mut via = Via::Pool(database.read());
    let months = months_of(&mut via, dialect, account_id, after + 1, up_to).await?;
    let values = [account_id, after, up_to, HEADS].map(Value::Integer);
    via.fetch(select_heads(dialect), with_months(values.to_vec(), months))
        .await
}

/// The merges of the next step.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The last sequence up to which segments need no other merge; `None` if all have to wait.
    pub(super) reached: Option<Sequence>,
    pub(super) groups: Vec<Vec<Head>>,
}

/// Divides segments into groups that become one each. A group that may grow, or that is too young,
/// waits, and so do those after it.
pub(super) fn plan(heads: &[Head], pass: Pass, now: EpochMillis, settle: i64) -> Plan {
    let mut plan = Plan::default();
    let mut bytes = 0;
    let mut rest = heads;
    while let Some(first) = rest.first() {
        let length = group_length(rest, pass);
        let (group, after) = rest.split_at(length);
        let last = group.last().unwrap_or(first);
        let is_closed = !after.is_empty();
        let settle = match pass {
            Pass::Recent => settle,
            Pass::Older => DAY,
        };
        // Events that are received now are too late for a group that is older than its span.
        let has_settled = last.last_received < now.saturating_sub(settle);
        let may_be_done = has_settled || is_closed && last.last_received - first.received <= AT_ONCE;
        let size: i64 = group.iter().map(|head| head.bytes).sum();
        bytes += size;
        if !may_be_done || !plan.groups.is_empty() && bytes > i64::try_from(STEP_BYTES).unwrap_or(i64::MAX) {
            break;
        }
        plan.reached = Some(last.last_sequence);
        if length > 1 {
            plan.groups.push(group.to_vec());
        } else {
            bytes -= size;
        }
        rest = after;
    }
    plan
}

/// Returns the number of segments, from the first, that become one: at least 1.
fn group_length(heads: &[Head], pass: Pass) -> usize {
    let Some(first) = heads.first() else { return 0 };
    let (mut count, mut bytes) = (events(first), first.bytes);
    let mut last = first;
    let fitting = heads.iter().skip(1).take_while(|head| {
        count += events(head);
        bytes += head.bytes;
        let fits = head.first_sequence == last.last_sequence + 1
            && head.received >= last.last_received
            && head.last_received - first.received <= pass.span()
            && head.month == first.month
            && usize::try_from(count).is_ok_and(|count| count <= SEGMENT_EVENTS)
            && usize::try_from(bytes).is_ok_and(|bytes| bytes <= SEGMENT_BYTES);
        last = head;
        fits
    });
    1 + fitting.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: EpochMillis = 1_800_000_000_000;
    const SETTLE: i64 = 300_000;

    /// Segments with these numbers of events, received at these ages.
    fn heads(segments: &[(i64, i64)]) -> Vec<Head> {
        let mut last = 0;
        let mut head = |(events, age): &(i64, i64)| {
            let first_sequence = last + 1;
            last += events;
            Head {
                first_sequence,
                last_sequence: last,
                received: NOW - age,
                last_received: NOW - age,
                bytes_before: 0,
                bytes: events * 900,
                month: 0,
            }
        };
        segments.iter().map(&mut head).collect()
    }

    fn planned(segments: &[(i64, i64)], pass: Pass) -> (Option<Sequence>, Vec<usize>) {
        let plan = plan(&heads(segments), pass, NOW, SETTLE);
        (plan.reached, plan.groups.iter().map(Vec::len).collect())
    }

    #[test]
    fn full_groups_of_one_moment_are_merged_at_once_and_others_when_they_have_settled() {
        let burst = [(200, 900), (200, 500), (200, 100)];
        assert_eq!(planned(&burst, Pass::Recent), (Some(400), vec![2]));
        let slow = [(200, 30_000), (200, 20_000), (200, 10_000)];
        assert_eq!(planned(&slow, Pass::Recent), (None, vec![]));
        let settled = slow.map(|(events, age)| (events, age + SETTLE));
        assert_eq!(planned(&settled, Pass::Recent), (Some(600), vec![2]));
    }

    #[test]
    fn segments_that_came_at_different_times_or_are_large_enough_stay() {
        let hour = 60 * MINUTE;
        let far_apart = [(1, 3 * hour), (1, 2 * hour), (1, hour)];
        assert_eq!(planned(&far_apart, Pass::Recent), (Some(3), vec![]));
        assert_eq!(
            planned(&far_apart.map(|(events, age)| (events, age + 2 * DAY)), Pass::Older),
            (Some(3), vec![3])
        );
        assert_eq!(planned(&far_apart, Pass::Older), (None, vec![]));
        assert_eq!(
            planned(&[(500, hour), (300, hour), (300, hour)], Pass::Recent),
            (Some(1_100), vec![])
        );
        let set_back = [(1, hour), (1, hour + 10), (1, hour)];
        assert_eq!(planned(&set_back, Pass::Recent), (Some(3), vec![2]));
    }

    #[test]
    fn a_gap_ends_a_group() {
        let mut heads = heads(&[(1, DAY), (1, DAY), (1, DAY)]);
        heads[2].first_sequence += 100;
        heads[2].last_sequence += 100;
        let plan = plan(&heads, Pass::Recent, NOW, SETTLE);
        assert_eq!(
            (plan.reached, plan.groups.len(), plan.groups[0].len()),
            (Some(103), 1, 2)
        );
    }
}
