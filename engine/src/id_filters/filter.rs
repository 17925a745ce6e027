//! A binary fuse filter over the ids of one generation.

use std::fmt;

use sha2::{Digest as _, Sha256};
use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable as _, Filter as _, FilterRef as _};

/// The first 16 bytes of the SHA-256 of an `auditEventId`.
pub(crate) type IdDigest = [u8; 16];

/// The first 16 bytes of the SHA-256 of a stored filter, with the generation that it belongs to.
pub(crate) type Checksum = [u8; 16];

/// The number of the stored form. Filters with another number are rebuilt.
const FORMAT: u8 = 1;
const DESCRIPTOR_BYTES: usize = BinaryFuse8::DESCRIPTOR_LEN;
const HEAD_BYTES: usize = 1 + DESCRIPTOR_BYTES;

/// The filter of a generation. It contains every id digest that the generation has, and about one
/// in 256 of the others.
pub(crate) struct IdFilter {
    /// The format, the descriptor, and the fingerprints.
    bytes: Box<[u8]>,
    checksum: Checksum,
}

impl fmt::Debug for IdFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdFilter({} bytes)", self.bytes.len())
    }
}

impl IdFilter {
    /// The number of bytes of the filter of a generation of `ids`.
    pub(crate) fn expected_bytes(ids: usize) -> usize {
        ids + ids / 8 + HEAD_BYTES
    }

    /// Builds the filter of a generation from [`key`]s in ascending order.
    ///
    /// # Errors
    /// Returns the reason if a thousand seeds failed, which does not occur in practice.
    pub(crate) fn build(account_id: i64, generation: i64, mut keys: Vec<u64>) -> Result<Self, &'static str> {
        // Different digests can have the same key.
        keys.dedup();
        let fuse = BinaryFuse8::try_from(keys)?;
        let mut bytes = vec![0; HEAD_BYTES];
        if let Some((format, descriptor)) = bytes.split_first_mut() {
            *format = FORMAT;
            fuse.dma_copy_descriptor_to(descriptor);
        }
        bytes.extend_from_slice(fuse.dma_fingerprints());
        Ok(Self {
            checksum: checksum(account_id, generation, &bytes),
            bytes: bytes.into_boxed_slice(),
        })
    }

    /// Reads the stored filter of a generation. Returns `None` if it is damaged or of another
    /// format.
    pub(crate) fn from_stored(account_id: i64, generation: i64, bytes: Vec<u8>, stored: &[u8]) -> Option<Self> {
        let checksum = checksum(account_id, generation, &bytes);
        let is_known = bytes.len() > HEAD_BYTES && bytes.first() == Some(&FORMAT);
        (is_known && checksum == stored).then(|| Self {
            bytes: bytes.into_boxed_slice(),
            checksum,
        })
    }

    pub(crate) fn may_contain(&self, id: &IdDigest) -> bool {
        let (head, fingerprints) = self.bytes.split_at(HEAD_BYTES);
        let (_, descriptor) = head.split_at(1);
        BinaryFuse8Ref::from_dma(descriptor, fingerprints).contains(&key(id))
    }

    /// The stored form.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn checksum(&self) -> Checksum {
        self.checksum
    }
}

/// The part of a digest that a filter considers. Keys have the order of their digests.
pub(crate) fn key(id: &IdDigest) -> u64 {
    let (first, _) = id.split_at(8);
    first.iter().fold(0, |key, byte| key << 8 | u64::from(*byte))
}

fn checksum(account_id: i64, generation: i64, bytes: &[u8]) -> Checksum {
    let hash = Sha256::new()
        .chain_update(account_id.to_be_bytes())
        .chain_update(generation.to_be_bytes())
        .chain_update(bytes)
        .finalize();
    let mut checksum = Checksum::default();
    checksum.copy_from_slice(&hash[..16]);
    checksum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(range: std::ops::Range<u32>) -> Vec<IdDigest> {
        let mut ids: Vec<IdDigest> = range
            .map(|number| Sha256::digest(number.to_be_bytes())[..16].try_into().unwrap())
            .collect();
        ids.sort_unstable();
        ids
    }

    fn filter(ids: &[IdDigest]) -> IdFilter {
        IdFilter::build(7, 3, ids.iter().map(key).collect()).unwrap()
    }

    #[test]
    fn every_id_is_found_again_and_few_others_are() {
        for count in [0, 1, 2, 3, 10, 1_000, 20_000] {
            let own = ids(0..count);
            let filter = filter(&own);
            assert!(own.iter().all(|id| filter.may_contain(id)), "{count}");
            let others = ids(1 << 20..(1 << 20) + 10_000);
            let found = others.iter().filter(|id| filter.may_contain(id)).count();
            assert!(found < 100, "{found} of 10,000 with {count} ids");
            let bytes = filter.bytes().len();
            assert!(
                count < 20_000 || bytes < IdFilter::expected_bytes(own.len()) * 5 / 4,
                "{bytes}"
            );
        }
    }

    #[test]
    fn digests_with_the_same_key_are_both_found() {
        let mut twin = [5; 16];
        twin[15] = 6;
        let filter = filter(&[[5; 16], twin]);
        assert!(filter.may_contain(&[5; 16]) && filter.may_contain(&twin));
    }

    /// A stored filter is used for ever: other versions of the algorithm must find its ids.
    #[test]
    fn a_filter_that_was_stored_earlier_still_finds_its_ids() {
        let own = ids(0..40);
        let stored = filter(&own);
        assert_eq!(hex(&stored.checksum()), "ac437c80d1cef73523962b0e90827deb");
        let read = IdFilter::from_stored(7, 3, stored.bytes().to_vec(), &stored.checksum()).unwrap();
        assert!(own.iter().all(|id| read.may_contain(id)));
    }

    #[test]
    fn a_damaged_filter_and_that_of_another_generation_are_refused() {
        let stored = filter(&ids(0..40));
        let read = |account_id, generation, bytes: Vec<u8>| {
            IdFilter::from_stored(account_id, generation, bytes, &stored.checksum()).is_some()
        };
        assert!(read(7, 3, stored.bytes().to_vec()));
        assert!(!read(7, 4, stored.bytes().to_vec()) && !read(8, 3, stored.bytes().to_vec()));
        for at in [0, 1, HEAD_BYTES, stored.bytes().len() - 1] {
            let mut damaged = stored.bytes().to_vec();
            damaged[at] ^= 1;
            assert!(!read(7, 3, damaged), "byte {at}");
        }
        assert!(!read(7, 3, Vec::new()));
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
