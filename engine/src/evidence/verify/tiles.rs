//! Whether every file of a log's tree is there and has the signed hashes and statements.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::super::tile::{parse_bundle, root_of_tile};
use super::super::tree::{Hash, leaf_hash};
use super::checkpoints::Checkpoints;
use super::log_files::{LogFiles, TILE_WIDTH, TileFile, full_tiles, partial_tiles};
use super::pool;
use super::report::{Finding, Findings, Kind};
use super::signed_tree::SignedTree;
use super::source::{Source, read};

/// Bytes of the largest file of a tree.
const FILE_BYTES: u64 = 2 << 20;
/// Statements of one file that are named.
const NAMED_STATEMENTS: usize = 10;

/// The files of the tree of one log.
pub(super) struct Tiles<'v> {
    pub(super) source: &'v dyn Source,
    pub(super) log: &'v LogFiles,
    pub(super) checkpoints: &'v Checkpoints,
    pub(super) tree: &'v SignedTree,
    pub(super) found: &'v Findings,
}

impl Tiles<'_> {
    /// Checks all of them.
    pub(super) fn check(&self) {
        self.check_presence();
        self.check_copies();
        let levels = levels(&self.tree.leaves, self.tree.proven);
        let signed: Vec<_> = self.log.tiles.iter().filter(|tile| self.is_signed(**tile)).collect();
        pool::map(self.source.readers(), &signed, |tile| {
            self.check_content(**tile, &levels)
        });
        let unsigned = self
            .log
            .tiles
            .iter()
            .filter(|tile| !self.is_signed(**tile) && tile.level.is_none())
            .count();
        let head = self.checkpoints.trusted.last().map_or(0, |head| head.size);
        if unsigned > 0 && self.tree.proven == head {
            let message = format!("statements after the first {head} are not signed yet, and were not looked at");
            self.found
                .add(Finding::new(Kind::NotYetSigned, message).of_log(self.checkpoints.origin()));
        }
    }

    fn is_signed(&self, tile: TileFile) -> bool {
        tile.tree_size().is_some_and(|size| size <= self.tree.proven)
    }

    fn check_presence(&self) {
        let sizes = self.checkpoints.trusted.iter().map(|checkpoint| checkpoint.size);
        let sizes: BTreeSet<_> = sizes.filter(|size| *size <= self.tree.proven).collect();
        let mut seen = HashSet::new();
        let partial = sizes.iter().flat_map(|size| partial_tiles(*size));
        for tile in full_tiles(self.tree.proven).chain(partial) {
            if !self.log.has(tile) && seen.insert(tile) {
                let message = match tile.level {
                    None => format!("the statements from {} on are missing", tile.index * TILE_WIDTH),
                    Some(level) => format!("a tile of level {level} is missing"),
                };
                self.add(Kind::TileMissing, tile, message);
            }
        }
    }

    /// Every checkpoint that was published has a copy. Its partial tiles show that it was.
    fn check_copies(&self) {
        let sizes = self
            .checkpoints
            .trusted
            .iter()
            .filter(|checkpoint| !is_newest(&checkpoint.key));
        let copies: HashSet<u64> = sizes.map(|checkpoint| checkpoint.size).collect();
        let head = self.checkpoints.trusted.last().map_or(0, |head| head.size);
        let published = self
            .log
            .tiles
            .iter()
            .filter(|tile| tile.level.is_none() && u64::from(tile.width) < TILE_WIDTH);
        let mut sizes: BTreeSet<u64> = published.filter_map(|tile| tile.tree_size()).collect();
        sizes.insert(head);
        for size in sizes.into_iter().filter(|size| *size <= head && !copies.contains(size)) {
            let message = format!("the copy of the checkpoint of size {size} is missing or invalid");
            let key = format!("{}checkpoints/", self.log.folder);
            let finding = Finding::new(Kind::CheckpointMissing, message).of_log(self.checkpoints.origin());
            self.found.add(finding.in_object(&key));
        }
        let newest = self
            .checkpoints
            .trusted
            .iter()
            .find(|checkpoint| is_newest(&checkpoint.key));
        match newest {
            Some(newest) if newest.size < head => {
                let message = format!(
                    "this checkpoint is of size {}, and there is a copy of size {head}",
                    newest.size
                );
                let finding = Finding::new(Kind::StaleCheckpoint, message).of_log(self.checkpoints.origin());
                self.found.add(finding.in_object(&newest.key));
            }
            None if !self.log.has_checkpoint => {
                let key = format!("{}checkpoint", self.log.folder);
                let finding = Finding::new(Kind::CheckpointMissing, "the newest checkpoint is missing");
                self.found
                    .add(finding.of_log(self.checkpoints.origin()).in_object(&key));
            }
            _ => {}
        }
    }

    fn check_content(&self, tile: TileFile, levels: &[Vec<Hash>]) {
        let key = self.key(tile);
        let bytes = match read(self.source, &key, FILE_BYTES) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return self.add(Kind::TileMissing, tile, "the file is missing".to_owned()),
            Err(error) => return self.add(Kind::Unreadable, tile, format!("the file cannot be read: {error}")),
        };
        let level = levels
            .get(usize::from(tile.level.unwrap_or(0)))
            .map_or(&[][..], Vec::as_slice);
        let begin = usize::try_from(tile.index * TILE_WIDTH).unwrap_or(usize::MAX);
        let signed = level
            .get(begin..begin.saturating_add(tile.width.into()))
            .unwrap_or_default();
        if tile.level.is_some() {
            if bytes != signed.as_flattened() {
                let hashes = bytes.chunks(32).zip(signed);
                let same = hashes
                    .take_while(|(stored, signed)| *stored == signed.as_slice())
                    .count();
                let message = format!("the tile differs from the signed tree from its hash {same} on");
                self.add(Kind::TileAltered, tile, message);
            }
            return;
        }
        let Ok(entries) = parse_bundle(&bytes) else {
            return self.add(
                Kind::StatementAltered,
                tile,
                "the file ends inside of a statement".to_owned(),
            );
        };
        let hashes: Vec<Hash> = entries.into_iter().map(leaf_hash).collect();
        for (kind, place, message) in compare(&hashes, signed) {
            let finding = Finding::new(kind, message).of_log(self.checkpoints.origin());
            self.found.add(finding.at((begin + place) as u64).in_object(&key));
        }
    }

    fn key(&self, tile: TileFile) -> String {
        format!("{}{}", self.log.folder, tile.path())
    }

    fn add(&self, kind: Kind, tile: TileFile, message: String) {
        let finding = Finding::new(kind, message).of_log(self.checkpoints.origin());
        self.found.add(finding.in_object(&self.key(tile)));
    }
}

