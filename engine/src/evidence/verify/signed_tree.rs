//! The tree over the statements of a log: whether the entries, the tiles and the checkpoints agree.

use std::collections::{BTreeSet, HashSet};
use std::io;

use super::super::statement::{Entry, Statement};
use super::super::tile::parse_bundle;
use super::super::tree::{CompactRange, Hash, leaf_hash};
use super::checkpoints::{Checkpoints, Signed};
use super::log_files::{LogFiles, TILE_WIDTH, TileFile};
use super::report::{Finding, Findings, Kind};
use super::source::{Source, read};

/// Bytes of the largest bundle of entries: 256 statements of 4 KiB and their lengths.
const BUNDLE_BYTES: u64 = 256 * (4096 + 2);

/// The leaves that a log has in the copy, and how much of them is signed.
#[derive(Debug, Default)]
pub(super) struct SignedTree {
    /// The hashes of the statements, up to the newest checkpoint, or as far as there are any.
    pub(super) leaves: Vec<Hash>,
    /// The size of the largest tree whose root is signed.
    pub(super) proven: u64,
    /// The indices of bundles without entries, whose hashes are in the tiles.
    pub(super) without_entries: BTreeSet<u64>,
    /// The public keys that the log declares.
    pub(super) keys: Vec<[u8; 32]>,
    /// The shortest time after which objects expire, in days.
    pub(super) expiry_days: Option<u32>,
    pub(super) erased: HashSet<String>,
    /// Keys at which an object may be that no statement names.
    pub(super) doubt: HashSet<String>,
}

impl SignedTree {
    /// Reads the tree. `trusted` gets the keys that the log declares and that are thereby trusted.
    pub(super) fn read(
        source: &dyn Source,
        log: &LogFiles,
        checkpoints: &mut Checkpoints,
        trusted: &mut BTreeSet<[u8; 32]>,
        found: &Findings,
    ) -> Self {
        let mut tree = Self::default();
        checkpoints.trust(trusted);
        while let Some(head) = checkpoints.trusted.last().map(|head| head.size) {
            let missing = tree.read_leaves(source, log, head, found);
            tree.prove(source, log, checkpoints);
            if tree.proven > 0 {
                trusted.extend(tree.keys.iter().copied());
                checkpoints.trust(trusted);
            }
            if missing || checkpoints.trusted.last().is_none_or(|newest| newest.size == head) {
                break;
            }
        }
        checkpoints.report_unknown(found);
        tree.report_roots(checkpoints, found);
        tree
    }

    /// Reads the hashes of all statements. Returns whether some are missing.
    fn read_leaves(&mut self, source: &dyn Source, log: &LogFiles, head: u64, found: &Findings) -> bool {
        *self = Self::default();
        for index in 0..head.div_ceil(TILE_WIDTH) {
            let width = (head - index * TILE_WIDTH).min(TILE_WIDTH);
            match read_bundle(source, log, index, width) {
                Ok(Some(bundle)) => {
                    let entries = parse_bundle(&bundle).unwrap_or_default();
                    for entry in entries.into_iter().take(usize::try_from(width).unwrap_or(0)) {
                        self.leaves.push(leaf_hash(entry));
                        self.note(entry);
                    }
                }
                Ok(None) => {
                    self.without_entries.insert(index);
                    self.leaves
                        .extend(read_hashes(source, log, index, width).unwrap_or_default());
                }
                Err(error) => found.add(
                    Finding::new(Kind::Unreadable, format!("the statements cannot be read: {error}"))
                        .in_object(&log.folder),
                ),
            }
            let end = index * TILE_WIDTH + width;
            if (self.leaves.len() as u64) < end {
                // A bundle with fewer entries than it must have: the tile has the right hashes.
                let begin = usize::try_from(index * TILE_WIDTH).unwrap_or(usize::MAX);
                let hashes = read_hashes(source, log, index, width).unwrap_or_default();
                if hashes.len() as u64 != width {
                    return true;
                }
                self.leaves.truncate(begin);
                self.leaves.extend(hashes);
            }
        }
        false
    }

    /// Notes what a statement says about keys, and about earlier objects.
    fn note(&mut self, bytes: &[u8]) {
        let is = |name: &[u8]| bytes.windows(name.len()).take(64).any(|part| part == name);
        if is(b"\"statement\":\"segment\"") || is(b"\"statement\":\"hour\"") {
            return;
        }
        let Ok(entry) = Entry::parse(bytes) else { return };
        match entry.statement {
            Statement::Open(open) => self.keys.push(open.public_key),
            Statement::Key(key) => self.keys.push(key.public_key),
            Statement::Expiry(expiry) if expiry.days > 0 => {
                let shortest = self.expiry_days.map_or(expiry.days, |days| days.min(expiry.days));
                self.expiry_days = Some(shortest);
            }
            Statement::Erased(erased) => self.erased.extend(erased.keys),
            Statement::Renamed(renamed) => {
                self.doubt.insert(renamed.old);
            }
            Statement::Skip(range) | Statement::Replay(range) => self.doubt.extend(range.doubt),
            Statement::Moved(moved) => self.doubt.extend(moved.doubt),
            Statement::Close(close) => self.doubt.extend(close.doubt),
            _ => {}
        }
    }

