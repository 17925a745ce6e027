//! Compressed bytes with a checksum, by which damage is found.

use zstd::bulk::{Compressor, decompress};

use super::Damaged;
use crate::error::{Error, Result};

/// The most bytes of a part of a block: far more than are ever written.
const MOST_BYTES: usize = 16 << 20;

/// Compresses parts of blocks.
pub(super) struct Packer(Compressor<'static>);

impl Packer {
    pub(super) fn new() -> Result<Self> {
        let mut compressor = Compressor::new(3).map_err(broken)?;
        compressor.include_checksum(true).map_err(broken)?;
        Ok(Self(compressor))
    }

    pub(super) fn pack(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.0.compress(bytes).map_err(broken)
    }
}

pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>, Damaged> {
    decompress(packed, MOST_BYTES).map_err(|_| Damaged)
}

fn broken(error: std::io::Error) -> Error {
    Error::Broken(format!("the search index cannot be compressed: {error}"))
}
