//! Recorded audit events, and the schema that they follow.

use flate2::read::GzDecoder;
use serde_json::Value;

/// 200 recorded events, one per line.
pub const NDJSON: &str = include_str!("../data/events.ndjson");

/// The JSON Schema of an event as it is streamed.
pub const PAYLOAD_SCHEMA: &str = include_str!("../data/payload.schema.json");

/// Returns 2,261 recorded events, one per line.
#[must_use]
pub fn trail() -> String {
    let compressed = include_bytes!("../data/trail.ndjson.gz");
    std::io::read_to_string(GzDecoder::new(compressed.as_slice())).unwrap()
}

/// Returns the recorded events.
#[must_use]
pub fn all() -> Vec<Value> {
    NDJSON.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns a recorded event with the id `id`.
#[must_use]
pub fn with_id(id: &str) -> Value {
    let mut event = all().remove(0);
    event["auditEventId"] = id.into();
    event
}
