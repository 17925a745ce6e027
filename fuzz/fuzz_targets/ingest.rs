//! The body of an ingest request: each accepted event can be streamed as JSON with its
//! sequence.
#![no_main]

use auditstream_engine::trail::{BodyFormat, close, content_digest, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for format in [BodyFormat::Json, BodyFormat::Ndjson] {
        for event in parse(format, body, "default").unwrap_or_default() {
            let mut json = String::new();
            close(&mut json, &event.payload, 7, Some("1-9"));
            assert!(!json.contains('\n'), "one line an event");
            let read: serde_json::Value = serde_json::from_str(&json).expect("what is streamed is JSON");
            assert_eq!(read["auditEventMetadata"]["sequence"], 7);
            assert_eq!(read["auditEventMetadata"]["batchId"], "1-9");
            assert_eq!(content_digest(&event.payload), event.content_digest);
        }
    }
});
