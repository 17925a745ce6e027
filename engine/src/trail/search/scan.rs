//! Looks through the trail in steps, newest first, within a budget of rows and bytes.

use std::time::{Duration, Instant};

use auditstream_model::limits::{SEARCH_BYTES, SEARCH_ROWS};
use auditstream_model::{AuditEvent, EpochMillis, EventFilter, Sequence};

use super::statements::{CANDIDATES, Candidate, Columns, NEWER, Position, StoredEvent, events, floor};
use super::text::{Buffers, SearchText};
use crate::database::{Dialect, SearchConnection, Value};
use crate::error::{Error, Result};

/// Rows of the first step. Each further step is four times as large, up to the largest.
const FIRST_STEP: i64 = 256;
const LARGEST_STEP: i64 = 8_192;
/// Bytes of events that are read at once.
const CHUNK_BYTES: usize = 1 << 20;
const CHUNK_EVENTS: usize = 1_000;
/// After this time a search returns what it has found: the disk is slow.
const ENOUGH_TIME: Duration = Duration::from_secs(3);

/// How much a search may look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) rows: i64,
    /// Bytes of events that are searched for a text.
    pub(super) bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            rows: i64::from(SEARCH_ROWS),
            bytes: SEARCH_BYTES,
        }
    }
}

/// How a look through the trail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// There is nothing older in the range.
    Complete,
    /// Enough events were found.
    Found,
    /// The budget is used up; everything from this position on was looked at.
    Exhausted(Position),
}

