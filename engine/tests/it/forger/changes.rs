//! One change at a time, each found and named.

use std::collections::BTreeMap;

use auditstream_engine::evidence::note::{Checkpoint, Signer};
use auditstream_engine::evidence::statement::Segment;
use auditstream_engine::evidence::tile::{parse_bundle, push_entry};
use auditstream_engine::evidence::tree::root_of;
use auditstream_engine::evidence::verify::{Finding, Kind, Severity};
use auditstream_engine::streaming::encode::{compress, decompress};
use auditstream_model::Format;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::author::{Author, Bucket};
use super::{faults, named, two_destinations, verified, verify_with};
use crate::child::say;

/// A kind of change.
type Forgery = (&'static str, fn(&mut Forger) -> Expected);

const FORGERIES: &[Forgery] = &[
    ("flip a bit of an object", Forger::flip_bit),
    ("drop a line", Forger::drop_line),
    ("repeat a line", Forger::repeat_line),
    ("swap lines", Forger::swap_lines),
    ("insert a line", Forger::insert_line),
    ("edit a line", Forger::edit_line),
    ("break a line", Forger::break_line),
    ("drop an object", Forger::drop_object),
    ("add an object", Forger::add_object),
    ("rename an object", Forger::rename_object),
    ("swap objects", Forger::swap_objects),
    ("take an object of the other destination", Forger::splice_object),
    ("edit a statement", Forger::edit_statement),
    ("drop a statement", Forger::drop_statement),
    ("swap statements", Forger::swap_statements),
    ("edit a statement and rebuild the tree", Forger::rebuild_tree),
    ("drop a file of the tree", Forger::drop_tile),
    ("edit a tile", Forger::edit_tile),
    ("take a tile of the other log", Forger::splice_tile),
    ("edit a checkpoint", Forger::edit_checkpoint),
    ("drop the copy of a checkpoint", Forger::drop_checkpoint),
    ("sign with another key", Forger::sign_with_another_key),
    ("take the checkpoint of the other log", Forger::splice_checkpoint),
    ("cut the end of the tree", Forger::cut_tree),
    ("add a file to the log", Forger::add_file),
    ("replace the public key", Forger::replace_key),
];

/// The findings that a change must lead to.
struct Expected {
    kinds: Vec<Kind>,
    /// The file that is named.
    file: String,
    line: Option<u64>,
    /// Further files that may be named.
    also: Vec<String>,
    /// Whether anything else may follow from the change.
    is_root: bool,
}

impl Expected {
    fn new(kinds: &[Kind], file: &str) -> Self {
        Self {
            kinds: kinds.to_vec(),
            file: file.to_owned(),
            line: None,
            also: Vec::new(),
            is_root: false,
        }
    }

    fn on_line(mut self, line: usize) -> Self {
        self.line = Some(line as u64 + 1);
        self
    }

    fn also(mut self, files: impl IntoIterator<Item = String>) -> Self {
        self.also.extend(files);
        self
    }

    fn with_consequences(mut self) -> Self {
        self.is_root = true;
        self
    }

    fn is_named_by(&self, finding: &Finding) -> bool {
        self.kinds.contains(&finding.kind)
            && finding.object.as_deref() == Some(&self.file)
            && (self.line.is_none() || finding.line == self.line)
    }

    /// Whether a finding is about a file that was changed.
    fn allows(&self, finding: &Finding) -> bool {
        let is_named = finding
            .object
            .as_ref()
            .is_some_and(|file| *file == self.file || self.also.contains(file));
        // An object whose statement was changed has none.
        let is_unstated = finding.kind == Kind::Unstated && !self.kinds.contains(&Kind::ObjectExtra);
        is_named || is_unstated || self.is_root
    }
}

struct Forger {
    random: StdRng,
    bucket: Bucket,
    one: Author,
    two: Author,
}

impl Forger {
    fn below(&mut self, limit: usize) -> usize {
        self.random.random_range(0..limit)
    }

    fn object(&mut self) -> (String, Segment) {
        let place = self.below(self.one.objects.len());
        self.one.objects[place].clone()
    }

    /// An object of at least this number of events.
    fn object_of(&mut self, events: i64) -> (String, Segment) {
        loop {
            let (key, segment) = self.object();
            if segment.count >= events {
                return (key, segment);
            }
        }
    }

    /// Changes the events of an object, and compresses it as it was.
    fn change_events(&mut self, key: &str, segment: &Segment, change: impl FnOnce(&mut Self, &mut Vec<String>)) {
        let body = decompress(&self.bucket.files[key], segment.compression).unwrap();
        let text = String::from_utf8(body).unwrap();
        // Events end with `}}` and contain no such end followed by a separator elsewhere.
        let mut events: Vec<String> = match segment.format {
            Format::Ndjson => text.lines().map(str::to_owned).collect(),
            Format::JsonArray => {
                let inner = &text[1..text.len() - 1];
                inner.split("}},{").map(str::to_owned).collect()
            }
        };
        if segment.format == Format::JsonArray {
            let last = events.len() - 1;
            for (place, event) in events.iter_mut().enumerate() {
                if place > 0 {
                    event.insert(0, '{');
                }
                if place < last {
                    event.push_str("}}");
                }
            }
        }
        change(self, &mut events);
        let text = match segment.format {
            Format::Ndjson => events.join("\n") + "\n",
            Format::JsonArray => format!("[{}]", events.join(",")),
        };
        let body = compress(text.as_bytes(), segment.compression, None).unwrap();
        self.bucket.files.insert(key.to_owned(), body);
    }

    fn flip_bit(&mut self) -> Expected {
        let key = self.object().0;
        let length = self.bucket.files[&key].len();
        let (place, bit) = (self.below(length), self.below(8));
        self.bucket.files.get_mut(&key).unwrap()[place] ^= 1 << bit;
        // Many bits of a header mean nothing, and the content is then the stated one.
        let kinds = [
            Kind::ObjectAltered,
            Kind::EventAltered,
            Kind::EventMissing,
            Kind::EventInserted,
            Kind::EventDuplicated,
            Kind::ObjectReplaced,
            Kind::Recompressed,
        ];
        Expected::new(&kinds, &key)
    }

    fn drop_line(&mut self) -> Expected {
        let (key, segment) = self.object_of(2);
        let mut line = 0;
        self.change_events(&key, &segment, |forger, events| {
            line = forger.below(events.len());
            events.remove(line);
        });
        Expected::new(&[Kind::EventMissing], &key).on_line(line)
    }

    fn repeat_line(&mut self) -> Expected {
        let (key, segment) = self.object();
        let mut line = 0;
        self.change_events(&key, &segment, |forger, events| {
            line = forger.below(events.len());
            events.insert(line, events[line].clone());
        });
        Expected::new(&[Kind::EventDuplicated], &key).on_line(line + 1)
    }

    fn swap_lines(&mut self) -> Expected {
        let (key, segment) = self.object_of(3);
        let mut line = 0;
        self.change_events(&key, &segment, |forger, events| {
            line = forger.below(events.len() - 1);
            let other = line + 1 + forger.below(events.len() - line - 1);
            events.swap(line, other);
        });
        Expected::new(&[Kind::EventsReordered], &key).on_line(line)
    }

    fn insert_line(&mut self) -> Expected {
        let (key, segment) = self.object();
        let (mut line, mut at) = (0, 0);
        self.change_events(&key, &segment, |forger, events| {
            line = forger.below(events.len());
            let event = events[line].replacen("\"e", "\"f", 1);
            at = line + forger.below(2);
            events.insert(at, event);
        });
        // Of two events with one number, the second one is named.
        Expected::new(&[Kind::EventInserted], &key).on_line(line + 1)
    }

    fn edit_line(&mut self) -> Expected {
        let (key, segment) = self.object();
        self.change_events(&key, &segment, |forger, events| {
            let line = forger.below(events.len());
            events[line] = events[line].replacen("\"e", "\"f", 1);
        });
        Expected::new(&[Kind::EventAltered], &key)
    }

    fn break_line(&mut self) -> Expected {
        let (key, segment) = self.object();
        let mut line = 0;
        self.change_events(&key, &segment, |forger, events| {
            line = forger.below(events.len());
            events[line] = events[line].replacen("\"text\":", "\"text\"", 1);
        });
        Expected::new(&[Kind::EventAltered], &key).on_line(line)
    }

    fn drop_object(&mut self) -> Expected {
        let key = self.object().0;
        self.bucket.files.remove(&key);
        Expected::new(&[Kind::ObjectMissing], &key)
    }

    fn add_object(&mut self) -> Expected {
        let (key, segment) = self.object();
        let (folder, name) = key.rsplit_once('/').unwrap();
        let names = [
            format!("9{}", &name[1..]),
            format!("extra-{name}"),
            name.replace(&format!("_{}-", segment.first), &format!("_{}-", segment.first - 1)),
        ];
        let new = format!("{folder}/{}", names[self.below(3)]);
        let body = self.bucket.files[&key].clone();
        self.bucket.files.insert(new.clone(), body);
        Expected::new(&[Kind::ObjectExtra], &new)
    }

    fn rename_object(&mut self) -> Expected {
        let key = self.object().0;
        let new = [
            key.replace("_", "__"),
            format!("{key}.bak"),
            key.replace("hour=", "hour=0"),
            "x".to_owned(),
        ];
        let new = new[self.below(4)].clone();
        let body = self.bucket.files.remove(&key).unwrap();
        self.bucket.files.insert(new, body);
        Expected::new(&[Kind::ObjectRenamed], &key)
    }

    fn swap_objects(&mut self) -> Expected {
        let (key, segment) = self.object();
        let other = loop {
            let (other, another) = self.object();
            if (another.first, another.last) != (segment.first, segment.last) {
                break other;
            }
        };
        let (a, b) = (self.bucket.files[&key].clone(), self.bucket.files[&other].clone());
        self.bucket.files.extend([(key.clone(), b), (other.clone(), a)]);
        // One with another format cannot be split.
        Expected::new(&[Kind::ObjectReplaced, Kind::ObjectAltered], &key).also([other])
    }

    fn splice_object(&mut self) -> Expected {
        let (key, segment) = self.object();
        // The two destinations have the same events: only other batches differ.
        let others = self
            .two
            .objects
            .iter()
            .filter(|(_, other)| (other.first, other.last) != (segment.first, segment.last));
        let others: Vec<_> = others.collect();
        let place = self.random.random_range(0..others.len());
        let body = self.bucket.files[&others[place].0].clone();
        self.bucket.files.insert(key.clone(), body);
        Expected::new(&[Kind::ObjectReplaced, Kind::ObjectAltered], &key)
    }

    /// The first log of a destination: its folder, and the number of its statements.
    fn log(&self) -> (String, usize) {
        let log = &self.one.logs[0];
        (log.folder.clone(), log.entries.len())
    }

    /// Changes the statements in a file of the log.
    fn change_bundle(&mut self, change: impl FnOnce(&mut Self, &mut Vec<Vec<u8>>)) -> String {
        let (folder, _) = self.log();
        let prefix = format!("{folder}tile/entries/");
        let files: Vec<_> = self
            .bucket
            .files
            .keys()
            .filter(|key| key.starts_with(&prefix))
            .cloned()
            .collect();
        let file = files[self.below(files.len())].clone();
        let entries = parse_bundle(&self.bucket.files[&file]).unwrap();
        let mut entries: Vec<_> = entries.into_iter().map(<[u8]>::to_vec).collect();
        change(self, &mut entries);
        let mut bundle = Vec::new();
        entries.iter().for_each(|entry| push_entry(&mut bundle, entry).unwrap());
        self.bucket.files.insert(file.clone(), bundle);
        file
    }

    fn edit_statement(&mut self) -> Expected {
        let file = self.change_bundle(|forger, entries| {
            let place = forger.below(entries.len());
            let digit = entries[place].iter().rposition(u8::is_ascii_digit).unwrap();
            entries[place][digit] ^= 1;
        });
        Expected::new(&[Kind::StatementAltered], &file)
    }

    fn drop_statement(&mut self) -> Expected {
        let file = self.change_bundle(|forger, entries| {
            let place = forger.below(entries.len());
            entries.remove(place);
        });
        Expected::new(&[Kind::StatementMissing], &file)
    }

    fn swap_statements(&mut self) -> Expected {
        let file = self.change_bundle(|forger, entries| {
            let place = forger.below(entries.len());
            let last = entries.len() - 1;
            entries.swap(place, if place == last { 0 } else { last });
        });
        // A file of one statement stays as it is.
        match self.bucket.files[&file] == self.one.bucket.files[&file] {
            true => self.edit_statement(),
            false => Expected::new(&[Kind::StatementsReordered], &file),
        }
    }

    /// Edits a statement, and writes all tiles as they then must be.
    fn rebuild_tree(&mut self) -> Expected {
        let (folder, size) = self.log();
        let place = self.below(size);
        let digit = self.one.logs[0].entries[place]
            .iter()
            .rposition(u8::is_ascii_digit)
            .unwrap();
        self.one.logs[0].entries[place][digit] ^= 1;
        let sizes: Vec<u64> = self.checkpoints().into_keys().collect();
        for (old, new) in std::iter::once(&0).chain(&sizes).zip(&sizes) {
            let rest = self.one.logs[0].entries.split_off(usize::try_from(*new).unwrap());
            self.one.logs[0].write_tiles(&mut self.bucket, *old);
            self.one.logs[0].entries.extend(rest);
        }
        let newest = format!("{folder}checkpoint");
        Expected::new(&[Kind::HistoryRewritten], &newest).with_consequences()
    }

    /// The copies of checkpoints by size.
    fn checkpoints(&self) -> BTreeMap<u64, String> {
        let prefix = format!("{}checkpoints/", self.log().0);
        let files = self.bucket.files.keys().filter(|key| key.starts_with(&prefix));
        files
            .map(|key| (key.rsplit_once('/').unwrap().1.parse().unwrap(), key.clone()))
            .collect()
    }

    fn tile(&mut self) -> String {
        let prefix = format!("{}tile/", self.log().0);
        let files = self.bucket.files.keys().filter(|key| key.starts_with(&prefix));
        let files: Vec<_> = files.cloned().collect();
        files[self.below(files.len())].clone()
    }

    fn drop_tile(&mut self) -> Expected {
        let file = self.tile();
        self.bucket.files.remove(&file);
        Expected::new(&[Kind::TileMissing], &file)
    }

    fn edit_tile(&mut self) -> Expected {
        let file = self.tile();
        let length = self.bucket.files[&file].len();
        let (place, bit) = (self.below(length), self.below(8));
        self.bucket.files.get_mut(&file).unwrap()[place] ^= 1 << bit;
        let kinds = [
            Kind::TileAltered,
            Kind::StatementAltered,
            Kind::StatementMissing,
            Kind::StatementInserted,
        ];
        Expected::new(&kinds, &file)
    }

    fn splice_tile(&mut self) -> Expected {
        let (ours, theirs) = (self.log().0, &self.two.logs[0].folder);
        let files = self.bucket.files.keys().filter_map(|key| key.strip_prefix(&ours));
        let files: Vec<_> = files
            .filter(|path| path.starts_with("tile/"))
            .map(str::to_owned)
            .collect();
        // Hours in which nothing happened have the same statements in both.
        let differs = |path: &&String| {
            self.bucket.files[&format!("{theirs}{path}")] != self.bucket.files[&format!("{ours}{path}")]
        };
        let files: Vec<_> = files.iter().filter(differs).collect();
        let path = files[self.random.random_range(0..files.len())];
        let other = self.bucket.files[&format!("{theirs}{path}")].clone();
        let file = format!("{ours}{path}");
        self.bucket.files.insert(file.clone(), other);
        Expected::new(&[Kind::TileAltered, Kind::StatementAltered], &file)
    }

    fn copy(&mut self) -> (u64, String) {
        let copies: Vec<_> = self.checkpoints().into_iter().collect();
        copies[self.below(copies.len())].clone()
    }

    fn edit_checkpoint(&mut self) -> Expected {
        let (size, file) = self.copy();
        let text = self.bucket.files.get_mut(&file).unwrap();
        let place = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let place = place + size.to_string().len() + 1;
        text[place] = if text[place] == b'A' { b'B' } else { b'A' };
        let folder = format!("{}checkpoints/", self.log().0);
        Expected::new(&[Kind::CheckpointInvalid], &file).also([folder])
    }

    fn drop_checkpoint(&mut self) -> Expected {
        let (_, file) = self.copy();
        self.bucket.files.remove(&file);
        Expected::new(&[Kind::CheckpointMissing], &format!("{}checkpoints/", self.log().0))
    }

    fn sign_with_another_key(&mut self) -> Expected {
        let (size, file) = self.copy();
        let leaves = self.one.logs[0].leaves();
        let root = root_of(leaves[..usize::try_from(size).unwrap()].iter().copied());
        let origin = self.one.logs[0].origin.clone();
        let note = Checkpoint { origin, size, root }
            .sign([&Signer::from_seed(&[99; 32]).unwrap()])
            .unwrap();
        self.bucket.files.insert(file.clone(), note.to_string().into_bytes());
        let folder = format!("{}checkpoints/", self.log().0);
        Expected::new(&[Kind::CheckpointInvalid], &file).also([folder])
    }

    fn splice_checkpoint(&mut self) -> Expected {
        let file = format!("{}checkpoint", self.log().0);
        let other = self.bucket.files[&format!("{}checkpoint", self.two.logs[0].folder)].clone();
        self.bucket.files.insert(file.clone(), other);
        Expected::new(&[Kind::LogMisplaced], &file)
    }

    /// Removes the files of the newest tree, and keeps its checkpoint.
    fn cut_tree(&mut self) -> Expected {
        let (folder, size) = self.log();
        let prefix = format!("{folder}tile/");
        let full = format!("{prefix}entries/{:03}", size / 256);
        let hashes = format!("{prefix}0/{:03}", size / 256);
        self.bucket
            .files
            .retain(|key, _| !key.starts_with(&full) && !key.starts_with(&hashes));
        Expected::new(&[Kind::HistoryCut], &format!("{folder}checkpoint")).with_consequences()
    }

    fn add_file(&mut self) -> Expected {
        let names = ["tile/0/000.bak", "checkpoint.old", "tile/0/000.p/256", "other"];
        let file = format!("{}{}", self.log().0, names[self.below(4)]);
        self.bucket.files.insert(file.clone(), b"x".to_vec());
        Expected::new(&[Kind::FileExtra], &file)
    }

    fn replace_key(&mut self) -> Expected {
        let file = format!("{}keys/1.vkey", self.log().0);
        let other = self.bucket.files[&format!("{}keys/1.vkey", self.two.logs[0].folder)].clone();
        self.bucket.files.insert(file.clone(), other);
        Expected::new(&[Kind::KeyFileAltered], &file)
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Makes one change and verifies the copy.
fn forge(seed: u64, change: fn(&mut Forger) -> Expected) -> Result<(), String> {
    let (one, two, bucket) = two_destinations();
    let random = StdRng::seed_from_u64(seed);
    let mut forger = Forger {
        random,
        bucket,
        one,
        two,
    };
    let expected = change(&mut forger);
    let report = verified(&forger.bucket, &forger.one);
    let faults = faults(&report);
    let is_named = report.findings.iter().any(|finding| expected.is_named_by(finding));
    let kinds = &expected.kinds;
    if !is_named {
        let file = &expected.file;
        return Err(format!(
            "{kinds:?} of {file}, line {:?}, is not among{}",
            expected.line,
            named(&faults)
        ));
    }
    if report.verdict != Severity::Wrong && !kinds.contains(&Kind::Recompressed) {
        return Err(format!("{kinds:?} is {:?}", report.verdict));
    }
    match faults.iter().find(|fault| !expected.allows(fault)) {
        Some(other) => Err(format!("{kinds:?} of {} also leads to {other}", expected.file)),
        None => Ok(()),
    }
}

#[test]
fn every_change_is_found_and_named() {
    let (seed, changes) = (number("AUDITSTREAM_SEED", 1), number("AUDITSTREAM_FORGERIES", 104));
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut faults = Vec::new();
    for number in 0..changes {
        let kinds = FORGERIES.len() as u64;
        let (name, change) = FORGERIES[usize::try_from(number % kinds).unwrap()];
        let seed = seed.wrapping_add(number);
        if let Err(fault) = forge(seed, change) {
            faults.push(format!("seed {seed}, {name}: {fault}"));
        }
        *counts.entry(name).or_default() += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for (name, count) in counts {
        say(&format!("{count:6} times: {name}"));
    }
    say(&format!("{changes} forgeries were found and named"));
}

#[test]
fn with_the_key_another_history_can_be_signed_that_only_a_kept_checkpoint_shows() {
    let (author, _, bucket) = two_destinations();
    let log = &author.logs[0];
    let kept = vec![(
        "yesterday".to_owned(),
        bucket.files[&format!("{}checkpoint", log.folder)].clone(),
    )];
    let key = [author.key()];
    let judge = |bucket: &Bucket, expected: &[(String, Vec<u8>)]| {
        let report = verify_with(bucket, &key, expected, author.time);
        let faults: Vec<_> = faults(&report).iter().map(|fault| fault.kind).collect();
        faults
    };
    assert_eq!(judge(&bucket, &kept), []);
    // Another destination of the same name and key, which lacks its last events.
    let mut other = Author::new("siem", 11);
    other.open(None);
    other.segment(5);
    other.publish();
    assert_eq!(judge(&other.bucket, &[]), [], "the operator can write another history");
    assert_eq!(judge(&other.bucket, &kept), [Kind::HistoryCut]);
    other.pass(400 * super::author::HOUR);
    other.publish();
    assert_eq!(judge(&other.bucket, &kept), [Kind::HistoryRewritten]);
    let unsigned = vec![("yesterday".to_owned(), b"auditstream\n1\n\n".to_vec())];
    assert_eq!(judge(&bucket, &unsigned), [Kind::CheckpointInvalid]);
}

#[test]
fn an_older_checkpoint_is_stale_and_not_forged() {
    let (author, _, mut bucket) = two_destinations();
    let folder = &author.logs[1].folder;
    let oldest = bucket
        .files
        .iter()
        .find(|(key, _)| key.starts_with(&format!("{folder}checkpoints/")));
    let oldest = oldest.unwrap().1.clone();
    bucket.files.insert(format!("{folder}checkpoint"), oldest);
    let report = verified(&bucket, &author);
    assert_eq!(report.verdict, Severity::Note, "{}", named(&faults(&report)));
    assert_eq!(super::count(&report, Kind::StaleCheckpoint), 1);
}
