//! Reads the statements of a log in order: their history, and the objects that they name.

use std::collections::HashMap;
use std::io;

use super::super::statement::{Entry, Segment, Statement};
use super::super::tile::parse_bundle;
use super::super::tree::{Hash, leaf_hash};
use super::history::History;
use super::log_files::{LogFiles, TILE_WIDTH};
use super::report::{Finding, Findings, Kind};
use super::signed_tree::{SignedTree, read_bundle};
use super::source::Source;

/// An object that a statement names.
#[derive(Debug)]
pub(super) struct Claim {
    /// The statement.
    pub(super) index: u64,
    /// When the statement was written, epoch ms.
    pub(super) time: i64,
    pub(super) segment: Segment,
}

/// One log that is being read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'v> {
    pub(super) source: &'v dyn Source,
    pub(super) log: &'v LogFiles,
    pub(super) tree: &'v SignedTree,
    pub(super) origin: &'v str,
    pub(super) found: &'v Findings,
}

impl<'v> Reading<'v> {
    /// Calls `each` for each statement with its index and bytes; with `None` for one that is
    /// missing or not the signed one.
    fn entries(&self, each: &mut dyn FnMut(u64, Option<&[u8]>)) -> io::Result<()> {
        let size = self.tree.leaves.len() as u64;
        for bundle in 0..size.div_ceil(TILE_WIDTH) {
            let begin = bundle * TILE_WIDTH;
            let width = (size - begin).min(TILE_WIDTH);
            let bytes = match self.tree.without_entries.contains(&bundle) {
                true => None,
                false => read_bundle(self.source, self.log, bundle, width)?,
            };
            let bytes = bytes.unwrap_or_default();
            let entries = parse_bundle(&bytes).unwrap_or_default();
            let by_hash: HashMap<Hash, &[u8]> = entries.into_iter().map(|entry| (leaf_hash(entry), entry)).collect();
            let first = usize::try_from(begin).unwrap_or(usize::MAX);
            for (index, hash) in (begin..begin + width).zip(&self.tree.leaves[first..]) {
                each(index, by_hash.get(hash).copied());
            }
        }
        Ok(())
    }

    /// Checks the history, and calls `each` with the objects that it names.
    pub(super) fn history(&self, each: &mut dyn FnMut(Claim)) -> History<'v> {
        let mut history = History::new(self.origin, self.log, self.found);
        let read = self.entries(&mut |index, bytes| match bytes.map(Entry::parse) {
            Some(Ok(entry)) => {
                history.add(index, &entry);
                if let Statement::Segment(segment) = entry.statement {
                    let time = entry.time;
                    each(Claim { index, time, segment });
                }
            }
            Some(Err(error)) => {
                let finding = Finding::new(Kind::StatementInvalid, format!("this is not a statement: {error}"));
                self.found.add(finding.of_log(self.origin).at(index));
                history.pass_unknown();
            }
            None => history.pass_unknown(),
        });
        if let Err(error) = read {
            let finding = Finding::new(Kind::Unreadable, format!("the statements cannot be read: {error}"));
            self.found.add(finding.of_log(self.origin));
        }
        history
    }
}
