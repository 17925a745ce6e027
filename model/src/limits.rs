//! Every limit in one place, each with its unit.

/// Bytes of one audit event as sent.
pub const EVENT_BYTES: usize = 1 << 20;
/// Bytes of one ingest request after decompression.
pub const REQUEST_BYTES: usize = 16 << 20;
/// Events of one ingest request, and of one batch.
pub const REQUEST_EVENTS: usize = 10_000;
/// Events of one batch.
pub const BATCH_EVENTS: usize = 10_000;
/// Bytes of one batch before compression.
pub const BATCH_BYTES: usize = 16 << 20;
/// Bytes of batches that all runs of one server hold in memory at once.
pub const STREAMING_BYTES: usize = 128 << 20;
/// Destinations that one server streams to at once.
pub const STREAMING_RUNS: usize = 256;
/// How deep the objects and arrays of an event may nest. Readers of JSON commonly stop at 100 or 128.
pub const EVENT_DEPTH: usize = 64;
/// Invalid events that a refusal names; the total is always told.
pub const NAMED_INVALID_EVENTS: usize = 100;
/// Rows of a page unless asked otherwise.
pub const PAGE_ROWS: u32 = 30;
/// Rows of a page at most.
pub const MAX_PAGE_ROWS: u32 = 100;
/// Characters that the trail is searched for.
pub const MAX_SEARCH_CHARS: usize = 1_000;
/// Characters of an identifier.
pub const IDENTIFIER_CHARS: usize = 128;
/// Characters of a name.
pub const NAME_CHARS: usize = 128;
/// Characters of a description.
pub const DESCRIPTION_CHARS: usize = 1024;
/// Tags of one thing.
pub const TAGS: usize = 128;
/// Characters of a tag's key, and of its value.
pub const TAG_CHARS: usize = 128;
/// Bytes of an object key, as AWS has it.
pub const KEY_BYTES: usize = 1024;
/// Bytes of a prefix: what a key adds to it fits into [`KEY_BYTES`].
pub const PREFIX_BYTES: usize = 512;
/// Characters of a password, at least. NIST SP 800-63B asks for 8, and for 15 where it is the only factor.
pub const PASSWORD_CHARS: usize = 12;
/// Characters of a password, at most: hashing a longer one would only cost time.
pub const MAX_PASSWORD_CHARS: usize = 256;
/// Days until an API token stops to be good, where it has an end.
pub const TOKEN_DAYS: std::ops::RangeInclusive<u32> = 1..=3650;
