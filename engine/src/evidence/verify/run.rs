//! A verification: the logs, then the objects that they name, then everything else in the copies.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::sync::{Mutex, PoisonError};

use auditstream_model::EpochMillis;

use super::chain;
use super::extras::{Extras, Known, Lost, Span};
use super::history::History;
use super::log::Log;
use super::log_files::{Catalog, ObjectName};
use super::object::{self, Checked};
use super::options::{Key, Options};
use super::place::{key_in_copy, short_hash};
use super::pool;
use super::report::{Finding, Findings, Kind, Proven, Report, Severity, Totals};
use super::source::Source;
use super::statements::Claim;
use super::times::shown;

const DAY: EpochMillis = 86_400_000;
/// Missing objects that are looked for under other keys.
const LOST: usize = 10_000;

/// Verifies copies of buckets.
///
/// # Errors
/// If a copy cannot be listed.
pub(super) fn run(options: &Options<'_>) -> io::Result<Report> {
    let found = Findings::default();
    let mut catalogs = Vec::new();
    for source in options.sources {
        let mut catalog = Catalog::default();
        source.list(&mut |key| catalog.add(key))?;
        catalog.sort();
        catalogs.push(catalog);
    }
    let mut trusted: BTreeSet<_> = options.keys.iter().map(|key| key.public_key()).collect();
    let logs = read_logs(options, &catalogs, &mut trusted, &found);
    let run = Run {
        options,
        found: &found,
        totals: Mutex::default(),
        lost: Mutex::default(),
    };
    let mut known: Vec<Known> = catalogs.iter().map(Known::of).collect();
    let mut histories = Vec::new();
    let mut proven = Vec::new();
    for log in &logs {
        let gone = Gone::of(log, &logs);
        let history = run.check_objects(log, &gone, &mut known[log.copy]);
        proven.push(log.proven(&history));
        histories.push(history);
    }
    let totals = *run.totals.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lost = run.lost.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (copy, known) in known.iter().enumerate() {
        let extras = Extras {
            source: options.sources[copy].as_ref(),
            known,
            found: &found,
        };
        extras.check(lost.iter_mut().filter(|lost| lost.copy == copy))?;
        if options.versions {
            extras.check_versions()?;
        }
    }
    report_lost(&lost, &found);
    chain::check(&logs, &histories, &found);
    chain::check_expected(options, &logs, &trusted, &found);
    Ok(report(found, proven, totals))
}

fn report(found: Findings, logs: Vec<Proven>, totals: Totals) -> Report {
    if logs.is_empty() {
        found.add(Finding::new(
            Kind::LogMissing,
            "the copy has no log that can be verified",
        ));
    }
    let (findings, counts) = found.finish();
    let worst = counts.keys().map(|kind| kind.severity()).max();
    Report {
        verdict: worst.unwrap_or(Severity::Note),
        logs,
        totals,
        counts,
        findings,
    }
}

/// Reads the logs of each destination in their order, so that a key that one declares is trusted in
/// the next.
fn read_logs<'v>(
    options: &Options<'v>,
    catalogs: &'v [Catalog],
    trusted: &mut BTreeSet<Key>,
    found: &Findings,
) -> Vec<Log<'v>> {
    let mut files = BTreeMap::new();
    for (copy, catalog) in catalogs.iter().enumerate() {
        for log in catalog.0.values() {
            files.insert(
                (&log.account, &log.destination, &log.log, log.number, copy, &log.folder),
                log,
            );
        }
    }
    let read = files.into_iter().filter_map(|((.., copy, _), files)| {
        let source: &'v dyn Source = options.sources[copy].as_ref();
        Log::read((copy, source), files, trusted, found)
    });
    read.collect()
}

struct Run<'v> {
    options: &'v Options<'v>,
    found: &'v Findings,
    totals: Mutex<Totals>,
    lost: Mutex<Vec<Lost>>,
}

