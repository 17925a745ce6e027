//! Decides for each transaction whether it may give out numbers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use auditstream_model::{Code, Sequence};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, Notify};

use super::file::{Marks, MarksFile};
use crate::error::{Error, Result};

/// An object in a bucket that its destination does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BeyondCursor {
    pub(crate) account: String,
    pub(crate) destination_id: i64,
    /// The destination's `uid`, which a restore renews.
    pub(crate) uid: String,
    pub(crate) key: String,
    pub(crate) batch: i64,
    pub(crate) last_sequence: Sequence,
}

#[derive(Debug, Default)]
enum Phase {
    /// Nothing has been compared yet: the engine is being opened.
    #[default]
    Opening,
    Open,
    /// The database contradicts something, or cannot be compared; with the reason.
    Closed(String),
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    file: Option<MarksFile>,
    marks: Option<Marks>,
    /// The newest number that this process has committed, by account.
    committed: HashMap<String, Sequence>,
    /// Objects that contradict the database.
    beyond: Vec<BeyondCursor>,
    /// The `uid`s of the destinations for which such objects were looked for.
    looked_for: HashSet<String>,
}

/// Shared by everything that gives out numbers; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbering(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    doubt: Notify,
    /// Locked while the database is compared.
    comparison: AsyncMutex<()>,
}

impl Numbering {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one task at a time compare the database and declare a restore.
    pub(crate) async fn comparison(&self) -> AsyncMutexGuard<'_, ()> {
        self.0.comparison.lock().await
    }

    pub(crate) fn set_file(&self, file: MarksFile) {
        self.state().file = Some(file);
    }

    pub(crate) fn remove_file(&self) {
        self.state().file = None;
    }

    pub(crate) fn file(&self) -> Option<MarksFile> {
        self.state().file.clone()
    }

    /// Everything that this process knows; `None` until it has compared the database.
    pub(crate) fn marks(&self) -> Option<Marks> {
        let state = self.state();
        let mut marks = state.marks.clone()?;
        for (account, last) in &state.committed {
            marks.see(account, *last);
        }
        Some(marks)
    }

    /// The marks without the commits since they were last written.
    pub(crate) fn written_marks(&self) -> Option<Marks> {
        self.state().marks.clone()
    }

    pub(crate) fn beyond(&self) -> Vec<BeyondCursor> {
        self.state().beyond.clone()
    }

    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.state().phase, Phase::Closed(_))
    }

    /// The reason why no numbers are given out; `None` if they are.
    pub(crate) fn closed(&self) -> Option<String> {
        match &self.state().phase {
            Phase::Closed(reason) => Some(reason.clone()),
            Phase::Opening | Phase::Open => None,
        }
    }

    /// Gives out numbers from now on.
    pub(crate) fn open(&self, marks: Marks) {
        let mut state = self.state();
        state.committed.clear();
        state.beyond.clear();
        state.looked_for.clear();
        state.marks = Some(marks);
        state.phase = Phase::Open;
    }

    /// Replaces the marks after the database was compared with them. Commits since then stay.
    pub(crate) fn compared(&self, marks: Marks) {
        let mut state = self.state();
        if let Some(known) = &mut state.marks
            && known.generation == marks.generation
        {
            let mut newer = marks;
            for (account, mark) in &known.accounts {
                newer.see(account, mark.seen);
                newer.reserve_exactly(account, mark.reserved);
            }
            state.marks = Some(newer);
        }
    }

    /// Gives out no numbers until the database has been compared.
    pub(crate) fn close(&self, reason: String) {
        let mut state = self.state();
        if !matches!(&state.phase, Phase::Closed(known) if *known == reason) {
            tracing::error!(reason, "no sequences are given out");
        }
        state.phase = Phase::Closed(reason);
    }

    /// Closes, because the database seems to be older, and has it compared now.
    pub(crate) fn doubt(&self, reason: String) {
        self.close(reason);
        self.0.doubt.notify_one();
    }

    pub(crate) fn doubt_because_of(&self, object: BeyondCursor) {
        let reason = format!("the object {} is newer than the database", object.key);
        self.state().beyond.push(object);
        self.doubt(reason);
    }

    pub(crate) fn has_looked_for(&self, uid: &str) -> bool {
        self.state().looked_for.contains(uid)
    }

    pub(crate) fn looked_for(&self, uid: &str) {
        self.state().looked_for.insert(uid.to_owned());
    }

    pub(crate) async fn doubted(&self) {
        self.0.doubt.notified().await;
    }

    pub(crate) fn refusal(reason: &str) -> Error {
        Error::refused(
            Code::Unavailable,
            format!("No sequences are given out at the moment: {reason}. Send the request again in a few seconds."),
        )
    }

    /// The timeline on which the database was last compared; `None` on SQLite and where it cannot
    /// be read.
    pub(crate) fn timeline(&self) -> Option<String> {
        self.state().marks.as_ref()?.server.timeline.clone()
    }

    /// Refuses a transaction on a database that is not the one that was compared.
    pub(crate) fn check_timeline(&self, timeline: Option<&str>) -> Result<()> {
        if let Some(reason) = self.closed() {
            return Err(Self::refusal(&reason));
        }
        let known = self.timeline();
        match (&known, timeline) {
            (Some(known), Some(timeline)) if known != timeline => {
                let reason = format!("the database failed over from timeline {known} to {timeline}");
                self.doubt(reason.clone());
                Err(Self::refusal(&reason))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a transaction that sees an account at an older number than this process has
    /// committed.
    pub(crate) fn check(&self, account: &str, last: Sequence, timeline: Option<&str>) -> Result<()> {
        self.check_timeline(timeline)?;
        let committed = self.state().committed.get(account).copied().unwrap_or(0);
        if last < committed {
            let reason = format!("the trail of the account {account} ends at {last} and has been at {committed}");
            self.doubt(reason.clone());
            return Err(Self::refusal(&reason));
        }
        Ok(())
    }

    /// Reserves the numbers after `last`, up to `up_to`. When this returns, a mark that covers them
    /// is on disk.
    pub(crate) async fn reserve(&self, account: &str, last: Sequence, up_to: Sequence) -> Result<()> {
        let (file, mut marks) = {
            let mut state = self.state();
            let Some(marks) = state.marks.as_mut() else {
                return Ok(());
            };
            if marks.of(account).reserved >= up_to {
                return Ok(());
            }
            let mut raised = marks.clone();
            raised.reserve(account, last, up_to);
            let Some(file) = state.file.clone() else {
                state.marks = Some(raised);
                return Ok(());
            };
            (file, raised)
        };
        marks = write(&file, marks).await?;
        let mut state = self.state();
        if let Some(known) = &mut state.marks {
            known.reserve_exactly(account, marks.of(account).reserved);
        }
        Ok(())
    }

    pub(crate) fn committed(&self, numbered: &[(String, Sequence)]) {
        if numbered.is_empty() {
            return;
        }
        let mut state = self.state();
        for (account, last) in numbered {
            let newest = state.committed.entry(account.clone()).or_default();
            *newest = (*newest).max(*last);
        }
    }
}

/// Writes the file outside of the threads that serve requests.
pub(crate) async fn write(file: &MarksFile, marks: Marks) -> Result<Marks> {
    let file = file.clone();
    let written = tokio::task::spawn_blocking(move || {
        let updated = file.update(&marks);
        updated.map_err(|error| {
            Error::refused(
                Code::Unavailable,
                format!(
                    "No sequences are given out, because their high-water mark cannot be written to {}: {error}.",
                    file.path().display()
                ),
            )
        })
    });
    written.await.map_err(|error| Error::Broken(error.to_string()))?
}
