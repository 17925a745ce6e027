//! The files of a tree, as C2SP `tlog-tiles` lays them out: tiles of up to 256 hashes, and bundles
//! of up to 256 entries.

use super::Malformed;
use super::tree::{CompactRange, Hash};

/// The hashes of a full tile, and the entries of a full bundle.
pub const WIDTH: u64 = 256;

/// 256 consecutive hashes of a level, or fewer at the tree's right edge. A hash of level 0 is that
/// of an entry; a hash of another level is the root over a full tile of the level below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// The level, from the leaves on.
    pub level: u8,
    /// The position among the tiles of the level.
    pub index: u64,
    /// The number of hashes, 1 to 256.
    pub width: u64,
}

impl Tile {
    /// Returns the path within the log's folder.
    #[must_use]
    pub fn path(&self) -> String {
        format!("tile/{}/{}", self.level, index_path(self.index, self.width))
    }

    /// The position of the first hash in its level.
    #[must_use]
    pub fn begin(&self) -> u64 {
        self.index * WIDTH
    }
}

/// Returns the path of a bundle of entries within the log's folder.
#[must_use]
pub fn entries_path(index: u64, width: u64) -> String {
    format!("tile/entries/{}", index_path(index, width))
}

/// Returns groups of three digits, all but the last after an `x`, and the width if it is partial.
fn index_path(index: u64, width: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path.insert_str(0, &format!("x{:03}/", rest % 1000));
        rest /= 1000;
    }
    if width < WIDTH {
        path.push_str(&format!(".p/{width}"));
    }
    path
}

/// Returns the tiles of a tree of `new` leaves that a tree of `old` leaves lacks or has with fewer
/// hashes, level by level.
#[must_use]
pub fn tiles_between(old: u64, new: u64) -> Vec<Tile> {
    let mut tiles = Vec::new();
    for level in 0..8 {
        let (before, hashes) = (old >> (8 * level), new >> (8 * level));
        if hashes <= before {
            break;
        }
        for index in before / WIDTH..=(hashes - 1) / WIDTH {
            let width = WIDTH.min(hashes - index * WIDTH);
            tiles.push(Tile { level, index, width });
        }
    }
    tiles
}

/// Returns the root over the hashes of a full tile: the hash of the next level.
#[must_use]
pub fn root_of_tile(hashes: &[Hash]) -> Hash {
    let mut range = CompactRange::new();
    range.extend(hashes.iter().copied());
    range.root()
}

/// Reads the hashes of a tile.
///
/// # Errors
/// [`Malformed`] if there are not `width` of them.
pub fn parse_tile(bytes: &[u8], width: u64) -> Result<Vec<Hash>, Malformed> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() || hashes.len() as u64 != width {
        return Err(Malformed::new(format!(
            "a tile of {width} hashes has {} bytes, not {}",
            bytes.len(),
            width * 32
        )));
    }
    Ok(hashes.to_vec())
}

/// Appends an entry to a bundle: its length in two bytes, the high one first, and its bytes.
///
/// # Errors
/// [`Malformed`] if it has 65,536 bytes or more.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), Malformed> {
    let length = u16::try_from(entry.len()).map_err(|_| Malformed::new("an entry has 65,536 bytes or more"))?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// Reads the entries of a bundle.
///
/// # Errors
/// [`Malformed`] if it ends inside an entry.
pub fn parse_bundle(bundle: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    let (mut entries, mut rest) = (Vec::new(), bundle);
    while !rest.is_empty() {
        let parts = rest
            .split_first_chunk::<2>()
            .and_then(|(length, rest)| rest.split_at_checked(usize::from(u16::from_be_bytes(*length))));
        let (entry, after) = parts.ok_or_else(|| Malformed::new("a bundle ends inside an entry"))?;
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::super::tree::{leaf_hash, root_of};
    use super::*;

    fn path(level: u8, index: u64, width: u64) -> String {
        Tile { level, index, width }.path()
    }

    #[test]
    fn paths_are_those_of_tlog_tiles() {
        assert_eq!(path(0, 0, 256), "tile/0/000");
        assert_eq!(path(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(1, 1000, 112), "tile/1/x001/000.p/112");
        assert_eq!(entries_path(5, 256), "tile/entries/005");
        assert_eq!(entries_path(1_234_067, 1), "tile/entries/x001/x234/067.p/1");
    }

    #[test]
    fn the_tiles_of_a_tree_of_70_000_are_those_of_the_specification() {
        let tiles = tiles_between(0, 70_000);
        let of_level = |level| tiles.iter().filter(move |tile| tile.level == level);
        assert_eq!(of_level(0).count(), 274);
        let last = |level| of_level(level).next_back().copied().unwrap().path();
        assert_eq!(last(0), "tile/0/273.p/112");
        assert_eq!((of_level(1).count(), last(1)), (2, "tile/1/001.p/17".to_owned()));
        assert_eq!((of_level(2).count(), last(2)), (1, "tile/2/000.p/1".to_owned()));
        assert_eq!(of_level(3).count(), 0);
    }

    #[test]
    fn a_step_changes_the_last_tile_of_a_level_only_when_the_level_below_is_complete() {
        let paths = |old, new| {
            let tiles = tiles_between(old, new);
            tiles.iter().map(Tile::path).collect::<Vec<_>>()
        };
        assert_eq!(paths(1, 2), ["tile/0/000.p/2"]);
        assert_eq!(paths(255, 256), ["tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(paths(256, 257), ["tile/0/001.p/1"]);
        assert_eq!(paths(511, 513), ["tile/0/001", "tile/0/002.p/1", "tile/1/000.p/2"]);
        assert!(paths(7, 7).is_empty());
    }

    #[test]
    fn the_root_of_a_full_tile_is_a_node_of_the_tree() {
        let leaves: Vec<_> = (0..512_u32).map(|number| leaf_hash(&number.to_be_bytes())).collect();
        let nodes = [root_of_tile(&leaves[..256]), root_of_tile(&leaves[256..])];
        assert_eq!(root_of(nodes), root_of(leaves));
    }

    #[test]
    fn bundles_return_the_entries_that_were_put_in() {
        let mut bundle = Vec::new();
        for entry in [b"one".as_slice(), b"", &[7; 4096]] {
            push_entry(&mut bundle, entry).unwrap();
        }
        assert_eq!(bundle[..5], *b"\0\x03one");
        assert_eq!(parse_bundle(&bundle).unwrap(), [b"one".as_slice(), b"", &[7; 4096]]);
        assert!(parse_bundle(&bundle[..bundle.len() - 1]).is_err());
        assert!(parse_bundle(&bundle[..1]).is_err());
        assert!(push_entry(&mut bundle, &[0; 65_536]).is_err());
        assert_eq!(parse_tile(&[1; 64], 2).unwrap(), [[1; 32], [1; 32]]);
        assert!(parse_tile(&[1; 64], 3).is_err());
    }
}
