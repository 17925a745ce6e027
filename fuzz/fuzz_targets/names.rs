//! Cursors, identifiers, bucket names, prefixes and bodies of a request: accepted values follow
//! their rules.
#![no_main]

use auditstream_engine::trail::parse_cursor;
use auditstream_model::{BucketName, ConnectorInput, DestinationInput, Identifier, Prefix};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = parse_cursor(text);
    if let Ok(identifier) = Identifier::parse(text) {
        assert_eq!(identifier.as_str(), text);
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$'));
    }
    if let Ok(bucket) = BucketName::parse(text) {
        assert_eq!(bucket.as_str(), text);
        // Up to 255 characters in old names of us-east-1.
        assert!((3..=255).contains(&text.len()) && (bucket.is_arn() || !text.contains('/')));
    }
    if let Ok(prefix) = Prefix::parse(text) {
        assert!(text.is_empty() || text.ends_with('/'));
        assert!(!prefix.as_str().split('/').any(|part| part == ".."), "it stays where it is");
    }
    if let Ok(input) = serde_json::from_str::<DestinationInput>(text) {
        let _ = input.parse(None);
    }
    if let Ok(input) = serde_json::from_str::<ConnectorInput>(text) {
        let _ = input.parse();
    }
});
