//! Whether the logs of a destination follow from one another, and from checkpoints that an auditor
//! kept.

use std::collections::{BTreeMap, BTreeSet};

use super::super::note::Verifier;
use super::checkpoints::parse_checkpoint;
use super::history::History;
use super::log::Log;
use super::options::{Key, Options};
use super::report::{Finding, Findings, Kind};

/// Checks that all logs of each destination are there, and that each continues the one before.
pub(super) fn check(logs: &[Log<'_>], histories: &[History<'_>], found: &Findings) {
    let mut chains: BTreeMap<_, BTreeMap<u32, usize>> = BTreeMap::new();
    for (place, log) in logs.iter().enumerate() {
        let files = log.files;
        let chain = chains
            .entry((&files.account, &files.destination, &files.log))
            .or_default();
        if let Some(other) = chain.insert(files.number, place)
            && logs[other].origin() != log.origin()
        {
            found.add(Finding::new(Kind::LogConflict, "there is another log in its place").of_log(log.origin()));
        }
    }
    for ((account, destination, log), chain) in chains {
        let Some((last, place)) = chain.last_key_value() else {
            continue;
        };
        for number in (1..*last).filter(|number| !chain.contains_key(number)) {
            let message = format!(
                "the log {log}.{number} of the account {account}, destination {destination} is not in the copy: give the bucket \
                 in which it is as well"
            );
            found.add(Finding::new(Kind::LogMissing, message));
        }
        if let Some(next) = &histories[*place].next {
            let message =
                format!("the log {next} continues it and is not in the copy: give the bucket in which it is as well");
            found.add(Finding::new(Kind::LogMissing, message).of_log(logs[*place].origin()));
        }
        for (number, place) in &chain {
            let before = number.checked_sub(1).and_then(|before| chain.get(&before));
            if let Some(before) = before {
                let before = (&logs[*before], &histories[*before]);
                check_link(before, (&logs[*place], &histories[*place]), found);
            }
        }
    }
}

fn check_link(before: (&Log<'_>, &History<'_>), after: (&Log<'_>, &History<'_>), found: &Findings) {
    let (log, history) = after;
    let Some(open) = &history.open else { return };
    let wrong = |kind: Kind, origin: &str, message: String| found.add(Finding::new(kind, message).of_log(origin).at(0));
    let Some(previous) = &open.previous else {
        let message = format!("the log does not say that it continues {}", before.0.origin());
        return wrong(Kind::LogConflict, log.origin(), message);
    };
    if previous.origin != before.0.origin() {
        let message = format!("the log continues {}, and not {}", previous.origin, before.0.origin());
        return wrong(Kind::LogConflict, log.origin(), message);
    }
    let size = previous.size;
    match before.0.tree.root(size) {
        None => {
            let message = format!(
                "the log has {} statements, and the next log says {size}",
                before.0.tree.leaves.len()
            );
            found.add(Finding::new(Kind::HistoryCut, message).of_log(before.0.origin()));
        }
        Some(root) if root != previous.root => {
            let message = format!("the first {size} statements are not those that the next log continues");
            found.add(Finding::new(Kind::HistoryRewritten, message).of_log(before.0.origin()));
        }
        Some(_) => {}
    }
    let is_moved = before.1.next.as_deref();
    if is_moved.is_some_and(|next| next != log.origin()) {
        wrong(
            Kind::LogConflict,
            log.origin(),
            "the log before names another one as the next".to_owned(),
        );
    }
    if is_moved.is_some() && open.first != before.1.cursor + 1 {
        let message = format!(
            "the log begins at {}, and the one before covers up to {}",
            open.first, before.1.cursor
        );
        wrong(Kind::SequenceGap, log.origin(), message);
    }
}

/// Compares the logs with checkpoints that were kept elsewhere.
pub(super) fn check_expected(options: &Options<'_>, logs: &[Log<'_>], trusted: &BTreeSet<Key>, found: &Findings) {
    for (name, bytes) in options.expected {
        let add = |kind: Kind, message: String| found.add(Finding::new(kind, message).in_object(name));
        let (checkpoint, note) = match parse_checkpoint(bytes) {
            Ok(parsed) => parsed,
            Err(why) => {
                add(
                    Kind::CheckpointInvalid,
                    format!("this is not a signed checkpoint: {why}"),
                );
                continue;
            }
        };
        let mut verifiers = trusted
            .iter()
            .filter_map(|key| Verifier::new(&checkpoint.origin, *key).ok());
        if !verifiers.any(|verifier| note.is_signed_by(&verifier)) {
            add(
                Kind::CheckpointInvalid,
                "no key that was given has signed this checkpoint".to_owned(),
            );
            continue;
        }
        let Some(log) = logs.iter().find(|log| log.origin() == checkpoint.origin) else {
            add(
                Kind::HistoryCut,
                format!("the log {} is not in the copy", checkpoint.origin),
            );
            continue;
        };
        match log.tree.root(checkpoint.size) {
            None => add(
                Kind::HistoryCut,
                format!(
                    "the log had {} statements when this checkpoint was kept, and has {} now",
                    checkpoint.size,
                    log.tree.leaves.len()
                ),
            ),
            Some(root) if root != checkpoint.root => add(
                Kind::HistoryRewritten,
                format!(
                    "the first {} statements of the log are not those of this checkpoint",
                    checkpoint.size
                ),
            ),
            Some(_) => {}
        }
    }
}
