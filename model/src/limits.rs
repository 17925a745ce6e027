//! Every limit in one place, each with its unit.

/// Bytes of one audit event as received.
pub const EVENT_BYTES: usize = 1 << 20;
/// Bytes of one ingest request after decompression.
pub const REQUEST_BYTES: usize = 16 << 20;
/// Events of one ingest request.
pub const REQUEST_EVENTS: usize = 10_000;
/// Events of one batch by default.
pub const BATCH_EVENTS: u32 = 10_000;
/// Most events of one batch.
pub const MAX_BATCH_EVENTS: u32 = 100_000;
/// Bytes of one batch before compression, by default.
pub const BATCH_BYTES: u32 = 16 << 20;
/// Fewest bytes to which a batch can be limited. A larger event is alone in its batch.
pub const MIN_BATCH_BYTES: u32 = 1 << 20;
/// Most bytes of one batch before compression.
pub const MAX_BATCH_BYTES: u32 = 64 << 20;
/// Seconds between two runs of a destination with its own interval.
pub const INTERVAL_SECONDS: std::ops::RangeInclusive<u32> = 10..=86_400;
/// Bytes of batches in memory, over all runs of one server: two batches of the largest size, each
/// with its compressed form. Failing destinations get half of it.
pub const STREAMING_BYTES: usize = 192 << 20;
/// Destinations that one server streams to at once.
pub const STREAMING_RUNS: usize = 256;
/// Nesting depth of an event's objects and arrays. JSON parsers commonly stop at 100 or 128.
pub const EVENT_DEPTH: usize = 64;
/// Invalid events that an error response names; it always has their total.
pub const NAMED_INVALID_EVENTS: usize = 100;
/// Rows of a page by default.
pub const DEFAULT_PAGE_ROWS: u32 = 30;
/// Most rows of a page.
pub const MAX_PAGE_ROWS: u32 = 100;
/// Characters of a search text.
pub const MAX_SEARCH_CHARS: usize = 1_000;
/// Bytes of the events of one page; a page ends earlier rather than exceed them.
pub const PAGE_BYTES: usize = 4 << 20;
/// Rows that one search looks at.
pub const SEARCH_ROWS: u32 = 50_000;
/// Bytes of events in which one search looks for a text.
pub const SEARCH_BYTES: usize = 32 << 20;
/// Events of one page of an export.
pub const EXPORT_ROWS: u32 = 2_000;
/// How far the time of an event may be ahead of the server's clock before the event counts as
/// dated in the future, ms.
pub const FUTURE_AFTER_MS: i64 = 300_000;
/// Characters of an identifier.
pub const IDENTIFIER_CHARS: usize = 128;
/// Characters of a name.
pub const NAME_CHARS: usize = 128;
/// Characters of an account's name.
pub const ACCOUNT_NAME_CHARS: usize = 64;
/// Characters of a description.
pub const DESCRIPTION_CHARS: usize = 1024;
/// Tags of one connector or destination.
pub const TAGS: usize = 128;
/// Characters of a tag's key, and of its value.
pub const TAG_CHARS: usize = 128;
/// Bytes of an object key: AWS' own limit.
pub const KEY_BYTES: usize = 1024;
/// Bytes of a prefix; leaves enough of [`KEY_BYTES`] for the rest of the key.
pub const PREFIX_BYTES: usize = 512;
/// Characters of the id or ARN of a KMS key.
pub const KMS_KEY_CHARS: usize = 2_048;
/// The longest delay between two attempts.
pub const MAX_BACKOFF_MS: u64 = 600_000;
/// Attempts after the first.
pub const MAX_RETRIES: u32 = 20;
/// Fewest characters of a password. NIST SP 800-63B requires 8, or 15 where a password is the only
/// factor.
pub const MIN_PASSWORD_CHARS: usize = 12;
/// Most characters of a password: hashing a longer one only costs time.
pub const MAX_PASSWORD_CHARS: usize = 256;
/// Days until an API token expires, unless it never does.
pub const TOKEN_DAYS: std::ops::RangeInclusive<u32> = 1..=3650;