/// A look through the trail of one account.
pub(super) struct Scan<'a> {
    connection: &'a mut SearchConnection,
    dialect: Dialect,
    account_id: i64,
    columns: Columns,
    text: Option<SearchText>,
    started: Instant,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        connection: &'a mut SearchConnection,
        dialect: Dialect,
        account_id: i64,
        filter: &EventFilter,
    ) -> Result<Self> {
        Ok(Self {
            connection,
            dialect,
            account_id,
            columns: Columns::of(filter),
            text: filter.search_text()?.map(SearchText::new),
            started: Instant::now(),
        })
    }

    /// Collects matching events from a position down to a time, until it has `rows` of them or
    /// they have `bytes`. An event that exceeds `bytes` is collected if it is the first one.
    pub(super) async fn collect(
        &mut self,
        below: Position,
        start: EpochMillis,
        rows: usize,
        bytes: usize,
        budget: Budget,
    ) -> Result<(Vec<AuditEvent>, End)> {
        let mut page = Page {
            events: Vec::new(),
            rows,
            bytes_left: bytes,
        };
        let mut steps = Steps::new(below, start, budget);
        let end = loop {
            let Some(step) = self.step(&mut steps, rows + 1).await? else {
                break End::Complete;
            };
            if let Some(end) = self.look(&step, &mut steps, &mut page).await? {
                break end;
            }
            if let Some(end) = self.end_of_step(&steps) {
                break end;
            }
        };
        Ok((page.events, end))
    }

    /// Counts matching events from a position down to a time, up to `most`.
    pub(super) async fn count(
        &mut self,
        below: Position,
        start: EpochMillis,
        most: usize,
        budget: Budget,
    ) -> Result<usize> {
        let mut steps = Steps::new(below, start, budget);
        let mut found = 0;
        while found < most
            && let Some(step) = self.step(&mut steps, most).await?
        {
            found += match self.text.clone() {
                None => step.len(),
                Some(text) => {
                    let mut count = 0;
                    for chunk in chunks(&step, &mut steps.bytes_left) {
                        count += self.matching(chunk, &text).await?.len();
                    }
                    count
                }
            };
            if self.end_of_step(&steps).is_some() {
                break;
            }
        }
        Ok(found.min(most))
    }

    /// Counts the matching events of a range of sequences, and returns the sequence up to which it
    /// looked.
    pub(super) async fn count_newer(
        &mut self,
        times: (EpochMillis, EpochMillis),
        after: Sequence,
        last: Sequence,
        budget: Budget,
    ) -> Result<(usize, Sequence)> {
        let until = last.min(after.saturating_add(budget.rows));
        let values = self
            .columns
            .bind([self.account_id, times.0, times.1, after, until], budget.rows);
        let candidates: Vec<Candidate> = self.connection.fetch(NEWER, values).await?;
        let Some(text) = self.text.clone() else {
            return Ok((candidates.len(), until));
        };
        let mut bytes_left = budget.bytes;
        let (mut count, mut looked_at) = (0, 0);
        for chunk in chunks(&candidates, &mut bytes_left) {
            looked_at += chunk.len();
            count += self.matching(chunk, &text).await?.len();
        }
        let reached = if looked_at == candidates.len() {
            until
        } else {
            candidates[..looked_at].last().map_or(after, |last| last.sequence)
        };
        Ok((count, reached))
    }

    /// Returns the event with a sequence, whether it matches or not; `None` if there is none.
    pub(super) async fn event(&mut self, sequence: Sequence) -> Result<Option<AuditEvent>> {
        let candidate = Candidate {
            time: 0,
            sequence,
            bytes: 0,
        };
        Ok(self.read(&[candidate]).await?.pop().map(AuditEvent::from))
    }

    /// Returns the next candidates; `None` when there are no more rows. Without a text, at most
    /// `most`: each of them matches.
    async fn step(&mut self, steps: &mut Steps, most: usize) -> Result<Option<Vec<Candidate>>> {
        if steps.is_complete {
            return Ok(None);
        }
        let rows = steps.size.min(steps.rows_left);
        let Position { time, sequence } = steps.below;
        let bounds = [self.account_id, steps.start, time, sequence, rows - 1];
        let found: Vec<Position> = self
            .connection
            .fetch(floor(self.dialect), bounds.into_iter().map(Value::Integer).collect())
            .await?;
        let found = found.first().copied();
        let lowest = Position {
            time: steps.start,
            sequence: i64::MIN,
        };
        let Position {
            time: low_time,
            sequence: low_sequence,
        } = found.unwrap_or(lowest);
        let most = match self.text {
            None => i64::try_from(most).unwrap_or(i64::MAX),
            Some(_) => rows,
        };
        let values = self
            .columns
            .bind([self.account_id, low_time, time, sequence, low_sequence], most);
        let candidates = self.connection.fetch(CANDIDATES, values).await?;
        // Events that were committed between the two statements may have taken the place of the
        // lowest rows.
        let cut = candidates.last().filter(|_| candidates.len() as i64 >= most);
        steps.below = cut.map_or(found.unwrap_or(lowest), |cut: &Candidate| cut.position());
        steps.is_complete = found.is_none() && cut.is_none();
        steps.rows_left -= rows;
        steps.size = (steps.size * 4).min(LARGEST_STEP);
        Ok(Some(candidates))
    }

    /// Adds the matching events of a step to a page. Returns how the page ended, if it did.
    async fn look(&mut self, step: &[Candidate], steps: &mut Steps, page: &mut Page) -> Result<Option<End>> {
        let Some(text) = self.text.clone() else {
            let fits = page.that_fit(step);
            let events = self.read(&step[..fits]).await?;
            page.events.extend(events.into_iter().map(AuditEvent::from));
            return Ok((fits < step.len()).then_some(End::Found));
        };
        let mut looked_at = 0;
        for chunk in chunks(step, &mut steps.bytes_left) {
            looked_at += chunk.len();
            for event in self.matching(chunk, &text).await? {
                if !page.push(event) {
                    return Ok(Some(End::Found));
                }
            }
            if self.is_late() {
                break;
            }
        }
        if looked_at < step.len() {
            let reached = step[..looked_at].last().map_or(steps.below, |last| last.position());
            return Ok(Some(End::Exhausted(reached)));
        }
        Ok(None)
    }

    fn is_late(&self) -> bool {
        self.started.elapsed() > ENOUGH_TIME
    }

    fn end_of_step(&self, steps: &Steps) -> Option<End> {
        let is_over = steps.rows_left <= 0 || steps.bytes_left == 0 || self.is_late();
        match (steps.is_complete, is_over) {
            (true, _) => Some(End::Complete),
            (false, true) => Some(End::Exhausted(steps.below)),
            (false, false) => None,
        }
    }

    /// Reads candidates and returns the events that contain a text.
    async fn matching(&mut self, candidates: &[Candidate], text: &SearchText) -> Result<Vec<AuditEvent>> {
        let stored = self.read(candidates).await?;
        let text = text.clone();
        let matching = move || {
            let mut buffers = Buffers::default();
            let events = stored.into_iter().map(AuditEvent::from);
            events.filter(|event| text.is_in(&event.json, &mut buffers)).collect()
        };
        // Up to 1 MiB and one event: some milliseconds, too long for a thread that serves others.
        tokio::task::spawn_blocking(matching)
            .await
            .map_err(|error| Error::Broken(format!("a text search failed: {error}")))
    }

    /// Reads candidates. Those that retention has removed meanwhile are missing.
    async fn read(&mut self, candidates: &[Candidate]) -> Result<Vec<StoredEvent>> {
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let sequences: Vec<Sequence> = candidates.iter().map(|candidate| candidate.sequence).collect();
        let values = vec![
            Value::Integer(self.account_id),
            Value::Text(Some(serde_json::to_string(&sequences)?)),
        ];
        self.connection.fetch(events(self.dialect), values).await
    }
}