fn is_newest(key: &str) -> bool {
    key.ends_with("/checkpoint")
}

/// Returns the hashes of each level of the tree over the first `size` leaves.
fn levels(leaves: &[Hash], size: u64) -> Vec<Vec<Hash>> {
    let size = usize::try_from(size).unwrap_or(0).min(leaves.len());
    let mut levels = vec![leaves[..size].to_vec()];
    while let Some(below) = levels.last().filter(|level| level.len() >= 256) {
        let level = below.chunks_exact(256).map(root_of_tile).collect();
        levels.push(level);
    }
    levels
}

/// Names the differences between the statements of a file and the signed ones: kind, place in the
/// file, message.
fn compare(stored: &[Hash], signed: &[Hash]) -> Vec<(Kind, usize, String)> {
    if stored == signed {
        return Vec::new();
    }
    let mut counts: HashMap<&Hash, i64> = HashMap::new();
    signed.iter().for_each(|hash| *counts.entry(hash).or_default() += 1);
    stored.iter().for_each(|hash| *counts.entry(hash).or_default() -= 1);
    let places = |hashes: &[Hash], is_left: &dyn Fn(i64) -> bool| -> Vec<usize> {
        let left = hashes
            .iter()
            .enumerate()
            .filter(|(_, hash)| counts.get(hash).is_some_and(|count| is_left(*count)));
        left.map(|(place, _)| place).take(NAMED_STATEMENTS).collect()
    };
    let missing = places(signed, &|count| count > 0);
    let foreign = places(stored, &|count| count < 0);
    let mut named = BTreeMap::new();
    if missing.is_empty() && foreign.is_empty() {
        let moved = stored
            .iter()
            .zip(signed)
            .enumerate()
            .filter(|(_, (stored, signed))| stored != signed);
        for (place, _) in moved.take(NAMED_STATEMENTS) {
            named.insert(
                place,
                (
                    Kind::StatementsReordered,
                    "the statement is not the signed one here, but elsewhere",
                ),
            );
        }
    } else if stored.len() == signed.len() {
        for place in missing {
            named.insert(place, (Kind::StatementAltered, "the statement is not the signed one"));
        }
    } else if stored.len() < signed.len() {
        for place in missing {
            named.insert(place, (Kind::StatementMissing, "the statement is missing"));
        }
    } else {
        for place in foreign {
            named.insert(place, (Kind::StatementInserted, "no key has signed this statement"));
        }
    }
    named
        .into_iter()
        .map(|(place, (kind, message))| (kind, place, message.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_between_statements_are_named() {
        let [a, b, c, x] = [[1; 32], [2; 32], [3; 32], [9; 32]];
        let named = |stored: &[Hash]| {
            let named = compare(stored, &[a, b, c]);
            named
                .into_iter()
                .map(|(kind, place, _)| (kind, place))
                .collect::<Vec<_>>()
        };
        assert!(named(&[a, b, c]).is_empty());
        assert_eq!(named(&[a, x, c]), [(Kind::StatementAltered, 1)]);
        assert_eq!(named(&[a, c]), [(Kind::StatementMissing, 1)]);
        assert_eq!(named(&[a, x, b, c]), [(Kind::StatementInserted, 1)]);
        let swapped = [(Kind::StatementsReordered, 0), (Kind::StatementsReordered, 2)];
        assert_eq!(named(&[c, b, a]), swapped);
    }
}