impl<'v> Run<'v> {
    /// Checks the history of a log and the objects that it names.
    fn check_objects<'a>(&self, log: &'a Log<'v>, gone: &Gone, known: &mut Known) -> History<'a>
    where
        'v: 'a,
    {
        let (found, base) = (self.found, &log.files.base);
        known.doubt.extend(
            log.tree
                .doubt
                .iter()
                .filter_map(|key| key_in_copy(key, base))
                .map(str::to_owned),
        );
        known.erased.extend(
            gone.erased
                .iter()
                .filter_map(|key| key_in_copy(key, base))
                .map(str::to_owned),
        );
        known.expires |= gone.expiry_days.is_some();
        let expired = Mutex::new(0_u64);
        let others = Mutex::new(HashSet::new());
        let mut uids = HashSet::new();
        let mut history = None;
        let check = |(claim, key): (Claim, String)| {
            let outcome = object::check(log.source, &key, &claim.segment);
            self.settle((log, gone), &claim, &key, outcome, (&expired, &others));
        };
        pool::feed(log.source.readers(), check, |hand_out| {
            history = Some(log.history(found, &mut |claim| {
                let Some(key) = key_in_copy(&claim.segment.key, base).map(str::to_owned) else {
                    let message = format!("the key {} is not under the prefix of the log", claim.segment.key);
                    let finding = Finding::new(Kind::StatementInvalid, message);
                    self.found.add(finding.of_log(log.origin()).at(claim.index));
                    return;
                };
                known.claimed.insert(short_hash(&key));
                if let Some(name) = ObjectName::parse(&key) {
                    uids.insert(name.uid.to_owned());
                }
                if self.options.since.is_none_or(|since| claim.time >= since) {
                    hand_out((claim, key));
                }
            }));
        });
        let others = others.into_inner().unwrap_or_else(PoisonError::into_inner);
        known.claimed.extend(others.iter().map(|key: &String| short_hash(key)));
        let expired = expired.into_inner().unwrap_or_else(PoisonError::into_inner);
        if expired > 0 {
            let message = format!("{expired} objects expired, as declared");
            self.found
                .add(Finding::new(Kind::Expired, message).of_log(log.origin()));
        }
        // `feed` has called its function.
        let history = history.unwrap_or_else(|| log.history(found, &mut |_| {}));
        known.is_incomplete |= history.is_incomplete;
        known.add_span(base, &log.files.account, uids, Span::of(log, &history));
        history
    }

    fn settle(
        &self,
        (log, gone): (&Log<'_>, &Gone),
        claim: &Claim,
        key: &str,
        outcome: io::Result<Checked>,
        (expired, others): (&Mutex<u64>, &Mutex<HashSet<String>>),
    ) {
        let add = |finding: Finding| {
            self.found
                .add(finding.of_log(log.origin()).at(claim.index).in_object(key))
        };
        let checked = match outcome {
            Ok(checked) => checked,
            Err(error) => {
                return add(Finding::new(
                    Kind::Unreadable,
                    format!("the object cannot be read: {error}"),
                ));
            }
        };
        if checked.is_there {
            checked.findings.into_iter().for_each(add);
            others
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(checked.other_key);
            self.count(checked.totals);
            return;
        }
        let expiry = gone.expiry_days.map(|days| claim.time + EpochMillis::from(days) * DAY);
        if gone.erased.contains(&claim.segment.key) {
            add(Finding::new(Kind::Erased, "the object was removed, as declared"));
        } else if expiry.is_some_and(|end| end <= self.options.now) {
            *expired.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        } else {
            let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
            let is_room = lost.len() < LOST;
            let one = Lost::of(log, claim, key);
            if is_room {
                lost.push(one);
            } else {
                self.found.add(one.finding());
            }
        }
    }

    fn count(&self, totals: Totals) {
        let mut all = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        all.objects += totals.objects;
        all.events += totals.events;
        all.bytes += totals.bytes;
        all.content_bytes += totals.content_bytes;
        (self.options.progress)(*all);
    }
}

/// The objects of a log that may be missing, by statements of this log or a later one of the
/// destination.
#[derive(Debug, Default)]
struct Gone {
    expiry_days: Option<u32>,
    erased: HashSet<String>,
}

impl Gone {
    fn of(log: &Log<'_>, logs: &[Log<'_>]) -> Self {
        let destination = |log: &Log<'_>| (log.files.account.clone(), log.files.destination.clone());
        let mut gone = Self::default();
        let later = logs
            .iter()
            .filter(|later| destination(later) == destination(log) && later.files.number >= log.files.number);
        for later in later {
            let days = [gone.expiry_days, later.tree.expiry_days];
            gone.expiry_days = days.into_iter().flatten().min();
            gone.erased.extend(later.tree.erased.iter().cloned());
        }
        gone
    }
}

fn report_lost(lost: &[Lost], found: &Findings) {
    lost.iter()
        .filter(|lost| !lost.is_found)
        .for_each(|lost| found.add(lost.finding()));
}

impl Lost {
    fn of(log: &Log<'_>, claim: &Claim, key: &str) -> Self {
        let segment = &claim.segment;
        let message = format!(
            "the object with the events {}-{} is missing; it was stated at {}",
            segment.first,
            segment.last,
            shown(claim.time)
        );
        Self {
            copy: log.copy,
            key: key.to_owned(),
            origin: log.origin().to_owned(),
            index: claim.index,
            stored: segment.sha256,
            content: segment.content_sha256,
            message,
            is_found: false,
        }
    }
}
