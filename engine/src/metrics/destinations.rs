//! The gauges of the destinations.

use std::fmt::Write as _;
use std::time::Duration;

use auditstream_model::{EpochMillis, Sequence};
use sqlx::FromRow;

use crate::Engine;
use crate::error::Result;

#[derive(FromRow)]
struct Destination {
    account: String,
    identifier: String,
    status: String,
    cursor: Option<Sequence>,
    last_streamed_at: Option<EpochMillis>,
    failing: i64,
    last_sequence: Sequence,
    /// The number of sequences after the cursor that no event has.
    missing: i64,
    /// Time of receipt of the segment with the first event that waits.
    waiting_since: Option<EpochMillis>,
    /// Payload bytes of the segments with events that it has yet to receive; `None` if it was never
    /// active.
    lag_bytes: Option<i64>,
    /// Events older than the retention that are retained for it, and their payload bytes.
    held_back_events: i64,
    held_back_bytes: i64,
}

struct Gauge {
    /// The name after `auditstream_destination_`.
    name: &'static str,
    help: &'static str,
    /// `None` if the destination has no such value yet.
    value: fn(&Destination, EpochMillis) -> Option<String>,
}

const GAUGES: [Gauge; 8] = [
    Gauge {
        name: "active",
        help: "Whether the destination is ACTIVE",
        value: |it, _| Some(count((it.status == "ACTIVE").into())),
    },
    Gauge {
        name: "failing",
        help: "Whether it fails: its last run did not deliver, or has been failing for five minutes",
        value: |it, _| Some(count(it.failing)),
    },
    Gauge {
        name: "lag_events",
        help: "Events that it has yet to receive",
        value: |it, _| it.cursor.map(|cursor| count(it.last_sequence - it.missing - cursor)),
    },
    Gauge {
        name: "lag_bytes",
        help: "Bytes of the events that it has yet to receive",
        value: |it, _| it.lag_bytes.map(count),
    },
    Gauge {
        name: "lag_seconds",
        help: "Seconds since the receipt of the first event that it has yet to receive",
        value: |it, now| {
            let lag = it.waiting_since.map_or(0, |since| now - since);
            it.cursor.map(|_| seconds(lag))
        },
    },
    Gauge {
        name: "last_streamed_timestamp_seconds",
        help: "Time of its last successful run, with or without events",
        value: |it, _| it.last_streamed_at.map(seconds),
    },
    Gauge {
        name: "held_back_events",
        help: "Events older than the retention that are retained for it",
        value: |it, _| Some(count(it.held_back_events)),
    },
    Gauge {
        name: "held_back_bytes",
        help: "Bytes of the events older than the retention that are retained for it",
        value: |it, _| Some(count(it.held_back_bytes)),
    },
];

/// Renders the gauges of all destinations. Account names and identifiers need no escaping.
pub(super) async fn render(engine: &Engine) -> Result<String> {
    let destinations = read(engine).await?;
    let now = engine.database().clock().now();
    let mut text = String::new();
    for Gauge { name, help, value } in GAUGES {
        let mut samples = String::new();
        for destination in &destinations {
            if let Some(value) = value(destination, now) {
                let Destination {
                    account, identifier, ..
                } = destination;
                // Writing to a string cannot fail.
                let _ = writeln!(
                    samples,
                    "auditstream_destination_{name}{{account=\"{account}\",destination=\"{identifier}\"}} {value}"
                );
            }
        }
        if !samples.is_empty() {
            let _ = writeln!(
                text,
                "# HELP auditstream_destination_{name} {help}\n# TYPE auditstream_destination_{name} gauge\n{samples}"
            );
        }
    }
    Ok(text)
}

async fn read(engine: &Engine) -> Result<Vec<Destination>> {
    let query = sqlx::query_as(
        "SELECT it.account, it.identifier, it.status, it.cursor, it.last_streamed_at, it.failing, it.last_sequence,
                CAST(coalesce((
                    SELECT sum(g.last_sequence - CASE WHEN g.first_sequence > it.cursor THEN g.first_sequence - 1
                                                      ELSE it.cursor END)
                    FROM sequence_gap g
                    WHERE g.account_id = it.account_id
                      AND g.last_sequence > it.cursor
                ), 0) AS BIGINT) AS missing,
                (
                    SELECT received
                    FROM audit_segment e
                    WHERE e.account_id = it.account_id
                      AND e.last_sequence > it.cursor
                    ORDER BY e.last_sequence
                    LIMIT 1
                ) AS waiting_since,
                it.trail_bytes - it.bytes_done AS lag_bytes,
                CASE WHEN it.cursor < it.expired_sequence THEN it.expired_sequence - it.cursor ELSE 0 END
                    AS held_back_events,
                CASE WHEN it.cursor < it.expired_sequence THEN it.bytes_expired - it.bytes_done ELSE 0 END
                    AS held_back_bytes
         FROM (
             SELECT d.account_id, a.name AS account, d.identifier, d.status, d.cursor, d.last_streamed_at,
                    CAST(CASE WHEN d.failure IS NULL THEN 0 ELSE 1 END AS BIGINT) AS failing,
                    a.last_sequence, a.trail_bytes, a.expired_sequence,
                    CASE WHEN d.cursor IS NOT NULL THEN coalesce(
                        (
                            SELECT bytes_before FROM audit_segment
                            WHERE account_id = a.id AND last_sequence > d.cursor ORDER BY last_sequence LIMIT 1
                        ),
                        a.trail_bytes
                    ) END AS bytes_done,
                    coalesce(
                        (
                            SELECT bytes_before FROM audit_segment
                            WHERE account_id = a.id AND last_sequence > a.expired_sequence ORDER BY last_sequence LIMIT 1
                        ),
                        a.trail_bytes
                    ) AS bytes_expired
             FROM streaming_destination d
             JOIN account a ON a.id = d.account_id
         ) AS it
         ORDER BY it.account, it.identifier",
    );
    Ok(query.fetch_all(engine.database().read()).await?)
}

fn count(value: i64) -> String {
    format!("{value}.000")
}

/// Milliseconds as seconds; 0 if negative.
fn seconds(ms: i64) -> String {
    let duration = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    format!("{:.3}", duration.as_secs_f64())
}
