//! Scans the trail in steps, newest first, within a budget of rows and bytes.

use std::time::{Duration, Instant};

use auditstream_model::limits::{SEARCH_BYTES, SEARCH_ROWS};
use auditstream_model::{AuditEvent, EpochMillis, EventFilter, Sequence};

use super::matching::{MatchBuffers, Matcher, listed};
use super::statements::{CANDIDATES, Position, floor};
use crate::database::{Dialect, SearchConnection, Value};
use crate::error::{Error, Result};
use crate::trail::segment::{self, Bounds, Cache, Events, Picked};

/// Rows of the first step. Each further step is four times as large, up to the largest.
const FIRST_STEP: i64 = 256;
const LARGEST_STEP: i64 = 8_192;
/// Bytes of segments that are read at once.
const CHUNK_BYTES: usize = 1 << 20;
const LARGE_CHUNK_BYTES: usize = 8 << 20;
const CHUNK_EVENTS: usize = 1_000;
/// The time after which a search returns the events that it has found: the disk is slow.
const ENOUGH_TIME: Duration = Duration::from_secs(3);

const NEXT_SEGMENT: &str = "SELECT first_sequence FROM audit_segment \
                            WHERE account_id = $1 AND last_sequence > $2 ORDER BY last_sequence LIMIT 1";

/// The rows and bytes that a search may read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) rows: i64,
    /// Bytes of events that are read.
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

/// The reason why a scan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// There is nothing older in the range.
    Complete,
    /// Enough events were found.
    Found,
    /// The budget is used up. Everything from this position on was scanned.
    Exhausted(Position),
}

