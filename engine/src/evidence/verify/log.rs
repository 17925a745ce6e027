//! One log: its files, its tree and its history.

use std::collections::BTreeSet;

use super::super::encoding::to_hex;
use super::super::note::Verifier;
use super::checkpoints::Checkpoints;
use super::history::History;
use super::log_files::LogFiles;
use super::report::{Finding, Findings, Kind, Proven};
use super::signed_tree::SignedTree;
use super::source::{Source, read};
use super::statements::{Claim, Reading};
use super::tiles::Tiles;

/// A log whose tree was verified.
pub(super) struct Log<'v> {
    pub(super) source: &'v dyn Source,
    /// The position of the source among all.
    pub(super) copy: usize,
    pub(super) files: &'v LogFiles,
    pub(super) checkpoints: Checkpoints,
    pub(super) tree: SignedTree,
}

impl<'v> Log<'v> {
    /// Verifies the files of a log. Returns `None` if it has no checkpoint of a trusted key, which
    /// is reported.
    pub(super) fn read(
        (copy, source): (usize, &'v dyn Source),
        files: &'v LogFiles,
        trusted: &mut BTreeSet<[u8; 32]>,
        found: &Findings,
    ) -> Option<Self> {
        for key in &files.others {
            found.add(Finding::new(Kind::FileExtra, "the file does not belong to the log").in_object(key));
        }
        let Some(mut checkpoints) = Checkpoints::read(source, files, found) else {
            let message = "the log has no valid checkpoint, so that nothing about it is proven";
            found.add(Finding::new(Kind::CheckpointMissing, message).in_object(&files.folder));
            return None;
        };
        let tree = SignedTree::read(source, files, &mut checkpoints, trusted, found);
        if checkpoints.trusted.is_empty() {
            let message = "no checkpoint of the log is signed by a key that was given: if the key was replaced, give the older one";
            found.add(Finding::new(Kind::CheckpointInvalid, message).of_log(checkpoints.origin()));
            return None;
        }
        let log = Self {
            source,
            copy,
            files,
            checkpoints,
            tree,
        };
        Tiles {
            source,
            log: files,
            checkpoints: &log.checkpoints,
            tree: &log.tree,
            found,
        }
        .check();
        log.check_key_files(found);
        Some(log)
    }

    pub(super) fn origin(&self) -> &str {
        self.checkpoints.origin()
    }

    /// Checks the history, and calls `each` with the objects that it names.
    pub(super) fn history<'a>(&'a self, found: &'a Findings, each: &mut dyn FnMut(Claim)) -> History<'a> {
        let reading = Reading {
            source: self.source,
            log: self.files,
            tree: &self.tree,
            origin: self.origin(),
            found,
        };
        reading.history(each)
    }

    /// The files with public keys are for foreign tools, and never trusted.
    fn check_key_files(&self, found: &Findings) {
        for number in &self.files.keys {
            let key = format!("{}keys/{number}.vkey", self.files.folder);
            let stored = read(self.source, &key, 4096).ok().flatten();
            let stored = stored.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
            let stored = stored.and_then(|vkey| Verifier::parse(vkey).ok());
            let is_declared = stored
                .is_some_and(|stored| stored.name() == self.origin() && self.tree.keys.contains(&stored.public_key()));
            if !is_declared {
                let finding = Finding::new(Kind::KeyFileAltered, "this is not a public key that the log declares");
                found.add(finding.of_log(self.origin()).in_object(&key));
            }
        }
    }

    /// The proven part.
    pub(super) fn proven(&self, history: &History<'_>) -> Proven {
        Proven {
            origin: self.origin().to_owned(),
            size: self.tree.proven,
            root: self
                .tree
                .root(self.tree.proven)
                .map_or_else(String::new, |root| to_hex(&root)),
            first: history.open.as_ref().map_or(0, |open| open.first),
            last: history.cursor,
            until: history.time,
            closed: history.closed,
        }
    }
}
