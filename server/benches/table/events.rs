//! The events of the measurements: recorded ones, each with a new id and time.

use std::fmt::Write as _;

use auditstream_testkit::events;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// One event out of this number has [`RARE_PRINCIPAL`] and [`RARE_WORD`].
pub const RARE_EVERY: usize = 100_000;
/// A principal that few events have.
pub const RARE_PRINCIPAL: &str = "rare.principal@example.com";
/// A word that few events have.
pub const RARE_WORD: &str = "quetzalcoatl";
/// A word that most events have.
pub const COMMON_WORD: &str = "amazonaws";

const ID: &str = r#""auditEventId":""#;
const TIME: &str = r#""auditEventTime":""#;

/// A recorded event, cut at its id and its time.
struct Template {
    head: String,
    middle: String,
    tail: String,
}

/// A source of events.
pub struct Source {
    templates: Vec<Template>,
    start: i64,
}

impl Source {
    /// Creates a source of events whose times begin at `start`, in epoch ms, one every millisecond.
    pub fn new(start: i64) -> Self {
        let recorded = events::trail();
        let templates = recorded.lines().map(|line| {
            let (head, rest) = cut(line, ID);
            let (middle, tail) = cut(rest, TIME);
            Template {
                head: head.to_owned(),
                middle: middle.to_owned(),
                tail: tail.to_owned(),
            }
        });
        Self {
            templates: templates.collect(),
            start,
        }
    }

    /// Writes the events `first .. first + count` as NDJSON.
    pub fn lines(&self, first: usize, count: usize) -> String {
        let mut out = String::with_capacity(count * 1000);
        for index in first..first + count {
            let Template { head, middle, tail } = &self.templates[index % self.templates.len()];
            // The id depends only on the index, so that an event can be repeated.
            let mut random = SmallRng::seed_from_u64(index as u64);
            let id = random.random::<u128>();
            let time = self.start + index as i64;
            if index % RARE_EVERY == RARE_EVERY / 2 {
                let tail = r#"","auditEventMetadata":{"note":"quetzalcoatl"}}"#;
                let _ = writeln!(
                    out,
                    r#"{{"auditEventId":"{id:032x}","auditEventAuthor":{{"principal":{{"type":"USER","identifier":"{RARE_PRINCIPAL}"}}}},"auditModule":"S3","auditResource":{{"type":"BUCKET","identifier":"b"}},"auditResourceScope":{{"accountIdentifier":"default"}},"auditAction":"UPDATED","auditEventTime":"{time}{tail}"#,
                );
            } else {
                let _ = writeln!(out, "{head}{id:032x}{middle}{time}{tail}");
            }
        }
        out
    }
}

/// Cuts a line into the text up to and with `key`, and the text after the value.
fn cut<'l>(line: &'l str, key: &str) -> (&'l str, &'l str) {
    let value = line.find(key).unwrap() + key.len();
    let end = value + line[value..].find('"').unwrap();
    (&line[..value], &line[end..])
}