    /// Finds the largest signed tree among the leaves; where the entries do not give the signed
    /// root, the leaves of the tiles may.
    fn prove(&mut self, source: &dyn Source, log: &LogFiles, checkpoints: &Checkpoints) {
        self.proven = largest_signed(&self.leaves, &checkpoints.trusted);
        let Some(head) = checkpoints.trusted.last().map(|head| head.size) else {
            return;
        };
        if self.proven == head {
            return;
        }
        let mut hashes = Vec::new();
        for index in 0..head.div_ceil(TILE_WIDTH) {
            let width = (head - index * TILE_WIDTH).min(TILE_WIDTH);
            match read_hashes(source, log, index, width) {
                Some(tile) => hashes.extend(tile),
                None => break,
            }
        }
        let proven = largest_signed(&hashes, &checkpoints.trusted);
        if proven > self.proven {
            self.proven = proven;
            self.leaves = hashes;
        }
    }

    fn report_roots(&self, checkpoints: &Checkpoints, found: &Findings) {
        let mut range = CompactRange::new();
        let mut leaves = self.leaves.iter();
        let mut right = 0;
        for checkpoint in &checkpoints.trusted {
            if checkpoint.size > self.leaves.len() as u64 {
                let message = format!(
                    "the log ends after {} statements, and this checkpoint signs {}",
                    self.leaves.len(),
                    checkpoint.size
                );
                let finding = Finding::new(Kind::HistoryCut, message).of_log(checkpoints.origin());
                found.add(finding.in_object(&checkpoint.key));
                continue;
            }
            let more = usize::try_from(checkpoint.size - range.size()).unwrap_or(0);
            leaves.by_ref().take(more).for_each(|leaf| range.push(*leaf));
            if range.root() == checkpoint.root {
                right = checkpoint.size;
                continue;
            }
            let message = format!(
                "the statements do not give the root that this checkpoint signs: one of the statements {right} to {} is \
                 not the signed one, or two histories were signed",
                checkpoint.size - 1
            );
            let finding = Finding::new(Kind::HistoryRewritten, message).of_log(checkpoints.origin());
            found.add(finding.in_object(&checkpoint.key));
        }
    }

    /// Returns the root over the first `size` statements; `None` if there are fewer.
    pub(super) fn root(&self, size: u64) -> Option<Hash> {
        let leaves = self.leaves.get(..usize::try_from(size).ok()?)?;
        let mut range = CompactRange::new();
        leaves.iter().for_each(|leaf| range.push(*leaf));
        Some(range.root())
    }
}

fn largest_signed(leaves: &[Hash], trusted: &[Signed]) -> u64 {
    let (mut range, mut proven) = (CompactRange::new(), 0);
    let mut rest = leaves.iter();
    for checkpoint in trusted {
        let more = usize::try_from(checkpoint.size - range.size()).unwrap_or(usize::MAX);
        rest.by_ref().take(more).for_each(|leaf| range.push(*leaf));
        if range.size() == checkpoint.size && range.root() == checkpoint.root {
            proven = checkpoint.size;
        }
    }
    proven
}

/// Reads the entries of a bundle, from the file with this width or a larger one, otherwise from the
/// largest one. Returns `None` without any file.
pub(super) fn read_bundle(source: &dyn Source, log: &LogFiles, index: u64, width: u64) -> io::Result<Option<Vec<u8>>> {
    match best_file(log, None, index, width) {
        Some(tile) => read(source, &format!("{}{}", log.folder, tile.path()), BUNDLE_BYTES),
        None => Ok(None),
    }
}

/// Reads the hashes of statements from the tiles; `None` if there are
/// fewer.
fn read_hashes(source: &dyn Source, log: &LogFiles, index: u64, width: u64) -> Option<Vec<Hash>> {
    let tile = best_file(log, Some(0), index, width)?;
    let bytes = read(source, &format!("{}{}", log.folder, tile.path()), 32 * TILE_WIDTH).ok()??;
    let hashes = bytes.as_chunks::<32>().0;
    Some(hashes.get(..usize::try_from(width).ok()?)?.to_vec())
}

fn best_file(log: &LogFiles, level: Option<u8>, index: u64, width: u64) -> Option<TileFile> {
    let from = TileFile { level, index, width: 1 };
    let to = TileFile {
        level,
        index,
        width: 256,
    };
    let begin = log.tiles.partition_point(|tile| *tile < from);
    let end = log.tiles.partition_point(|tile| *tile <= to);
    let tiles = log.tiles.get(begin..end)?;
    let wide_enough = tiles.iter().find(|tile| u64::from(tile.width) >= width);
    wide_enough.or(tiles.last()).copied()
}
