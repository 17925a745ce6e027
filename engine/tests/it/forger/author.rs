//! Writes the bucket of a made-up destination as the server would: objects, statements, tiles and
//! checkpoints.

use std::collections::BTreeMap;
use std::io::{self, Read};

use auditstream_engine::evidence::leaf::leaf_of_payload;
use auditstream_engine::evidence::note::{Checkpoint, Signer, Verifier};
use auditstream_engine::evidence::statement::{
    Absent, Close, Entry, Erased, Expiry, Head, Hour, Key, Moved, Open, Previous, Range, Renamed, Restored, Segment,
    Statement,
};
use auditstream_engine::evidence::tile::{entries_path, push_entry, root_of_tile, tiles_between};
use auditstream_engine::evidence::tree::{Hash, leaf_hash, root_of};
use auditstream_engine::evidence::verify::Source;
use auditstream_engine::streaming::encode::{compress, sha256};
use auditstream_engine::trail::close;
use auditstream_model::{Compression, Format};
use jiff::Timestamp;

pub const HOUR: i64 = 3_600_000;
pub const INSTALLATION: &str = "0123456789abcdef";
const BEGINNING: i64 = 1_764_237_600_000;

/// A copy of a bucket, in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    pub files: BTreeMap<String, Vec<u8>>,
    /// Lists its files from the last to the first.
    pub backwards: bool,
}

impl Source for Bucket {
    fn name(&self) -> String {
        "bucket".to_owned()
    }

    fn list(&self, each: &mut dyn FnMut(&str)) -> io::Result<()> {
        if self.backwards {
            self.files.keys().rev().for_each(|key| each(key));
        } else {
            self.files.keys().for_each(|key| each(key));
        }
        Ok(())
    }

    fn open(&self, key: &str) -> io::Result<Option<Box<dyn Read + '_>>> {
        let file = self.files.get(key);
        Ok(file.map(|bytes| Box::new(bytes.as_slice()) as Box<dyn Read>))
    }
}

/// A log that is being written.
#[derive(Debug)]
pub struct LogWriter {
    pub folder: String,
    pub origin: String,
    pub entries: Vec<Vec<u8>>,
    published: u64,
}

impl LogWriter {
    pub fn leaves(&self) -> Vec<Hash> {
        self.entries.iter().map(|entry| leaf_hash(entry)).collect()
    }

    /// Writes the tiles and the checkpoint of all entries so far.
    pub fn publish(&mut self, bucket: &mut Bucket, signers: &[&Signer], time: i64) {
        let size = self.entries.len() as u64;
        if size == self.published {
            return;
        }
        self.write_tiles(bucket, self.published);
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size,
            root: root_of(self.leaves()),
        };
        let note = checkpoint
            .sign(signers.iter().copied())
            .unwrap()
            .to_string()
            .into_bytes();
        let day = Timestamp::from_millisecond(time)
            .unwrap()
            .strftime("dt=%Y-%m-%d/hour=%H")
            .to_string();
        let copy = format!("{}checkpoints/{day}/{size:012}", self.folder);
        bucket.files.insert(copy, note.clone());
        bucket.files.insert(format!("{}checkpoint", self.folder), note);
        self.published = size;
    }

    /// Writes the tiles that a tree of `old` entries lacks.
    pub fn write_tiles(&self, bucket: &mut Bucket, old: u64) {
        let mut levels = vec![self.leaves()];
        while let Some(below) = levels.last().filter(|level| level.len() >= 256) {
            let level = below.chunks_exact(256).map(root_of_tile).collect();
            levels.push(level);
        }
        for tile in tiles_between(old, self.entries.len() as u64) {
            let begin = usize::try_from(tile.begin()).unwrap();
            let end = begin + usize::try_from(tile.width).unwrap();
            let hashes = levels[usize::from(tile.level)][begin..end].concat();
            bucket.files.insert(format!("{}{}", self.folder, tile.path()), hashes);
            if tile.level == 0 {
                let mut bundle = Vec::new();
                for entry in &self.entries[begin..end] {
                    push_entry(&mut bundle, entry).unwrap();
                }
                bucket.files.insert(
                    format!("{}{}", self.folder, entries_path(tile.index, tile.width)),
                    bundle,
                );
            }
        }
    }
}

