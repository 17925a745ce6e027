//! Counts the events that are retained beyond their age because a destination has yet to receive
//! them.

use auditstream_model::{HeldBack, Permission};
use sqlx::FromRow;

use crate::error::Result;
use crate::{Actor, Engine};

/// A destination for which events are retained beyond their age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// The destination.
    pub identifier: String,
    /// The number and size of these events.
    pub held_back: HeldBack,
}

#[derive(FromRow)]
struct Destination {
    identifier: String,
    events: i64,
    bytes: i64,
}

/// Lists the destinations of the actor's account for which events are retained beyond their age.
///
/// # Errors
/// When streaming is disabled, the actor lacks the permission or the database fails.
pub async fn retained(engine: &Engine, actor: &Actor) -> Result<Vec<Retained>> {
    engine.require_streaming()?;
    actor.require(Permission::ViewDestination)?;
    let destinations: Vec<Destination> = sqlx::query_as(
        "SELECT d.identifier,
                a.expired_sequence - d.cursor
                - CAST(coalesce(
                    (SELECT sum(CASE WHEN g.last_sequence < a.expired_sequence THEN g.last_sequence
                                     ELSE a.expired_sequence END
                                - CASE WHEN g.first_sequence > d.cursor THEN g.first_sequence - 1 ELSE d.cursor END)
                     FROM sequence_gap g
                     WHERE g.account_id = a.id
                       AND g.last_sequence > d.cursor
                       AND g.first_sequence <= a.expired_sequence),
                    0
                ) AS BIGINT) AS events,
                coalesce(
                    (SELECT bytes_before FROM audit_segment
                     WHERE account_id = a.id AND last_sequence > a.expired_sequence ORDER BY last_sequence LIMIT 1),
                    a.trail_bytes
                ) - (SELECT bytes_before FROM audit_segment
                     WHERE account_id = a.id AND last_sequence > d.cursor ORDER BY last_sequence LIMIT 1) AS bytes
         FROM streaming_destination d
         JOIN account a ON a.id = d.account_id
         WHERE d.account_id = $1
           AND d.cursor < a.expired_sequence
         ORDER BY d.identifier",
    )
    .bind(actor.account_id())
    .fetch_all(engine.database().read())
    .await?;
    let retained = destinations.into_iter().map(|it| Retained {
        identifier: it.identifier,
        held_back: HeldBack {
            events: it.events,
            bytes: it.bytes,
        },
    });
    Ok(retained.collect())
}
