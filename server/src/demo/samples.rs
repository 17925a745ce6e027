//! Sample events: recorded ones, shifted to the last three days, and new ones every few seconds.

use std::path::Path;
use std::time::Duration;

use auditstream_engine::trail::{self, BodyFormat};
use auditstream_engine::{Actor, Engine, Error};
use auditstream_model::EpochMillis;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::files::{read_if_present, write_atomically};
use crate::fatal::Fatal;

/// Events of an AWS account, recorded by its CloudTrail.
const RECORDED: &str = include_str!("../../demo/events.ndjson");
/// The age of the oldest event after shifting, in ms.
const SPAN: EpochMillis = 3 * 24 * 3_600_000;
const PAUSE: Duration = Duration::from_secs(15);
const TIME: &str = "auditEventTime";
const ID: &str = "auditEventId";

/// Sends the recorded events. Keeps a copy and sends the same events at every start, as duplicates.
pub async fn send_recorded(engine: &Engine, actor: &Actor, folder: &Path) -> Result<(), Fatal> {
    let path = folder.join("events.ndjson");
    let body = match read_if_present(&path)? {
        Some(body) => body,
        None => {
            let body = shift_to_recent(recorded(), Timestamp::now().as_millisecond());
            write_atomically(&path, &body)?;
            body
        }
    };
    trail::ingest(engine, actor, BodyFormat::Ndjson, body.into()).await?;
    Ok(())
}

/// Sends one or two events every few seconds, until the task is aborted.
pub async fn send_periodically(engine: Engine, actor: Actor) {
    let recorded = recorded();
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Err(error) = send_sample_events(&engine, &actor, &recorded).await {
            tracing::warn!(%error, "a sample event was refused");
        }
    }
}

async fn send_sample_events(engine: &Engine, actor: &Actor, recorded: &[Map<String, Value>]) -> Result<(), Error> {
    let mut body = String::new();
    for _ in 0..rand::random_range(1..=2) {
        let mut event = recorded[rand::random_range(0..recorded.len())].clone();
        event.insert(ID.to_owned(), random_id().into());
        event.insert(TIME.to_owned(), Timestamp::now().as_millisecond().to_string().into());
        body.push_str(&Value::Object(event).to_string());
        body.push('\n');
    }
    trail::ingest(engine, actor, BodyFormat::Ndjson, body.into()).await?;
    Ok(())
}

fn recorded() -> Vec<Map<String, Value>> {
    RECORDED
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn time(event: &Map<String, Value>) -> EpochMillis {
    event
        .get(TIME)
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

fn shift_to_recent(mut events: Vec<Map<String, Value>>, now: EpochMillis) -> String {
    events.sort_by_key(time);
    let first = events.first().map(time).unwrap_or_default();
    let length = events
        .last()
        .map(|event| time(event) - first)
        .unwrap_or_default()
        .max(1);
    let lines = events.into_iter().map(|mut event| {
        let age = SPAN - (time(&event) - first) * SPAN / length;
        // Without new ids, a user who sends the recorded events would get conflicts.
        event.insert(ID.to_owned(), random_id().into());
        event.insert(TIME.to_owned(), (now - age).to_string().into());
        Value::Object(event).to_string() + "\n"
    });
    lines.collect()
}

fn random_id() -> String {
    let mut bytes: [u8; 16] = rand::random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_events_are_shifted_to_the_last_days_in_order() {
        let now = 1_800_000_000_000;
        let events: Vec<Map<String, Value>> = shift_to_recent(recorded(), now)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(events.len(), 300);
        assert_eq!((time(&events[0]), time(&events[299])), (now - SPAN, now));
        assert!(events.is_sorted_by_key(time));
    }

    #[test]
    fn a_random_id_is_a_uuid() {
        let id = random_id();
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'));
    }
}
