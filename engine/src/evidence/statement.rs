//! The statements of a log. An entry of the log is a statement as JSON, and is hashed and stored as
//! it was written once.
//!
//! Every entry has the members `statement`, its name, and `time`, when it was recorded, in
//! milliseconds since 1970 in UTC, never decreasing within a log. Hashes are in lower-case
//! hexadecimal, keys of objects complete with the destination's prefix. A member that would be null
//! or empty may be left out, and members that are not listed are allowed.

use auditstream_model::{Compression, EpochMillis, Format, Sequence};
use serde::{Deserialize, Serialize};

use super::Malformed;
use super::encoding::{base64_key, hex, hex_or_null};
use super::tree::Hash;

/// The version of the format.
pub const FORMAT: u32 = 1;
/// The most bytes of an entry.
pub const MAX_BYTES: usize = 4096;

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When the statement was recorded.
    pub time: EpochMillis,
    /// The statement.
    #[serde(flatten)]
    pub statement: Statement,
}

impl Entry {
    /// Returns the bytes that are hashed and stored.
    ///
    /// # Errors
    /// [`Malformed`] if there are more than [`MAX_BYTES`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, Malformed> {
        let bytes = serde_json::to_vec(self).map_err(|error| Malformed::new(error.to_string()))?;
        if bytes.len() > MAX_BYTES {
            return Err(Malformed::new(format!(
                "a statement has {} bytes, the most are {MAX_BYTES}",
                bytes.len()
            )));
        }
        Ok(bytes)
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// [`Malformed`] with the reason.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_BYTES {
            return Err(Malformed::new(format!("an entry has more than {MAX_BYTES} bytes")));
        }
        serde_json::from_slice(bytes).map_err(|error| Malformed::new(error.to_string()))
    }
}

/// The statements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "statement", rename_all = "snake_case")]
pub enum Statement {
    /// The log begins. Always the first entry, and only that.
    Open(Open),
    /// An object is in the bucket.
    Segment(Segment),
    /// The state at an hour, also when nothing happened.
    Hour(Hour),
    /// An admin paused the destination.
    Pause(Head),
    /// An admin activated the destination again.
    Resume(Head),
    /// An admin gave up a range of events, which begins after the cursor.
    Skip(Range),
    /// An admin moved the cursor back before a range, which is sent again.
    Replay(Range),
    /// An object is sent under a new name.
    Renamed(Renamed),
    /// The destination continues at another place. The last entry.
    Moved(Moved),
    /// The log ends. The last entry.
    Close(Close),
    /// Nothing could be recorded for some time.
    Absent(Absent),
    /// The database is older than the bucket: numbers were lost.
    Restored(Restored),
    /// The objects expire.
    Expiry(Expiry),
    /// Objects were removed on purpose.
    Erased(Erased),
    /// The next key, which signs from now on.
    Key(Key),
}

/// The beginning of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// [`FORMAT`].
    pub format: u32,
    /// The installation, 16 hexadecimal digits.
    pub installation: String,
    /// The account's name.
    pub account: String,
    /// The destination's identifier.
    pub destination: String,
    /// The endpoint of the store; `None` for AWS.
    pub endpoint: Option<String>,
    /// The bucket.
    pub bucket: String,
    /// The prefix of every key.
    pub prefix: String,
    /// The first sequence that the log proves.
    pub first: Sequence,
    /// The newest sequence of the trail.
    pub newest: Sequence,
    /// Whether the destination is active; if not, it is as after a pause.
    pub active: bool,
    /// The key that signs the log, in base64.
    #[serde(with = "base64_key")]
    pub public_key: [u8; 32],
    /// The log before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// Why there is another log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A log that another one continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its name.
    pub origin: String,
    /// The number of its entries, as far as the database knows.
    pub size: u64,
    /// The root over them.
    #[serde(with = "hex")]
    pub root: Hash,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The key.
    pub key: String,
    /// The bytes of the object as stored; `None` if it may not be read.
    pub bytes: Option<u64>,
    /// SHA-256 of the object as stored; `None` if it may not be read.
    #[serde(with = "hex_or_null")]
    pub sha256: Option<Hash>,
    /// Whether the object was found in the bucket and may not be read.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unreadable: bool,
    /// SHA-256 of the content before compression.
    #[serde(with = "hex")]
    pub content_sha256: Hash,
    /// How the events are separated.
    pub format: Format,
    /// How the content is compressed.
    pub compression: Compression,
    /// The first sequence.
    pub first: Sequence,
    /// The last sequence.
    pub last: Sequence,
    /// The number of events.
    pub count: i64,
    /// The root over the leaves of the events.
    #[serde(with = "hex")]
    pub root: Hash,
    /// The smallest `auditEventTime`.
    pub oldest: EpochMillis,
    /// The largest `auditEventTime`.
    pub newest: EpochMillis,
}

/// The state at an hour. Up to the cursor everything is in segments or declared; no number above
/// the newest had been given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hour {
    /// When the hour began, a multiple of 3,600,000.
    pub hour: EpochMillis,
    /// The last confirmed sequence.
    pub cursor: Sequence,
    /// The newest sequence of the trail.
    pub newest: Sequence,
}

