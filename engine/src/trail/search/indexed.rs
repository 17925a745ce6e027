//! Searches by the index, which proposes candidates in the order of the trail.
//!
//! An event matches a text if it contains it. The index finds those in which the text begins where
//! a word does, at any depth; for those in which it begins within a word, or which have it in the
//! name of a member, a page is searched without the index as far as [`PARTS`] reaches. A page thus
//! has three parts of the trail, one after another: the first was searched completely, the second
//! by the index, and the third is left to the next page. So pages are in order, and no event is on
//! two of them.

use auditstream_model::EpochMillis;
use auditstream_model::limits::{SEARCH_BYTES, SEARCH_ROWS};

use super::scan::{Budget, End, Page, Scan, Steps};
use super::statements::Position;
use crate::Engine;
use crate::error::Result;
use crate::trail::index::{self, Candidates, Failure, Place, Query, Rest};

/// The budget of a page's search for parts of words.
const PARTS: Budget = Budget {
    rows: 1_000,
    bytes: 1 << 20,
};
/// The budget for the candidates' segments: each candidate may be in another one.
const READING: Budget = Budget {
    rows: SEARCH_ROWS as i64 - PARTS.rows,
    bytes: 4 * SEARCH_BYTES,
};
/// The most candidates that are read at once.
const CANDIDATES: usize = 1_024;
/// The most attempts of a search. One fails if slices that it uses are being deleted.
const ATTEMPTS: usize = 3;

/// A page found by the index.
pub(super) struct Indexed {
    pub(super) page: Page,
    pub(super) end: End,
    /// The time down to which parts of words were searched; `None` for the whole range.
    pub(super) parts_until: Option<EpochMillis>,
}

impl From<Position> for Place {
    fn from(Position { time, sequence }: Position) -> Self {
        Self { time, sequence }
    }
}

impl From<Place> for Position {
    fn from(Place { time, sequence }: Place) -> Self {
        // Cursors have no negative numbers, and no event has the sequence 0.
        Self {
            time,
            sequence: sequence.max(0),
        }
    }
}

/// Collects a page from a position down to a time. Returns `None` if the index cannot be used,
/// because it lags too far or a part is damaged, which is reported.
pub(super) async fn collect(
    engine: &Engine,
    scan: &mut Scan<'_>,
    query: &Query,
    (start, below): (EpochMillis, Position),
    (rows, bytes): (usize, usize),
    has_text: bool,
) -> Result<Option<Indexed>> {
    for _ in 0..ATTEMPTS {
        let mut page = Page::new(rows, bytes);
        let mut below = below;
        let mut parts_until = None;
        if has_text {
            match scan.collect(below, start, &mut page, PARTS).await? {
                End::Exhausted(reached) => (below, parts_until) = (reached, Some(reached.time)),
                end => {
                    let found = Indexed { page, end, parts_until };
                    return Ok(Some(found));
                }
            }
        }
        match fill(scan, query, (start, below), &mut page).await {
            Ok(Some((end, true))) => {
                let found = Indexed { page, end, parts_until };
                return Ok(Some(found));
            }
            Ok(Some((_, false))) => {}
            Ok(None) => return Ok(None),
            Err(failure) => return give_up(engine, scan.account_id, failure).await,
        }
    }
    Ok(None)
}

/// Reports damage. Other failures are errors.
pub(super) async fn give_up<T>(engine: &Engine, account_id: i64, failure: Failure) -> Result<Option<T>> {
    match failure {
        Failure::Damaged(slice) => {
            index::report_damage(engine, account_id, slice).await?;
            Ok(None)
        }
        Failure::Other(error) => Err(error),
    }
}

/// Adds the candidates that match to a page. Returns how it ended, and whether it is complete;
/// `None` if the index cannot be used.
async fn fill(
    scan: &mut Scan<'_>,
    query: &Query,
    (start, below): (EpochMillis, Position),
    page: &mut Page,
) -> Result<Option<(End, bool)>, Failure> {
    let (dialect, account_id) = (scan.dialect, scan.account_id);
    let range = (Place::first_of(start), below.into());
    let opened = Candidates::open(scan.connection, dialect, account_id, query.clone(), range);
    let Some(mut candidates) = opened.await? else {
        return Ok(None);
    };
    let mut steps = Steps::new(below, start, READING).in_large_chunks();
    let mut rows_left = READING.rows;
    let mut batch = page.rows.saturating_add(1);
    let end = loop {
        let mut places = Vec::new();
        let rest = candidates.next(scan.connection, batch, &mut places).await?;
        let rows: Vec<Position> = places.into_iter().map(Position::from).collect();
        if let Some(end) = scan.look(&rows, &mut steps, page).await? {
            break end;
        }
        rows_left -= i64::try_from(rows.len()).unwrap_or(i64::MAX);
        match (rest, rows.last()) {
            (Rest::Nothing, _) => break End::Complete,
            (Rest::Unknown(place), _) => break End::Exhausted(place.into()),
            (Rest::More, Some(last)) if rows_left <= 0 || scan.is_late() => break End::Exhausted(*last),
            (Rest::More, _) => {
                let left = usize::try_from(rows_left).unwrap_or_default();
                batch = (batch * 4).min(CANDIDATES).min(left);
            }
        }
    };
    let is_complete = candidates.are_complete(scan.connection).await?;
    Ok(Some((end, is_complete)))
}

/// Counts the events from a position down to a time, up to `most`; `None` if the index cannot do so
/// without reading them.
pub(super) async fn count(
    engine: &Engine,
    scan: &mut Scan<'_>,
    query: &Query,
    (start, below): (EpochMillis, Position),
    most: usize,
) -> Result<Option<usize>> {
    if !query.is_useful() || !query.is_exact() {
        return Ok(None);
    }
    match count_candidates(scan, query, (start, below), most).await {
        Ok(count) => Ok(count),
        Err(failure) => give_up(engine, scan.account_id, failure).await,
    }
}

async fn count_candidates(
    scan: &mut Scan<'_>,
    query: &Query,
    (start, below): (EpochMillis, Position),
    most: usize,
) -> Result<Option<usize>, Failure> {
    let (dialect, account_id) = (scan.dialect, scan.account_id);
    let range = (Place::first_of(start), below.into());
    let opened = Candidates::open(scan.connection, dialect, account_id, query.clone(), range);
    let Some(mut candidates) = opened.await?.filter(Candidates::has_all_in_slices) else {
        return Ok(None);
    };
    let mut places = Vec::new();
    candidates.next(scan.connection, most, &mut places).await?;
    let is_complete = candidates.are_complete(scan.connection).await?;
    Ok(is_complete.then_some(places.len()))
}
