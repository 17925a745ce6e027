//! Whether the statements of a log follow from one another: every sequence once, every hour while
//! the destination is active, and nothing after the end.

mod hours;

use auditstream_model::{EpochMillis, Sequence};

use hours::next_hour;

use crate::evidence::statement::{Entry, Head, Open, Range, Restored, Segment, Statement};
use crate::evidence::verify::log_files::{LogFiles, ObjectName};
use crate::evidence::verify::report::{Finding, Findings, Kind};
use crate::evidence::verify::times::shown;

/// The state after the statements so far.
#[derive(Debug)]
pub(super) struct History<'v> {
    origin: &'v str,
    log: &'v LogFiles,
    found: &'v Findings,
    /// The statement that is looked at.
    index: u64,
    /// The first statement; `None` if it is missing.
    pub(super) open: Option<Open>,
    /// The origin of the log that continues this one.
    pub(super) next: Option<String>,
    pub(super) cursor: Sequence,
    newest: Sequence,
    active: bool,
    /// Whether `active` is known: a missing statement may have changed it.
    is_active_known: bool,
    /// The next hour that needs its statement.
    due: EpochMillis,
    /// The last hour of an absence, which may have its statement.
    optional: Option<EpochMillis>,
    restored: Vec<(Sequence, Sequence)>,
    pub(super) time: EpochMillis,
    pub(super) closed: bool,
    /// Whether statements are missing before this one, so that it cannot be compared with them.
    is_cut: bool,
    /// Whether any statement is missing.
    pub(super) is_incomplete: bool,
}

impl<'v> History<'v> {
    pub(super) fn new(origin: &'v str, log: &'v LogFiles, found: &'v Findings) -> Self {
        Self {
            origin,
            log,
            found,
            index: 0,
            open: None,
            next: None,
            cursor: 0,
            newest: 0,
            active: false,
            is_active_known: false,
            due: 0,
            optional: None,
            restored: Vec::new(),
            time: 0,
            closed: false,
            is_cut: false,
            is_incomplete: false,
        }
    }

    /// Passes a statement that is missing or altered, which is reported elsewhere.
    pub(super) fn pass_unknown(&mut self) {
        self.is_cut = true;
        self.is_incomplete = true;
        self.is_active_known = false;
    }

    /// Adds the next statement.
    pub(super) fn add(&mut self, index: u64, entry: &Entry) {
        self.index = index;
        if self.closed {
            self.wrong(
                Kind::StatementInvalid,
                "nothing may follow the end of the log".to_owned(),
            );
        }
        if entry.time < self.time {
            let message = format!(
                "the statement of {} follows one of {}",
                shown(entry.time),
                shown(self.time)
            );
            self.wrong(Kind::StatementInvalid, message);
        }
        self.time = self.time.max(entry.time);
        if (index == 0) != matches!(entry.statement, Statement::Open(_)) {
            self.wrong(
                Kind::StatementInvalid,
                "a log begins with `open`, and only that".to_owned(),
            );
        }
        if let Statement::Hour(hour) = &entry.statement {
            self.hour(hour, entry.time);
        } else {
            self.require_hours(entry);
            self.state(entry);
        }
        self.is_cut = false;
    }

    fn state(&mut self, entry: &Entry) {
        match &entry.statement {
            Statement::Open(open) => self.open(open, entry.time),
            Statement::Segment(segment) => self.segment(segment),
            Statement::Pause(head) => self.pause(head, entry.time, false),
            Statement::Resume(head) => self.pause(head, entry.time, true),
            Statement::Skip(range) => self.skip(range),
            Statement::Replay(range) => self.replay(range),
            Statement::Restored(restored) => self.restore(restored),
            Statement::Absent(absent) => {
                let message = format!(
                    "nothing was recorded from {} to {}",
                    shown(absent.from),
                    shown(absent.to)
                );
                self.note(Kind::Absent, message);
            }
            Statement::Renamed(renamed) => {
                let (first, last) = (renamed.first, renamed.last);
                self.note(
                    Kind::Renamed,
                    format!("{first}-{last} was sent as {} instead of {}", renamed.key, renamed.old),
                );
            }
            Statement::Moved(moved) => {
                self.end(moved.cursor, moved.newest);
                self.next = Some(moved.next.clone());
                self.note(
                    Kind::Closed,
                    format!(
                        "the destination moved ({}): the log {} continues",
                        moved.why, moved.next
                    ),
                );
            }
            Statement::Close(close) => {
                self.end(close.cursor, close.newest);
                self.note(Kind::Closed, format!("the log ended: {}", close.why));
            }
            Statement::Expiry(expiry) => self.note(Kind::Expiry, format!("objects expire after {} days", expiry.days)),
            Statement::Erased(erased) => {
                self.note(
                    Kind::Erased,
                    format!("{} objects were removed: {}", erased.keys.len(), erased.why),
                );
            }
            Statement::Key(key) => self.note(Kind::KeyChanged, format!("key {} follows", key.number)),
            Statement::Hour(_) => {}
        }
    }