/// A destination, and the server that writes for it.
pub struct Author {
    pub bucket: Bucket,
    pub signers: Vec<Signer>,
    pub logs: Vec<LogWriter>,
    /// The keys of the objects and the batches in them.
    pub objects: Vec<(String, Segment)>,
    destination: &'static str,
    prefix: String,
    uid: String,
    number: i64,
    pub time: i64,
    cursor: i64,
    pub newest: i64,
    active: bool,
    /// Appended to the metadata of every event.
    filler: String,
}

impl Author {
    pub fn new(destination: &'static str, first: i64) -> Self {
        Self {
            bucket: Bucket::default(),
            signers: vec![Signer::from_seed(&[7; 32]).unwrap()],
            logs: Vec::new(),
            objects: Vec::new(),
            destination,
            prefix: "audit/".to_owned(),
            uid: format!("{destination}A").to_uppercase(),
            number: 0,
            time: BEGINNING + 1_234,
            cursor: first - 1,
            newest: first - 1,
            active: true,
            filler: String::new(),
        }
    }

    /// As [`Self::new`], with events of about 900 bytes.
    pub fn with_long_events(destination: &'static str, first: i64) -> Self {
        let members = (0..30).map(|n| format!(r#""member{n}":"{:x}","#, n * 0x1234_5678_9abc_i64));
        Self {
            filler: members.collect(),
            ..Self::new(destination, first)
        }
    }

    pub fn key(&self) -> Verifier {
        Verifier::new(&self.logs[0].origin, self.signers[0].public_key()).unwrap()
    }

    pub fn state(&mut self, statement: Statement) {
        let time = self.time;
        let entry = Entry { time, statement }.to_bytes().unwrap();
        self.logs.last_mut().unwrap().entries.push(entry);
    }

    pub fn publish(&mut self) {
        let signers: Vec<_> = self.signers.iter().collect();
        self.logs
            .last_mut()
            .unwrap()
            .publish(&mut self.bucket, &signers, self.time);
    }

    pub fn open(&mut self, why: Option<&str>) {
        let number = self.logs.len() + 1;
        let log = format!("{:A<16}", self.destination.to_uppercase());
        let previous = self.logs.last().map(|log| Previous {
            origin: log.origin.clone(),
            size: log.entries.len() as u64,
            root: root_of(log.leaves()),
        });
        let folder = format!(
            "{}evidence/account=default/destination={}/{log}.{number}/",
            self.prefix, self.destination
        );
        let origin = format!("auditstream/{INSTALLATION}/default/{log}.{number}");
        let key = Verifier::new(&origin, self.signers[0].public_key()).unwrap();
        self.bucket
            .files
            .insert(format!("{folder}keys/1.vkey"), format!("{key}\n").into_bytes());
        self.bucket
            .files
            .insert(format!("{folder}VERIFY.md"), b"See docs/evidence.md\n".to_vec());
        self.logs.push(LogWriter {
            folder,
            origin,
            entries: Vec::new(),
            published: 0,
        });
        self.state(Statement::Open(Open {
            format: 1,
            installation: INSTALLATION.to_owned(),
            account: "default".to_owned(),
            destination: self.destination.to_owned(),
            endpoint: None,
            bucket: "trail".to_owned(),
            prefix: self.prefix.clone(),
            first: self.cursor + 1,
            newest: self.newest,
            active: self.active,
            public_key: self.signers[0].public_key(),
            previous,
            why: why.map(str::to_owned),
        }));
    }

    /// Lets time pass. Every hour that begins meanwhile gets its statement.
    pub fn pass(&mut self, ms: i64) {
        let end = self.time + ms;
        loop {
            let hour = self.time - self.time.rem_euclid(HOUR) + HOUR;
            if hour > end {
                break;
            }
            self.time = hour;
            if self.active {
                let (cursor, newest) = (self.cursor, self.newest);
                self.state(Statement::Hour(Hour { hour, cursor, newest }));
            }
        }
        self.time = end;
    }

    fn payload(&self, sequence: i64) -> String {
        let text = "x".repeat(usize::try_from(sequence % 40).unwrap());
        format!(
            r#"{{"auditEventId":"e{sequence}","a":["}}{{,\"",{sequence}],"text":"{text}","auditEventMetadata":{{{}"recordedBy":"auditstream","#,
            self.filler
        )
    }

    /// The content of a batch.
    pub fn content(&self, first: i64, last: i64, format: Format) -> String {
        let batch_id = format!("{first}-{last}");
        let events = (first..=last).map(|sequence| {
            let mut event = String::new();
            close(&mut event, &self.payload(sequence), sequence, Some(&batch_id));
            event
        });
        let events: Vec<_> = events.collect();
        match format {
            Format::Ndjson => events.join("\n") + "\n",
            Format::JsonArray => format!("[{}]", events.join(",")),
        }
    }

    /// Sends the next events as one object. Formats and compressions take turns.
    pub fn segment(&mut self, count: i64) {
        self.number += 1;
        let (first, last) = (self.cursor + 1, self.cursor + count);
        self.newest = self.newest.max(last);
        let format = [Format::Ndjson, Format::JsonArray][usize::from(self.number % 3 == 2)];
        let compression =
            [Compression::Gzip, Compression::Zstd, Compression::None][usize::try_from(self.number % 4 % 3).unwrap()];
        let day = Timestamp::from_millisecond(self.time)
            .unwrap()
            .strftime("dt=%Y-%m-%d/hour=%H")
            .to_string();
        let ending = match format {
            Format::Ndjson => "ndjson",
            Format::JsonArray => "json",
        };
        let compressed = match compression {
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
            Compression::None => "",
        };
        let name = format!("{:012}_{first}-{last}_{}.{ending}{compressed}", self.number, self.uid);
        let key = format!("{}account=default/{day}/{name}", self.prefix);
        let content = self.content(first, last, format);
        let body = compress(content.as_bytes(), compression, None).unwrap();
        let segment = Segment {
            key: key.clone(),
            bytes: Some(body.len() as u64),
            sha256: Some(sha256(&body)),
            unreadable: false,
            content_sha256: sha256(content.as_bytes()),
            format,
            compression,
            first,
            last,
            count,
            root: root_of((first..=last).map(|sequence| leaf_hash(leaf_of_payload(&self.payload(sequence))))),
            oldest: self.time,
            newest: self.time,
        };
        self.bucket.files.insert(key.clone(), body);
        self.objects.push((key, segment.clone()));
        self.cursor = last;
        self.state(Statement::Segment(segment));
    }

    fn head(&self) -> Head {
        Head {
            cursor: self.cursor,
            newest: self.newest,
            event: Some(self.newest),
        }
    }

    pub fn pause(&mut self) {
        self.active = false;
        self.state(Statement::Pause(self.head()));
    }

    pub fn resume(&mut self) {
        self.active = true;
        self.state(Statement::Resume(self.head()));
    }

    fn range(&self, first: i64, last: i64, doubt: &[&str]) -> Range {
        Range {
            first,
            last,
            uid: self.uid.clone(),
            event: None,
            doubt: doubt.iter().map(|key| (*key).to_owned()).collect(),
        }
    }

    /// Skips events; one of their objects may be in the bucket, and is.
    pub fn skip(&mut self, count: i64) {
        let (first, last) = (self.cursor + 1, self.cursor + count);
        let key = format!(
            "{}account=default/dt=2025-11-27/hour=10/999999999999_{first}-{last}_{}.ndjson",
            self.prefix, self.uid
        );
        self.uid.push('S');
        self.newest = self.newest.max(last);
        let content = self.content(first, last, Format::Ndjson).into_bytes();
        self.bucket.files.insert(key.clone(), content);
        self.state(Statement::Skip(self.range(first, last, &[&key])));
        self.cursor = last;
    }

    pub fn replay(&mut self, first: i64) {
        self.uid.push('R');
        let last = self.cursor;
        self.state(Statement::Replay(self.range(first, last, &[])));
        self.cursor = first - 1;
    }

    /// Finds a foreign object at the next key.
    pub fn rename(&mut self, count: i64) {
        let (first, last) = (self.cursor + 1, self.cursor + count);
        let old = format!(
            "{}account=default/dt=2025-11-27/hour=11/000000000999_{first}-{last}_{}.ndjson",
            self.prefix, self.uid
        );
        self.bucket.files.insert(old.clone(), b"foreign\n".to_vec());
        self.uid.push('N');
        let key = format!("{}account=default/renamed", self.prefix);
        let event = None;
        self.state(Statement::Renamed(Renamed {
            first,
            last,
            old,
            key,
            event,
        }));
        self.segment(count);
    }

    pub fn be_absent(&mut self, ms: i64) {
        let from = self.time;
        self.time += ms;
        let to = self.time;
        self.state(Statement::Absent(Absent { from, to }));
    }

    pub fn restore(&mut self, lost: i64) {
        let (first, last) = (self.newest + 1, self.newest + lost);
        let (next, declared) = (last + 1, self.time);
        self.state(Statement::Restored(Restored {
            first,
            last,
            next,
            declared,
        }));
        // All earlier events are sent, so that numbering and the cursor continue together.
        assert_eq!(self.cursor, self.newest);
        (self.cursor, self.newest) = (last, last);
    }

    pub fn erase(&mut self, object: usize) {
        let key = self.objects.remove(object).0;
        self.bucket.files.remove(&key);
        let (keys, why, event) = (vec![key], "request 17".to_owned(), None);
        self.state(Statement::Erased(Erased { keys, why, event }));
    }

    pub fn expire(&mut self, days: u32) {
        self.state(Statement::Expiry(Expiry { days, event: None }));
    }

    /// Replaces the key. The next checkpoint carries both signatures.
    pub fn rotate(&mut self) {
        let next = Signer::from_seed(&[8; 32]).unwrap();
        let public_key = next.public_key();
        self.state(Statement::Key(Key {
            number: 2,
            public_key,
            event: None,
        }));
        self.signers.push(next);
        self.publish();
        let log = self.logs.last().unwrap();
        let key = Verifier::new(&log.origin, public_key).unwrap();
        self.bucket
            .files
            .insert(format!("{}keys/2.vkey", log.folder), format!("{key}\n").into_bytes());
    }

    /// Signs with the newest key alone.
    pub fn retire_key(&mut self) {
        self.signers.remove(0);
    }

    pub fn move_to(&mut self, prefix: &str) {
        let log = self.logs.last().unwrap();
        let next = log
            .origin
            .replace(&format!(".{}", self.logs.len()), &format!(".{}", self.logs.len() + 1));
        self.state(Statement::Moved(Moved {
            endpoint: None,
            bucket: "trail".to_owned(),
            prefix: prefix.to_owned(),
            next,
            why: "prefix".to_owned(),
            cursor: self.cursor,
            newest: self.newest,
            event: None,
            doubt: Vec::new(),
        }));
        self.publish();
        self.prefix = prefix.to_owned();
        self.open(Some("prefix"));
    }

    pub fn close(&mut self) {
        self.state(Statement::Close(Close {
            why: "deleted".to_owned(),
            cursor: self.cursor,
            newest: self.newest,
            event: None,
            doubt: Vec::new(),
        }));
        self.publish();
    }
}

/// A destination with everything that a log can have.
pub fn eventful(destination: &'static str) -> Author {
    let mut author = Author::new(destination, 11);
    let uid = format!("{destination}A").to_uppercase();
    let before = format!("audit/account=default/dt=2025-11-27/hour=09/000000000000_1-10_{uid}.ndjson");
    let content = author.content(1, 10, Format::Ndjson).into_bytes();
    author.bucket.files.insert(before, content);
    author.open(None);
    for count in [5, 1, 12, 30, 7] {
        author.segment(count);
        author.pass(25 * 60_000);
        author.publish();
    }
    author.pass(3 * HOUR);
    author.pause();
    author.pass(5 * HOUR);
    author.publish();
    author.resume();
    author.segment(4);
    author.skip(6);
    author.segment(9);
    author.publish();
    author.replay(60);
    author.segment(20);
    author.rename(3);
    author.be_absent(2 * HOUR + 7);
    author.segment(2);
    author.restore(100);
    author.segment(8);
    author.erase(1);
    author.publish();
    author.pass(260 * HOUR);
    author.publish();
    author.segment(6);
    author.pass(40 * 60_000);
    author.segment(5);
    author.publish();
    author.move_to("audit2/");
    author.segment(5);
    author.segment(11);
    author.publish();
    author.pass(2 * HOUR);
    author.segment(3);
    author.publish();
    author
}