/// The head of the trail at a pause or at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The last confirmed sequence.
    pub cursor: Sequence,
    /// The newest sequence of the trail.
    pub newest: Sequence,
    /// The audit event that recorded the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Sequence>,
}

/// A range of events that is skipped or sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The first sequence.
    pub first: Sequence,
    /// The last sequence.
    pub last: Sequence,
    /// The `uid` in the keys of later objects.
    pub uid: String,
    /// The audit event that recorded the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Sequence>,
    /// Keys at which an object may be that no statement names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubt: Vec<String>,
}

/// An object that is sent under another key, because its key was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    /// The first sequence.
    pub first: Sequence,
    /// The last sequence.
    pub last: Sequence,
    /// The key at which a foreign object is.
    pub old: String,
    /// The key that is sent from now on.
    pub key: String,
    /// The audit event that recorded the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Sequence>,
}

/// The place at which a destination continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The endpoint of the store; `None` for AWS.
    pub endpoint: Option<String>,
    /// The bucket.
    pub bucket: String,
    /// The prefix of every key.
    pub prefix: String,
    /// The name of the next log.
    pub next: String,
    /// Why it moved.
    pub why: String,
    /// The last confirmed sequence.
    pub cursor: Sequence,
    /// The newest sequence of the trail.
    pub newest: Sequence,
    /// The audit event that recorded the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Sequence>,
    /// Keys at which an object may be that no statement names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubt: Vec<String>,
}

/// The end of a destination, or of its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// `deleted`, `switched_off`, `key_compromised` or `not_confirmed`.
    pub why: String,
    /// The last confirmed sequence.
    pub cursor: Sequence,
    /// The newest sequence of the trail.
    pub newest: Sequence,
    /// The audit event that recorded the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Sequence>,
    /// Keys at which an object may be that no statement names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubt: Vec<String>,
}

/// A time in which no server or no database could record anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The last time at which something was recorded.
    pub from: EpochMillis,
    /// When recording continued.
    pub to: EpochMillis,
}

/// Sequences that a restore from a backup lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The first sequence that no event has.
    pub first: Sequence,
    /// The last sequence that no event has.
    pub last: Sequence,
    /// The sequence at which numbering continues.
    pub next: Sequence,
    /// When the restore was declared.
    pub declared: EpochMillis,
}

/// The time after which objects may be gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// The days that each object stays.
    pub days: u32,
    /// The audit event that recorded the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Sequence>,
}

/// Objects that were removed on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// Their keys.
    pub keys: Vec<String>,
    /// Why they were removed.
    pub why: String,
    /// The audit event that recorded the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Sequence>,
}

/// The next key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// 2 for the second key, and so on: that of `keys/{n}.vkey`.
    pub number: u32,
    /// The key, in base64.
    #[serde(with = "base64_key")]
    pub public_key: [u8; 32],
    /// The audit event that recorded the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Sequence>,
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_the_agreed_members() {
        let entry = Entry {
            time: 7,
            statement: Statement::Segment(Segment {
                key: "p/account=a/1.ndjson".to_owned(),
                bytes: None,
                sha256: None,
                unreadable: true,
                content_sha256: [1; 32],
                format: Format::JsonArray,
                compression: Compression::Zstd,
                first: 3,
                last: 4,
                count: 2,
                root: [2; 32],
                oldest: 5,
                newest: 6,
            }),
        };
        let bytes = entry.to_bytes().unwrap();
        let expected = format!(
            r#"{{"time":7,"statement":"segment","key":"p/account=a/1.ndjson","bytes":null,"sha256":null,"unreadable":true,"content_sha256":"{}","format":"json_array","compression":"zstd","first":3,"last":4,"count":2,"root":"{}","oldest":5,"newest":6}}"#,
            "01".repeat(32),
            "02".repeat(32)
        );
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
        assert_eq!(Entry::parse(&bytes).unwrap(), entry);
    }

    #[test]
    fn members_that_are_empty_or_unknown_may_be_there_or_not() {
        let entry = Entry::parse(br#"{"statement":"skip","time":1,"first":1,"last":2,"uid":"A","more":[]}"#).unwrap();
        let Statement::Skip(range) = &entry.statement else {
            panic!("{entry:?}");
        };
        assert_eq!((range.event, range.doubt.as_slice()), (None, [].as_slice()));
        let bytes = entry.to_bytes().unwrap();
        assert_eq!(bytes, br#"{"time":1,"statement":"skip","first":1,"last":2,"uid":"A"}"#);
        assert!(Entry::parse(br#"{"statement":"other","time":1}"#).is_err());
        assert!(Entry::parse(br#"{"statement":"absent","time":1,"from":1}"#).is_err());
    }

    #[test]
    fn an_entry_has_at_most_four_kibibytes() {
        let entry = |count: usize| Entry {
            time: 1,
            statement: Statement::Erased(Erased {
                keys: vec!["k".repeat(count)],
                why: String::new(),
                event: None,
            }),
        };
        let overhead = entry(0).to_bytes().unwrap().len();
        let longest = entry(MAX_BYTES - overhead).to_bytes().unwrap();
        assert_eq!(longest.len(), MAX_BYTES);
        assert!(Entry::parse(&longest).is_ok());
        assert!(entry(MAX_BYTES - overhead + 1).to_bytes().is_err());
    }
}