/// The progress of a look.
struct Steps {
    /// Rows below this position are next.
    below: Position,
    start: EpochMillis,
    rows_left: i64,
    bytes_left: usize,
    size: i64,
    is_complete: bool,
}

impl Steps {
    fn new(below: Position, start: EpochMillis, budget: Budget) -> Self {
        Self {
            below,
            start,
            rows_left: budget.rows,
            bytes_left: budget.bytes,
            size: FIRST_STEP,
            is_complete: below.time < start,
        }
    }
}

/// A page that is being filled.
struct Page {
    events: Vec<AuditEvent>,
    rows: usize,
    bytes_left: usize,
}

impl Page {
    /// Returns how many of these events, all of which match, fit on the page.
    fn that_fit(&mut self, candidates: &[Candidate]) -> usize {
        let room = self.rows - self.events.len();
        let mut fits = 0;
        for candidate in candidates.iter().take(room) {
            if !self.take(candidate.size(), self.events.is_empty() && fits == 0) {
                break;
            }
            fits += 1;
        }
        fits
    }

    /// Adds an event and returns whether it fitted.
    fn push(&mut self, event: AuditEvent) -> bool {
        let is_first = self.events.is_empty();
        if self.events.len() == self.rows || !self.take(event.json.len(), is_first) {
            return false;
        }
        self.events.push(event);
        true
    }

    fn take(&mut self, bytes: usize, is_first: bool) -> bool {
        if bytes > self.bytes_left && !is_first {
            return false;
        }
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        true
    }
}

/// Cuts candidates into chunks that are read at once, as far as the bytes reach; at least one
/// candidate if any are left.
fn chunks<'c>(candidates: &'c [Candidate], bytes_left: &mut usize) -> Vec<&'c [Candidate]> {
    let mut chunks = Vec::new();
    let mut rest = candidates;
    while !rest.is_empty() && *bytes_left > 0 {
        let mut bytes = 0_usize;
        let mut length = 0;
        for candidate in rest.iter().take(CHUNK_EVENTS) {
            let total = bytes.saturating_add(candidate.size());
            if length > 0 && (total > CHUNK_BYTES || total > *bytes_left) {
                break;
            }
            bytes = total;
            length += 1;
        }
        let (chunk, after) = rest.split_at(length);
        *bytes_left = bytes_left.saturating_sub(bytes);
        chunks.push(chunk);
        rest = after;
    }
    chunks
}