/// A scan of the trail of one account.
pub(super) struct Scan<'a> {
    pub(super) connection: &'a mut SearchConnection,
    pub(super) dialect: Dialect,
    pub(super) account_id: i64,
    matcher: Matcher,
    cache: Cache,
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
            matcher: Matcher::of(filter)?,
            cache: Cache::default(),
            started: Instant::now(),
        })
    }

    /// Adds matching events to a page, from a position down to a time.
    pub(super) async fn collect(
        &mut self,
        below: Position,
        start: EpochMillis,
        page: &mut Page,
        budget: Budget,
    ) -> Result<End> {
        let mut steps = Steps::new(below, start, budget);
        loop {
            let Some(step) = self.step(&mut steps, page.rows + 1).await? else {
                return Ok(End::Complete);
            };
            if let Some(end) = self.look(&step, &mut steps, page).await? {
                return Ok(end);
            }
            if let Some(end) = self.end_of_step(&steps) {
                return Ok(end);
            }
        }
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
            if self.matcher.matches_all() {
                found += step.len();
            } else {
                let mut rest = step.as_slice();
                while !rest.is_empty() && steps.bytes_left > 0 && !self.is_late() {
                    let picked = self.pick(rest, &mut steps).await?;
                    rest = rest.get(picked.looked_at()..).unwrap_or_default();
                    found += self.matching(picked, |_, _, _| ()).await?.len();
                }
            }
            if self.end_of_step(&steps).is_some() {
                break;
            }
        }
        Ok(found.min(most))
    }

    /// Counts the matching events of a range of sequences. Returns the sequence that it has reached
    /// too.
    pub(super) async fn count_newer(
        &mut self,
        times: (EpochMillis, EpochMillis),
        after: Sequence,
        last: Sequence,
        budget: Budget,
    ) -> Result<(usize, Sequence)> {
        let until = last.min(after.saturating_add(budget.rows));
        let bounds = Bounds {
            events: usize::try_from(budget.rows).unwrap_or(usize::MAX),
            bytes: budget.bytes,
            closing: 0,
        };
        let events = segment::read_for_search(self.connection, self.account_id, after, until, bounds).await?;
        if events.is_empty() {
            // Retention has removed the events, or these sequences were never used: find the next
            // one.
            let values = vec![Value::Integer(self.account_id), Value::Integer(until)];
            let next: Vec<(Sequence,)> = self.connection.fetch(NEXT_SEGMENT, values).await?;
            let before_next = next.first().map_or(last, |(first,)| first - 1);
            return Ok((0, before_next.max(until)));
        }
        let reached = events.last_sequence();
        let matcher = self.matcher.clone();
        let count = on_blocking_thread(move || count_matching(&events, times, &matcher)).await?;
        Ok((count, reached))
    }

    /// Returns the event with a sequence, whether it matches or not; `None` if it does not exist.
    pub(super) async fn event(&mut self, sequence: Sequence) -> Result<Option<AuditEvent>> {
        let (connection, cache) = (&mut *self.connection, &mut self.cache);
        let picked = segment::get(
            connection,
            cache,
            self.dialect,
            self.account_id,
            &[sequence],
            CHUNK_BYTES,
        )
        .await?;
        Ok(picked
            .iter()
            .next()
            .map(|(sequence, time, payload)| listed(sequence, time, payload)))
    }

    /// Returns the next rows, at most `most` if every event matches; `None` if there are no more.
    async fn step(&mut self, steps: &mut Steps, most: usize) -> Result<Option<Vec<Position>>> {
        if steps.is_complete {
            return Ok(None);
        }
        let rows = steps.size.min(steps.rows_left);
        let Position { time, sequence } = steps.below;
        let bounds = [self.account_id, steps.start, time, sequence, rows - 1];
        let found: Vec<Position> = self.fetch(floor(self.dialect), &bounds).await?;
        let found = found.first().copied();
        let lowest = Position {
            time: steps.start,
            sequence: i64::MIN,
        };
        let low = found.unwrap_or(lowest);
        let most = if self.matcher.matches_all() {
            i64::try_from(most).unwrap_or(i64::MAX)
        } else {
            rows
        };
        let values = [self.account_id, low.time, time, sequence, low.sequence, most];
        let candidates = self.fetch(CANDIDATES, &values).await?;
        // Events that were committed between the two statements may have taken the place of the
        // lowest rows.
        let cut = candidates.last().filter(|_| candidates.len() as i64 >= most);
        steps.below = cut.copied().unwrap_or(low);
        steps.is_complete = found.is_none() && cut.is_none();
        steps.rows_left -= rows;
        steps.size = (steps.size * 4).min(LARGEST_STEP);
        Ok(Some(candidates))
    }

    async fn fetch(&mut self, sql: &'static str, values: &[i64]) -> Result<Vec<Position>> {
        let values = values.iter().copied().map(Value::Integer).collect();
        self.connection.fetch(sql, values).await
    }

    /// Adds the matching events of a step to a page. Returns how the page ended, if it did.
    pub(super) async fn look(&mut self, step: &[Position], steps: &mut Steps, page: &mut Page) -> Result<Option<End>> {
        let mut rest = step;
        let mut reached = None;
        while !rest.is_empty() {
            if let Some(reached) = reached
                && (steps.bytes_left == 0 || self.is_late())
            {
                return Ok(Some(End::Exhausted(reached)));
            }
            let picked = self.pick(rest, steps).await?;
            let (looked_at, after) = rest.split_at(picked.looked_at());
            rest = after;
            reached = looked_at.last().copied().or(reached);
            for event in self.matching(picked, listed).await? {
                if !page.push(event) {
                    return Ok(Some(End::Found));
                }
            }
        }
        Ok(None)
    }

    /// Returns a value of each event of these rows that matches, and the number of rows read.
    pub(super) async fn read_matching<T: Send + 'static>(
        &mut self,
        rows: &[Position],
        steps: &mut Steps,
        value: impl Fn(Sequence, EpochMillis, &str) -> T + Clone + Send + 'static,
    ) -> Result<(Vec<T>, usize)> {
        let mut found = Vec::new();
        let mut rest = rows;
        while !rest.is_empty() && steps.bytes_left > 0 && !self.is_late() {
            let picked = self.pick(rest, steps).await?;
            rest = rest.get(picked.looked_at()..).unwrap_or_default();
            found.extend(self.matching(picked, value.clone()).await?);
        }
        Ok((found, rows.len() - rest.len()))
    }

    /// Whether the time for a search is used up.
    pub(super) fn is_late(&self) -> bool {
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

    /// Reads the first events of some rows. Those that retention has removed meanwhile are missing.
    async fn pick(&mut self, rows: &[Position], steps: &mut Steps) -> Result<Picked> {
        let sequences: Vec<Sequence> = rows.iter().take(CHUNK_EVENTS).map(|row| row.sequence).collect();
        let room = steps.chunk.min(steps.bytes_left);
        let (connection, cache) = (&mut *self.connection, &mut self.cache);
        let picked = segment::get(connection, cache, self.dialect, self.account_id, &sequences, room).await?;
        steps.bytes_left = steps.bytes_left.saturating_sub(picked.read_bytes());
        Ok(picked)
    }

    /// Returns a value of each event that matches.
    async fn matching<T: Send + 'static>(
        &self,
        picked: Picked,
        value: impl Fn(Sequence, EpochMillis, &str) -> T + Send + 'static,
    ) -> Result<Vec<T>> {
        let matcher = self.matcher.clone();
        // Up to 1 MiB and one event: some milliseconds, too long for a thread that serves others.
        on_blocking_thread(move || {
            let mut buffers = MatchBuffers::default();
            let events = picked.iter();
            let matching = events.filter(|(sequence, _, payload)| matcher.matches(*sequence, payload, &mut buffers));
            matching
                .map(|(sequence, time, payload)| value(sequence, time, payload))
                .collect()
        })
        .await
    }
}

