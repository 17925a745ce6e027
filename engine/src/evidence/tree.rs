//! The Merkle tree of RFC 6962: SHA-256, with 0x00 before a leaf and 0x01 before two nodes.

use sha2::{Digest, Sha256};

use super::Malformed;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Returns the hash of a leaf.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(leaf);
    hasher.finalize().into()
}

/// Returns the hash of a node with two children.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut node = [1; 65];
    node[1..33].copy_from_slice(left);
    node[33..].copy_from_slice(right);
    Sha256::digest(node).into()
}

/// The roots of the complete subtrees that a tree consists of, the largest first. This is all that
/// is needed to add leaves and to compute the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactRange {
    size: u64,
    roots: Vec<Hash>,
}

impl CompactRange {
    /// Creates an empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            size: 0,
            roots: Vec::new(),
        }
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        let mut rest = self.size;
        while rest & 1 == 1
            && let Some(left) = self.roots.pop()
        {
            node = node_hash(&left, &node);
            rest >>= 1;
        }
        self.roots.push(node);
        self.size += 1;
    }

    /// Returns the root; that of an empty tree is the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(last) = roots.next() else {
            return Sha256::digest([]).into();
        };
        roots.fold(*last, |right, left| node_hash(left, &right))
    }

    /// Returns the roots of the subtrees, one after another.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.roots.concat()
    }

    /// Reads the roots of the subtrees of a tree with `size` leaves.
    ///
    /// # Errors
    /// [`Malformed`] if a tree of this size has another number of subtrees.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Result<Self, Malformed> {
        let (roots, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || u64::from(size.count_ones()) != roots.len() as u64 {
            return Err(Malformed::new(format!(
                "a tree of {size} leaves does not have {} subtrees",
                roots.len()
            )));
        }
        Ok(Self {
            size,
            roots: roots.to_vec(),
        })
    }
}

impl Extend<Hash> for CompactRange {
    fn extend<I: IntoIterator<Item = Hash>>(&mut self, leaves: I) {
        for leaf in leaves {
            self.push(leaf);
        }
    }
}

/// Returns the root over leaf hashes.
#[must_use]
pub fn root_of(leaves: impl IntoIterator<Item = Hash>) -> Hash {
    let mut range = CompactRange::new();
    range.extend(leaves);
    range.root()
}

/// Returns the number of leaves of the left subtree: the largest power of two below `size`.
fn split(size: usize) -> usize {
    size.next_power_of_two() / 2
}

/// Returns the siblings on the way from a leaf to the root, the lowest first; `None` if there is no
/// such leaf.
#[must_use]
pub fn inclusion_proof(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut proof, sibling) = match index.checked_sub(left.len()) {
        None => (inclusion_proof(left, index)?, right),
        Some(index) => (inclusion_proof(right, index)?, left),
    };
    proof.push(root_of(sibling.iter().copied()));
    Some(proof)
}

/// Returns whether a proof shows that the tree with this size and root has this leaf.
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Returns the proof that a tree is a continuation of the one over its first `old` leaves; `None`
/// if it has fewer, or `old` is 0.
#[must_use]
pub fn consistency_proof(leaves: &[Hash], old: usize) -> Option<Vec<Hash>> {
    (old > 0 && old <= leaves.len()).then(|| subproof(leaves, old, true))
}

fn subproof(leaves: &[Hash], old: usize, is_whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if is_whole {
            Vec::new()
        } else {
            vec![root_of(leaves.iter().copied())]
        };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut proof, sibling) = if old <= left.len() {
        (subproof(left, old, is_whole), right)
    } else {
        (subproof(right, old - left.len(), false), left)
    };
    proof.push(root_of(sibling.iter().copied()));
    proof
}

