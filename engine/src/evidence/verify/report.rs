//! The result of a verification: findings, and the part of each log that is proven.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// The findings of one kind that a report names; further ones are only counted.
const NAMED_FINDINGS: u64 = 1_000;

/// The meaning of a finding for the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Declared, or harmless.
    Note,
    /// Something could not be verified.
    Unproven,
    /// The copy is not what the server wrote.
    Wrong,
}

macro_rules! kinds {
    ($($severity:ident { $($(#[$doc:meta])+ $kind:ident = $name:literal,)+ })+) => {
        /// The kinds of finding, by the names that scripts rely on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Kind {
            $($($(#[$doc])+ #[serde(rename = $name)] $kind,)+)+
        }

        impl Kind {
            /// The name in `--json`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $($(Self::$kind => $name,)+)+ }
            }

            /// Its meaning for the verdict.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $($(Self::$kind)|+ => Severity::$severity,)+ }
            }
        }
    };
}

kinds! {
    Wrong {
        /// A checkpoint whose syntax, origin or signature is invalid.
        CheckpointInvalid = "checkpoint_invalid",
        /// A checkpoint that was published, without its copy.
        CheckpointMissing = "checkpoint_missing",
        /// Statements and tiles that do not give a root that was signed.
        HistoryRewritten = "history_rewritten",
        /// A log that ends before a checkpoint that was kept, or before its own.
        HistoryCut = "history_cut",
        /// A file of the log that must exist.
        TileMissing = "tile_missing",
        /// A tile whose hashes are not those of the signed tree.
        TileAltered = "tile_altered",
        /// A statement that is not the one that was signed.
        StatementAltered = "statement_altered",
        /// A signed statement that its file lacks.
        StatementMissing = "statement_missing",
        /// A statement that no key has signed.
        StatementInserted = "statement_inserted",
        /// Statements in another order than the signed one.
        StatementsReordered = "statements_reordered",
        /// A statement that contradicts the format or the statements before it.
        StatementInvalid = "statement_invalid",
        /// Sequences that no statement covers, or that two cover.
        SequenceGap = "sequence_gap",
        /// Hours without their statement.
        HourMissing = "hour_missing",
        /// A log at another place than the one that it states, or of another origin.
        LogMisplaced = "log_misplaced",
        /// A log that does not continue the one before.
        LogConflict = "log_conflict",
        /// A file with a public key that the log does not declare.
        KeyFileAltered = "key_file_altered",
        /// A file in the log's folder that does not belong to it.
        FileExtra = "file_extra",
        /// An object that a statement names and the copy lacks.
        ObjectMissing = "object_missing",
        /// An object that cannot be read as its format.
        ObjectAltered = "object_altered",
        /// An object with the events of another one.
        ObjectReplaced = "object_replaced",
        /// An object under another key than the stated one.
        ObjectRenamed = "object_renamed",
        /// An object that no statement names.
        ObjectExtra = "object_extra",
        /// An object of which there is more than one version.
        ObjectOverwritten = "object_overwritten",
        /// An object that was deleted, by the bucket's versions.
        ObjectDeleted = "object_deleted",
        /// An event that was changed.
        EventAltered = "event_altered",
        /// An event that its object lacks.
        EventMissing = "event_missing",
        /// A line that is not one of the object's events.
        EventInserted = "event_inserted",
        /// An event that is in its object twice.
        EventDuplicated = "event_duplicated",
        /// Events in another order.
        EventsReordered = "events_reordered",
    }
    Unproven {
        /// A log that others refer to and that the copy lacks.
        LogMissing = "log_missing",
        /// A file or an object that cannot be read.
        Unreadable = "unreadable",
        /// An object that a statement which cannot be read may name.
        Unstated = "unstated",
        /// An object that is newer than the newest checkpoint.
        NotYetStated = "not_yet_stated",
    }
    Note {
        /// `checkpoint` is older than the newest of its copies.
        StaleCheckpoint = "stale_checkpoint",
        /// Statements after the newest checkpoint, which are not signed yet.
        NotYetSigned = "not_yet_signed",
        /// An object with the stated content, compressed otherwise.
        Recompressed = "recompressed",
        /// Objects that were removed as declared.
        Expired = "expired",
        /// An object that was removed on purpose, as declared.
        Erased = "erased",
        /// An object that the server could not read.
        StatedUnread = "stated_unread",
        /// An object at a key that a statement lists as in doubt.
        InDoubt = "in_doubt",
        /// Objects from before the first statement.
        BeforeEvidence = "before_evidence",
        /// Files that do not belong to Auditstream.
        OtherFiles = "other_files",
        /// A pause or its end.
        Paused = "paused",
        /// Events that an admin skipped.
        Skipped = "skipped",
        /// Events that were sent again.
        Replayed = "replayed",
        /// A batch that was sent under a new name.
        Renamed = "renamed",
        /// A time in which nothing could be recorded.
        Absent = "absent",
        /// Sequences that a restore lost.
        Restored = "restored",
        /// A rule by which objects expire.
        Expiry = "expiry",
        /// The next public key.
        KeyChanged = "key_changed",
        /// The end of a log.
        Closed = "closed",
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The origin of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The statement, 0 is the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<u64>,
    /// The key of the object, or of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The line, 1 is the first; in a JSON array, the element.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The kind.
    pub kind: Kind,
    /// A sentence for people.
    pub message: String,
}

impl Finding {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            log: None,
            statement: None,
            object: None,
            line: None,
            kind,
            message: message.into(),
        }
    }

    pub(super) fn of_log(mut self, origin: &str) -> Self {
        self.log = Some(origin.to_owned());
        self
    }

    pub(super) fn at(mut self, statement: u64) -> Self {
        self.statement = Some(statement);
        self
    }

    pub(super) fn in_object(mut self, key: &str) -> Self {
        self.object = Some(key.to_owned());
        self
    }

    pub(super) fn on_line(mut self, line: Option<u64>) -> Self {
        self.line = line;
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.kind.severity() {
            Severity::Wrong => "WRONG",
            Severity::Unproven => "UNPROVEN",
            Severity::Note => "note",
        };
        write!(f, "{severity} {}: ", self.kind.as_str())?;
        match (&self.object, self.line) {
            (Some(object), Some(line)) => write!(f, "{object}, line {line}: ")?,
            (Some(object), None) => write!(f, "{object}: ")?,
            (None, _) => {}
        }
        f.write_str(&self.message)?;
        match (&self.log, self.statement) {
            (Some(log), Some(statement)) => write!(f, " [{log}, statement {statement}]"),
            (Some(log), None) => write!(f, " [{log}]"),
            (None, _) => Ok(()),
        }
    }
}

/// The findings of all threads.
#[derive(Debug, Default)]
pub(super) struct Findings(Mutex<(Vec<Finding>, BTreeMap<Kind, u64>)>);

impl Findings {
    pub(super) fn add(&self, finding: Finding) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inner.1.entry(finding.kind).or_default();
        *count += 1;
        if *count <= NAMED_FINDINGS {
            inner.0.push(finding);
        }
    }

    /// Returns the findings in order, and their numbers by kind.
    pub(super) fn finish(self) -> (Vec<Finding>, BTreeMap<Kind, u64>) {
        let (mut findings, counts) = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        findings.sort();
        (findings, counts)
    }
}

/// The proven part of one log.
#[derive(Clone, Debug, Serialize)]
pub struct Proven {
    /// Its origin.
    pub origin: String,
    /// The statements that the newest checkpoint signs.
    pub size: u64,
    /// The root over them, in hexadecimal.
    pub root: String,
    /// The first and last sequence that they cover; 0 without any.
    pub first: i64,
    /// The last one.
    pub last: i64,
    /// When the last of them was written, epoch ms.
    pub until: i64,
    /// Whether nothing follows.
    pub closed: bool,
}

/// Work that was done.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Totals {
    /// Objects that were read.
    pub objects: u64,
    /// Their events.
    pub events: u64,
    /// Their bytes as stored.
    pub bytes: u64,
    /// Their bytes after decompression.
    pub content_bytes: u64,
}

/// The result of a verification.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The worst severity: `note` if all is proven.
    pub verdict: Severity,
    /// The logs.
    pub logs: Vec<Proven>,
    /// Work that was done.
    pub totals: Totals,
    /// The numbers of findings by kind, also of those that are not listed.
    pub counts: BTreeMap<Kind, u64>,
    /// The findings.
    pub findings: Vec<Finding>,
}
