//! The keys and content types of the objects in a bucket.

use std::fmt::Write as _;

use auditstream_model::{Compression, EpochMillis, Format, Sequence};
use jiff::Timestamp;

use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug)]
pub(crate) struct ObjectKey<'a> {
    pub(crate) account: &'a str,
    pub(crate) frozen: EpochMillis,
    pub(crate) number: i64,
    pub(crate) first_sequence: Sequence,
    pub(crate) last_sequence: Sequence,
    /// Of the destination, or of a renamed batch.
    pub(crate) uid: &'a str,
    pub(crate) format: Format,
    pub(crate) compression: Compression,
}

impl ObjectKey<'_> {
    /// Returns the key without the destination's prefix.
    pub(crate) fn render(&self) -> Result<String> {
        let mut key = folder(self.account, self.frozen)?;
        // Writing to a string cannot fail.
        let _ = write!(
            key,
            "{:012}_{}-{}_{}",
            self.number, self.first_sequence, self.last_sequence, self.uid
        );
        key.push_str(match self.format {
            Format::Ndjson => ".ndjson",
            Format::JsonArray => ".json",
        });
        key.push_str(match self.compression {
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
            Compression::None => "",
        });
        Ok(key)
    }
}

/// Returns the folder of the objects that are frozen in an hour, without the destination's prefix.
pub(crate) fn folder(account: &str, frozen: EpochMillis) -> Result<String> {
    let moment = Timestamp::from_millisecond(frozen).map_err(|error| Error::Broken(error.to_string()))?;
    Ok(format!("account={account}/dt={}/", moment.strftime("%Y-%m-%d/hour=%H")))
}

/// Returns the `Content-Type` of an object; only the key shows the compression.
pub(crate) fn content_type(format: Format) -> &'static str {
    match format {
        Format::Ndjson => "application/x-ndjson",
        Format::JsonArray => "application/json",
    }
}

/// Returns 80 random bits in base32: the part of an object's key that separates the objects of a
/// destination from those that it sent before a replay.
pub(crate) fn new_uid() -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: u128 = rand::random();
    (0..16)
        .map(|place| char::from(DIGITS[usize::try_from((bits >> (place * 5)) & 31).unwrap_or(0)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_agreed_layout() {
        let key = ObjectKey {
            account: "default",
            frozen: 1_688_989_356_000,
            number: 7,
            first_sequence: 1,
            last_sequence: 9,
            uid: "ABC",
            format: Format::Ndjson,
            compression: Compression::Gzip,
        };
        assert_eq!(
            key.render().unwrap(),
            "account=default/dt=2023-07-10/hour=11/000000000007_1-9_ABC.ndjson.gz"
        );
    }
}
