//! How objects are compressed, and the levels of each compression.

use std::ops::RangeInclusive;

use crate::wire_names::wire_names;

wire_names! {
    /// How an object is compressed.
    #[derive(Default)]
    pub enum Compression {
        /// gzip, RFC 1952.
        #[default]
        Gzip = "gzip",
        /// Zstandard, RFC 8878.
        Zstd = "zstd",
        /// Not compressed.
        None = "none",
    }
}

impl Compression {
    /// Returns the levels, from the fastest to the one with the smallest objects; `None` without
    /// compression.
    #[must_use]
    pub const fn levels(self) -> Option<RangeInclusive<u8>> {
        match self {
            Self::Gzip => Some(1..=9),
            Self::Zstd => Some(1..=19),
            Self::None => None,
        }
    }

    /// Returns the default level; `None` without compression.
    #[must_use]
    pub const fn default_level(self) -> Option<u8> {
        match self {
            Self::Gzip => Some(6),
            Self::Zstd => Some(3),
            Self::None => None,
        }
    }
}