/// Returns whether a proof shows that the newer tree continues the older one. Sizes come with their
/// roots.
#[must_use]
pub fn verify_consistency(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == 0 || old_size > new_size {
        return false;
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    let mut proof = proof.iter();
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let first = if node == 0 { Some(old_root) } else { proof.next() };
    let Some(first) = first else { return false };
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

#[cfg(test)]
mod tests {
    use super::super::encoding::{from_hex, to_hex};
    use super::*;

    /// The leaves and the roots of the first 0, 1, 2 … of them in the tests of Certificate
    /// Transparency.
    const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    /// RFC 6962 word by word.
    fn defined_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                node_hash(&defined_root(left), &defined_root(right))
            }
        }
    }

    fn numbered(count: u32) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    #[test]
    fn roots_are_those_of_the_published_vectors() {
        let mut range = CompactRange::new();
        for (leaf, root) in LEAVES.iter().zip(ROOTS) {
            assert_eq!(to_hex(&range.root()), root);
            range.push(leaf_hash(leaf));
        }
        assert_eq!(to_hex(&range.root()), ROOTS[8]);
    }

    #[test]
    fn proofs_are_those_of_the_published_vectors() {
        let leaves: Vec<Hash> = LEAVES.iter().map(|leaf| leaf_hash(leaf)).collect();
        let proof: Vec<String> = inclusion_proof(&leaves, 0)
            .unwrap()
            .iter()
            .map(|hash| to_hex(hash))
            .collect();
        assert_eq!(
            proof,
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ]
        );
        let root = from_hex(ROOTS[8]).unwrap();
        let proof = inclusion_proof(&leaves, 0).unwrap();
        assert!(verify_inclusion(&leaves[0], 0, 8, &proof, &root));
    }

    #[test]
    fn a_range_that_was_stored_at_any_size_continues_to_the_defined_root() {
        let leaves = numbered(130);
        let mut range = CompactRange::new();
        for (index, leaf) in leaves.iter().enumerate() {
            assert_eq!(range.root(), defined_root(&leaves[..index]), "{index}");
            let stored = CompactRange::from_bytes(range.size(), &range.to_bytes()).unwrap();
            assert_eq!(stored, range);
            range.push(*leaf);
        }
        assert!(CompactRange::from_bytes(3, &[0; 32]).is_err());
        assert!(CompactRange::from_bytes(1, &[0; 33]).is_err());
    }

    #[test]
    fn only_the_right_proofs_of_inclusion_are_valid() {
        for size in [1, 2, 3, 7, 8, 13] {
            let leaves = numbered(size);
            let root = root_of(leaves.iter().copied());
            for index in 0..leaves.len() {
                let proof = inclusion_proof(&leaves, index).unwrap();
                let verify = |leaf: &Hash, at: usize, proof: &[Hash]| {
                    verify_inclusion(leaf, at as u64, u64::from(size), proof, &root)
                };
                assert!(verify(&leaves[index], index, &proof));
                assert!(!verify(&[9; 32], index, &proof));
                assert!(!verify(&leaves[index], index + 1, &proof));
                assert!(!verify(&leaves[index], index, &[proof.as_slice(), &[[0; 32]]].concat()));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!verify(&leaves[index], index, shorter));
                }
            }
        }
        assert_eq!(inclusion_proof(&numbered(3), 3), None);
    }

    #[test]
    fn only_the_right_proofs_of_consistency_are_valid() {
        let leaves = numbered(13);
        let root = |size: usize| root_of(leaves[..size].iter().copied());
        for new in 1..=leaves.len() {
            for old in 1..=new {
                let proof = consistency_proof(&leaves[..new], old).unwrap();
                let (old_root, new_root) = (root(old), root(new));
                let verify = |old_root: &Hash, new_root: &Hash, proof: &[Hash]| {
                    verify_consistency((old as u64, old_root), (new as u64, new_root), proof)
                };
                assert!(verify(&old_root, &new_root, &proof), "{old} {new}");
                assert!(!verify(&[9; 32], &new_root, &proof), "{old} {new}");
                assert!(!verify(&old_root, &[9; 32], &proof), "{old} {new}");
                let longer = [proof.as_slice(), &[[0; 32]]].concat();
                assert!(!verify(&old_root, &new_root, &longer), "{old} {new}");
            }
        }
        assert_eq!(consistency_proof(&leaves, 0), None);
        assert_eq!(consistency_proof(&leaves, 14), None);
    }
}