async fn on_blocking_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let finished = tokio::task::spawn_blocking(work).await;
    finished.map_err(|error| Error::Broken(format!("a search failed: {error}")))
}

/// Counts the events in a range of time, both ends included, that match.
fn count_matching(events: &Events, (start, end): (EpochMillis, EpochMillis), matcher: &Matcher) -> usize {
    let mut buffers = MatchBuffers::default();
    let in_range = events.iter().enumerate().filter(|(index, _)| {
        let time = events.time(*index);
        start <= time && time <= end
    });
    let matching = in_range.filter(|(_, (sequence, payload))| matcher.matches(*sequence, payload, &mut buffers));
    matching.count()
}

/// The progress of a scan.
pub(super) struct Steps {
    /// Rows below this position are next.
    below: Position,
    start: EpochMillis,
    rows_left: i64,
    bytes_left: usize,
    size: i64,
    /// Bytes of segments that are read at once.
    chunk: usize,
    is_complete: bool,
}

impl Steps {
    pub(super) fn new(below: Position, start: EpochMillis, budget: Budget) -> Self {
        Self {
            below,
            start,
            rows_left: budget.rows,
            bytes_left: budget.bytes,
            size: FIRST_STEP,
            chunk: CHUNK_BYTES,
            is_complete: below.time < start,
        }
    }
}

impl Steps {
    /// Makes each reading larger, for rows that are far from each other.
    pub(super) fn in_large_chunks(self) -> Self {
        Self {
            chunk: LARGE_CHUNK_BYTES,
            ..self
        }
    }
}

/// A page that is being filled, until it has `rows` events or they have a number of bytes. An event
/// that exceeds these is added if it is the first one.
pub(super) struct Page {
    pub(super) events: Vec<AuditEvent>,
    pub(super) rows: usize,
    bytes_left: usize,
}

impl Page {
    pub(super) fn new(rows: usize, bytes: usize) -> Self {
        Self {
            events: Vec::new(),
            rows,
            bytes_left: bytes,
        }
    }

    /// Adds an event. Returns `false` if it does not fit.
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
