//! Files in a copy that no statement names, and objects under other keys than the stated ones.

use std::collections::{HashMap, HashSet};
use std::io;

use auditstream_model::Sequence;

use super::super::tree::Hash;
use super::history::History;
use super::log::Log;
use super::log_files::{Catalog, LogFolder, ObjectName, object_folder};
use super::object::{Hashes, read_content};
use super::place::short_hash;
use super::pool;
use super::report::{Finding, Findings, Kind};
use super::source::Source;

/// Unknown files that are compared with missing objects.
const COMPARED: usize = 10_000;

/// An object that is missing at its key.
#[derive(Debug)]
pub(super) struct Lost {
    /// The position of its copy.
    pub(super) copy: usize,
    pub(super) key: String,
    pub(super) origin: String,
    pub(super) index: u64,
    pub(super) stored: Option<Hash>,
    pub(super) content: Hash,
    pub(super) message: String,
    /// Whether it is at another key, which is reported.
    pub(super) is_found: bool,
}

impl Lost {
    pub(super) fn finding(&self) -> Finding {
        let finding = Finding::new(Kind::ObjectMissing, self.message.clone());
        finding.of_log(&self.origin).at(self.index).in_object(&self.key)
    }
}

/// The sequences that a log proves.
#[derive(Clone, Debug)]
pub(super) struct Span {
    number: u32,
    first: Sequence,
    cursor: Sequence,
    closed: bool,
}

impl Span {
    pub(super) fn of(log: &Log<'_>, history: &History<'_>) -> Self {
        Self {
            number: log.files.number,
            first: history.open.as_ref().map_or(0, |open| open.first),
            cursor: history.cursor,
            closed: history.closed,
        }
    }
}

/// The statements of a copy's logs about its files.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Hashes of the keys that statements name.
    pub(super) claimed: HashSet<[u8; 16]>,
    pub(super) doubt: HashSet<String>,
    pub(super) erased: HashSet<String>,
    pub(super) expires: bool,
    /// Whether a statement that cannot be read may name further objects.
    pub(super) is_incomplete: bool,
    /// The folders in which objects are: the part before `account=`, and the account.
    folders: HashSet<(String, String)>,
    /// By uid.
    spans: HashMap<String, Span>,
    /// The largest first sequence of the first log of a destination, by folder.
    first: HashMap<(String, String), Sequence>,
}

impl Known {
    pub(super) fn of(catalog: &Catalog) -> Self {
        let folders = catalog.0.values().map(|log| (log.base.clone(), log.account.clone()));
        Self {
            folders: folders.collect(),
            ..Self::default()
        }
    }

    pub(super) fn add_span(&mut self, base: &str, account: &str, uids: HashSet<String>, span: Span) {
        if span.number == 1 {
            let first = self.first.entry((base.to_owned(), account.to_owned())).or_default();
            *first = span.first.max(*first);
        }
        for uid in uids {
            let known = self.spans.entry(uid).or_insert_with(|| span.clone());
            known.first = known.first.min(span.first);
            if span.number >= known.number {
                (known.number, known.cursor, known.closed) = (span.number, span.cursor, span.closed);
            }
        }
    }

    /// Judges an object that no statement names.
    fn judge(&self, key: &str) -> Finding {
        if self.doubt.contains(key) {
            return Finding::new(
                Kind::InDoubt,
                "no statement names the object; one lists its key as in doubt",
            );
        }
        let extra = || match self.is_incomplete {
            true => Finding::new(Kind::Unstated, "no statement that can be read names the object"),
            false => Finding::new(Kind::ObjectExtra, "no statement names the object"),
        };
        let Some(name) = ObjectName::parse(key) else {
            return extra();
        };
        match self.spans.get(name.uid) {
            Some(span) if name.last < span.first => before(),
            Some(span) if name.first > span.cursor && !span.closed => Finding::new(
                Kind::NotYetStated,
                format!(
                    "the object is newer than the newest checkpoint, which covers up to {}: verify again once there is a newer one",
                    span.cursor
                ),
            ),
            Some(_) => extra(),
            None => {
                let folder = (name.base.to_owned(), name.account.to_owned());
                let first = self.first.get(&folder).copied().unwrap_or(0);
                if name.last < first { before() } else { extra() }
            }
        }
    }
}

fn before() -> Finding {
    Finding::new(
        Kind::BeforeEvidence,
        "the object is from before the first statement, and not proven",
    )
}

