//! The checkpoints of a log, and which of them are to be trusted.

use std::collections::BTreeSet;

use super::super::note::{Checkpoint, Note, Verifier};
use super::super::tree::Hash;
use super::log_files::LogFiles;
use super::pool;
use super::report::{Finding, Findings, Kind};
use super::source::{Source, read};

/// Bytes of the largest checkpoint that is read: it may have many signatures.
const CHECKPOINT_BYTES: u64 = 64 << 10;

/// A signed root.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    /// Its file.
    pub(super) key: String,
    pub(super) size: u64,
    pub(super) root: Hash,
}

/// The checkpoints of a log. Public keys are trusted because they were given, or because a tree
/// that a trusted key has signed declares them.
#[derive(Debug)]
pub(super) struct Checkpoints {
    origin: String,
    /// Signed by a trusted key, by size.
    pub(super) trusted: Vec<Signed>,
    /// Not signed by any key that is trusted so far.
    unknown: Vec<(Signed, Note)>,
}

impl Checkpoints {
    /// Reads `checkpoint` and its copies. The origin is that of the first one that fits the
    /// folder.
    pub(super) fn read(source: &dyn Source, log: &LogFiles, found: &Findings) -> Option<Self> {
        let newest = log.has_checkpoint.then(|| (None, format!("{}checkpoint", log.folder)));
        let copies = log.copies.iter().map(|(size, key)| (Some(*size), key.clone()));
        let files: Vec<_> = copies.chain(newest).collect();
        let notes = pool::map(source.readers(), &files, |(size, key)| parse(source, key, *size));
        let ending = format!("/{}/{}.{}", log.account, log.log, log.number);
        let (mut origin, mut unknown) = (None, Vec::new());
        for ((_, key), note) in files.into_iter().zip(notes) {
            match note {
                Ok((checkpoint, note)) => {
                    let is_here = checkpoint.origin.ends_with(&ending);
                    if !is_here || *origin.get_or_insert_with(|| checkpoint.origin.clone()) != checkpoint.origin {
                        let message = format!("the checkpoint is of the log {}", checkpoint.origin);
                        found.add(Finding::new(Kind::LogMisplaced, message).in_object(&key));
                        continue;
                    }
                    let Checkpoint { size, root, .. } = checkpoint;
                    unknown.push((Signed { key, size, root }, note));
                }
                Err(finding) => found.add(finding.in_object(&key)),
            }
        }
        let origin = origin.filter(|_| !unknown.is_empty())?;
        let trusted = Vec::new();
        Some(Self {
            origin,
            trusted,
            unknown,
        })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Trusts the checkpoints that these keys have signed.
    pub(super) fn trust(&mut self, keys: &BTreeSet<[u8; 32]>) {
        let verifiers = keys.iter().filter_map(|key| Verifier::new(&self.origin, *key).ok());
        let verifiers: Vec<_> = verifiers.collect();
        let is_signed = |note: &Note| verifiers.iter().any(|verifier| note.is_signed_by(verifier));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let signed = pool::map(threads, &self.unknown, |(_, note)| is_signed(note));
        let unknown = std::mem::take(&mut self.unknown);
        for ((checkpoint, note), is_signed) in unknown.into_iter().zip(signed) {
            if is_signed {
                self.trusted.push(checkpoint);
            } else {
                self.unknown.push((checkpoint, note));
            }
        }
        self.trusted.sort_by(|a, b| (a.size, &a.key).cmp(&(b.size, &b.key)));
    }

    /// Reports what is left: checkpoints that no trusted key has signed.
    pub(super) fn report_unknown(&self, found: &Findings) {
        for (checkpoint, _) in &self.unknown {
            let message = "no key that was given, or that the log declares, has signed this checkpoint";
            let finding = Finding::new(Kind::CheckpointInvalid, message);
            found.add(finding.of_log(&self.origin).in_object(&checkpoint.key));
        }
    }
}

fn parse(source: &dyn Source, key: &str, size: Option<u64>) -> Result<(Checkpoint, Note), Finding> {
    let bytes = match read(source, key, CHECKPOINT_BYTES) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            return Err(Finding::new(
                Kind::Unreadable,
                "the checkpoint disappeared while it was read",
            ));
        }
        Err(error) => {
            return Err(Finding::new(
                Kind::Unreadable,
                format!("the checkpoint cannot be read: {error}"),
            ));
        }
    };
    let (checkpoint, note) = parse_checkpoint(&bytes).map_err(|why| {
        Finding::new(
            Kind::CheckpointInvalid,
            format!("this is not a signed checkpoint: {why}"),
        )
    })?;
    match size {
        Some(size) if size != checkpoint.size => Err(Finding::new(
            Kind::CheckpointInvalid,
            format!(
                "the checkpoint is of size {}, and its name says {size}",
                checkpoint.size
            ),
        )),
        _ => Ok((checkpoint, note)),
    }
}

/// Reads a checkpoint, without verifying its signatures.
pub(super) fn parse_checkpoint(bytes: &[u8]) -> Result<(Checkpoint, Note), String> {
    let note = Note::parse(bytes).map_err(|error| error.to_string())?;
    let checkpoint = Checkpoint::parse(&note.text).map_err(|error| error.to_string())?;
    if note.to_string().as_bytes() != bytes {
        return Err("it is not in its canonical form".to_owned());
    }
    Ok((checkpoint, note))
}
