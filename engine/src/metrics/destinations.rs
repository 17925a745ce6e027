//! The gauges of the destinations.

use std::fmt::Write as _;
use std::time::Duration;

use auditstream_model::{EpochMillis, HeldBack, Sequence};
use sqlx::FromRow;

use crate::Engine;
use crate::database::now;
use crate::error::Result;
use crate::retention;

#[derive(FromRow)]
struct Row {
    id: i64,
    account_id: i64,
    account: String,
    identifier: String,
    status: String,
    cursor: Option<Sequence>,
    last_streamed_at: Option<EpochMillis>,
    failing: i64,
    last_sequence: Sequence,
    /// The number of sequences after the cursor that no event has.
    missing: i64,
    /// Time of receipt of the first event that waits.
    waiting_since: Option<EpochMillis>,
}

struct Destination {
    row: Row,
    retained: Option<HeldBack>,
}

struct Gauge {
    /// The name after `auditstream_destination_`.
    name: &'static str,
    help: &'static str,
    /// `None` if the destination has no such value yet.
    value: fn(&Destination) -> Option<String>,
}

const GAUGES: [Gauge; 7] = [
    Gauge {
        name: "active",
        help: "Whether the destination is ACTIVE",
        value: |it| Some(count((it.row.status == "ACTIVE").into())),
    },
    Gauge {
        name: "failing",
        help: "Whether it fails: its last run did not deliver, or has been failing for five minutes",
        value: |it| Some(count(it.row.failing)),
    },
    Gauge {
        name: "lag_events",
        help: "Events that it has yet to receive",
        value: |it| {
            it.row
                .cursor
                .map(|cursor| count(it.row.last_sequence - it.row.missing - cursor))
        },
    },
    Gauge {
        name: "lag_seconds",
        help: "Seconds since the receipt of the first event that it has yet to receive",
        value: |it| {
            let lag = it.row.waiting_since.map_or(0, |since| now() - since);
            it.row.cursor.map(|_| seconds(lag))
        },
    },
    Gauge {
        name: "last_streamed_timestamp_seconds",
        help: "Time of its last successful run, with or without events",
        value: |it| it.row.last_streamed_at.map(seconds),
    },
    Gauge {
        name: "held_back_events",
        help: "Events older than the retention that are retained for it",
        value: |it| Some(count(it.retained.map_or(0, |retained| retained.events))),
    },
    Gauge {
        name: "held_back_bytes",
        help: "Bytes of the events older than the retention that are retained for it",
        value: |it| Some(count(it.retained.map_or(0, |retained| retained.bytes))),
    },
];

/// Renders the gauges of all destinations. Account names and identifiers need no escaping.
pub(super) async fn render(engine: &Engine) -> Result<String> {
    let destinations = read(engine).await?;
    let mut text = String::new();
    for Gauge { name, help, value } in GAUGES {
        let mut samples = String::new();
        for destination in &destinations {
            if let Some(value) = value(destination) {
                let Row {
                    account, identifier, ..
                } = &destination.row;
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
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT d.id, d.account_id, a.name AS account, d.identifier, d.status, d.cursor, d.last_streamed_at,
                CAST(CASE WHEN d.failure IS NULL THEN 0 ELSE 1 END AS BIGINT) AS failing,
                a.last_sequence,
                CAST(coalesce((
                    SELECT sum(g.last_sequence - CASE WHEN g.first_sequence > d.cursor THEN g.first_sequence - 1
                                                      ELSE d.cursor END)
                    FROM sequence_gap g
                    WHERE g.account_id = d.account_id
                      AND g.last_sequence > d.cursor
                ), 0) AS BIGINT) AS missing,
                (
                    SELECT received
                    FROM audit_event e
                    WHERE e.account_id = d.account_id
                      AND e.sequence > d.cursor
                    ORDER BY e.sequence
                    LIMIT 1
                ) AS waiting_since
         FROM streaming_destination d
         JOIN account a ON a.id = d.account_id
         ORDER BY a.name, d.identifier",
    )
    .fetch_all(engine.database().read())
    .await?;
    let mut destinations = Vec::with_capacity(rows.len());
    for row in rows {
        let retained = retention::retained_for(engine, row.account_id, row.id, row.cursor).await?;
        destinations.push(Destination { row, retained });
    }
    Ok(destinations)
}

fn count(value: i64) -> String {
    format!("{value}.000")
}

/// Milliseconds as seconds; 0 if negative.
fn seconds(ms: i64) -> String {
    let duration = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    format!("{:.3}", duration.as_secs_f64())
}