/// The files of one copy.
pub(super) struct Extras<'v> {
    pub(super) source: &'v dyn Source,
    pub(super) known: &'v Known,
    pub(super) found: &'v Findings,
}

impl Extras<'_> {
    /// Reports the files that no statement names, and which of them are missing objects.
    pub(super) fn check<'l>(&self, lost: impl Iterator<Item = &'l mut Lost>) -> io::Result<()> {
        let mut lost: Vec<_> = lost.collect();
        let (mut objects, mut others) = (Vec::new(), 0_u64);
        self.source.list(&mut |key| {
            if LogFolder::parse(key).is_some() || self.known.claimed.contains(&short_hash(key)) {
                return;
            }
            let folder = object_folder(key).and_then(|(base, rest)| {
                let (account, _) = rest.split_once("/dt=")?;
                Some((base.to_owned(), account.to_owned()))
            });
            let is_object = folder.is_some_and(|folder| self.known.folders.contains(&folder));
            others += u64::from(!is_object);
            if is_object || (!lost.is_empty() && objects.len() < COMPARED) {
                if objects.len() < COMPARED {
                    objects.push((key.to_owned(), is_object));
                } else {
                    self.found.add(self.known.judge(key).in_object(key));
                }
            }
        })?;
        self.match_lost(&mut objects, &mut lost);
        for (key, _) in objects.iter().filter(|(_, is_object)| *is_object) {
            self.found.add(self.known.judge(key).in_object(key));
        }
        if others > 0 {
            let message = format!(
                "{others} files of {} do not belong to a log or its objects",
                self.source.name()
            );
            self.found.add(Finding::new(Kind::OtherFiles, message));
        }
        Ok(())
    }

    /// Finds missing objects among the files, and removes them from these.
    fn match_lost(&self, objects: &mut Vec<(String, bool)>, lost: &mut [&mut Lost]) {
        if lost.is_empty() {
            return;
        }
        let hashes = pool::map(self.source.readers(), objects, |(key, _)| self.hashes(key));
        let mut hashes = hashes.into_iter();
        objects.retain(|(key, _)| {
            let Some(hashes) = hashes.next().flatten() else {
                return true;
            };
            let is_it = |lost: &Lost| lost.stored == Some(hashes.stored) || hashes.content == Some(lost.content);
            let Some(lost) = lost.iter_mut().find(|lost| !lost.is_found && is_it(lost)) else {
                return true;
            };
            lost.is_found = true;
            let finding = Finding::new(Kind::ObjectRenamed, format!("the object is at {key} instead"));
            self.found
                .add(finding.of_log(&lost.origin).at(lost.index).in_object(&lost.key));
            false
        });
    }

    fn hashes(&self, key: &str) -> Option<Hashes> {
        let object = self.source.open(key).ok()??;
        read_content(object, &mut |_| Ok(())).ok().map(|(hashes, _)| hashes)
    }

    /// Reports objects and files of logs that were overwritten or deleted. The versions of a key
    /// follow one another.
    pub(super) fn check_versions(&self) -> io::Result<()> {
        let mut current = (String::new(), 0_u64, false);
        let report = |(key, versions, is_deleted): &(String, u64, bool)| {
            let is_log = LogFolder::parse(key).is_some();
            let is_ours = is_log || object_folder(key).is_some_and(|(_, rest)| rest.contains("/dt="));
            if !is_ours || key.ends_with("/checkpoint") {
                return;
            }
            let may_expire = self.known.expires && !is_log;
            if *is_deleted && !self.known.erased.contains(key) && !may_expire {
                self.found
                    .add(Finding::new(Kind::ObjectDeleted, "a version was deleted").in_object(key));
            }
            if *versions > 1 {
                let message = format!("there are {versions} versions; nothing but `checkpoint` is ever overwritten");
                self.found
                    .add(Finding::new(Kind::ObjectOverwritten, message).in_object(key));
            }
        };
        let has_versions = self.source.versions(&mut |key, is_deletion| {
            if current.0 != key {
                report(&current);
                current = (key.to_owned(), 0, false);
            }
            current.1 += u64::from(!is_deletion);
            current.2 |= is_deletion;
        })?;
        report(&current);
        if !has_versions {
            let message = format!("{} has no versions, so that they were not checked", self.source.name());
            self.found.add(Finding::new(Kind::Unreadable, message));
        }
        Ok(())
    }
}