    fn open(&mut self, open: &Open, time: EpochMillis) {
        let parts: Vec<_> = self.origin.split('/').collect();
        let is_here = open.account == self.log.account && open.destination == self.log.destination;
        if !is_here || parts.get(1) != Some(&open.installation.as_str()) || open.format != 1 {
            let message = format!(
                "the log says that it is of the installation {}, account {}, destination {}, format {}",
                open.installation, open.account, open.destination, open.format
            );
            self.wrong(Kind::LogMisplaced, message);
        }
        self.open = Some(open.clone());
        self.cursor = open.first - 1;
        self.newest = open.newest;
        self.active = open.active;
        self.is_active_known = true;
        self.due = next_hour(time);
    }

    fn segment(&mut self, segment: &Segment) {
        self.advance(segment.first, segment.last, "the object");
        if segment.count != segment.last - segment.first + 1 {
            let message = format!("{} events cannot be {}-{}", segment.count, segment.first, segment.last);
            self.wrong(Kind::StatementInvalid, message);
        }
        let name = ObjectName::parse(&segment.key);
        let is_named = name.is_some_and(|name| {
            (name.account, name.first, name.last) == (self.log.account.as_str(), segment.first, segment.last)
                && self.open.as_ref().is_none_or(|open| open.prefix == name.base)
        });
        if !is_named {
            let message = format!(
                "the key {} is not that of {}-{} here",
                segment.key, segment.first, segment.last
            );
            self.wrong(Kind::StatementInvalid, message);
        }
    }

    /// Moves the cursor over a range that must begin after it.
    fn advance(&mut self, first: Sequence, last: Sequence, what: &str) {
        let next = self.cursor + 1;
        let is_after_gap = || self.after_lost(next) == first;
        if !self.is_cut && first != next && !is_after_gap() {
            let message = if first > next {
                format!("{what} begins at {first}: no statement covers {next}-{}", first - 1)
            } else {
                format!(
                    "{what} begins at {first}, and the statements before it cover up to {}",
                    self.cursor
                )
            };
            self.wrong(Kind::SequenceGap, message);
        }
        if last < first {
            self.wrong(Kind::StatementInvalid, format!("{first}-{last} is not a range"));
        }
        self.cursor = last;
        self.newest = self.newest.max(last);
    }

    /// Returns the sequence at which events continue from `next` on, after those that restores
    /// lost.
    fn after_lost(&self, mut next: Sequence) -> Sequence {
        while let Some((_, last)) = self
            .restored
            .iter()
            .find(|(first, last)| (*first..=*last).contains(&next))
        {
            next = last + 1;
        }
        next
    }

    fn skip(&mut self, range: &Range) {
        self.advance(range.first, range.last, "the skip");
        self.note(
            Kind::Skipped,
            format!("an admin skipped {}-{}", range.first, range.last),
        );
    }

    fn replay(&mut self, range: &Range) {
        if !self.is_cut && (range.last > self.cursor || range.first > range.last) {
            let message = format!(
                "{}-{} cannot be sent again after {}",
                range.first, range.last, self.cursor
            );
            self.wrong(Kind::SequenceGap, message);
        }
        self.cursor = range.first - 1;
        self.note(Kind::Replayed, format!("{}-{} was sent again", range.first, range.last));
    }

    fn restore(&mut self, restored: &Restored) {
        self.restored.push((restored.first, restored.last));
        self.newest = self.newest.min(restored.first - 1);
        let message = format!(
            "a restore lost {}-{}; numbering continues at {}",
            restored.first, restored.last, restored.next
        );
        self.note(Kind::Restored, message);
    }

    fn pause(&mut self, head: &Head, time: EpochMillis, resumes: bool) {
        if self.active == resumes && self.is_active_known {
            let message = if resumes {
                "the destination was active already"
            } else {
                "the destination was paused already"
            };
            self.wrong(Kind::StatementInvalid, message.to_owned());
        }
        self.head(head.cursor, head.newest);
        self.active = resumes;
        self.is_active_known = true;
        self.due = next_hour(time);
        let verb = if resumes { "resumed" } else { "paused" };
        self.note(
            Kind::Paused,
            format!("{verb} at {} with the cursor at {}", shown(time), head.cursor),
        );
    }

    fn end(&mut self, cursor: Sequence, newest: Sequence) {
        self.head(cursor, newest);
        self.closed = true;
    }

    /// Compares a cursor and the newest number with the statements so far.
    fn head(&mut self, cursor: Sequence, newest: Sequence) {
        if !self.is_cut && cursor != self.cursor && cursor != self.after_lost(self.cursor + 1) - 1 {
            let message = format!(
                "the cursor is stated as {cursor}, and the statements cover up to {}",
                self.cursor
            );
            self.wrong(Kind::SequenceGap, message);
        }
        if newest < cursor || (newest < self.newest && !self.is_cut) {
            let message = format!(
                "the newest number is stated as {newest}, and {} had been given",
                self.newest.max(cursor)
            );
            self.wrong(Kind::StatementInvalid, message);
        }
        self.cursor = cursor;
        self.newest = newest;
    }

    fn wrong(&self, kind: Kind, message: String) {
        self.found
            .add(Finding::new(kind, message).of_log(self.origin).at(self.index));
    }

    fn note(&self, kind: Kind, message: String) {
        self.wrong(kind, message);
    }
}
