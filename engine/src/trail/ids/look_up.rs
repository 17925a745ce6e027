//! Finds the rows of ids, by the filters of complete generations and in the newest one.

use std::collections::{BTreeMap, HashMap};

use auditstream_model::Sequence;
use sqlx::FromRow;
use sqlx::any::AnyExecutor;

use super::sql::{DELETE_POSTGRES, DELETE_SQLITE, EXISTING, LOOK_UP_POSTGRES, LOOK_UP_SQLITE, digest, packed};
use crate::database::{Database, Dialect, WriteTx};
use crate::error::Result;
use crate::id_filters::{IdDigest, Places};
use crate::months::{Months, Range, months_between};
use crate::trail::canonical::ContentDigest;
use crate::trail::partitions;

/// The most look-ups of one statement, so that none takes long.
const LOOK_UPS_PER_STATEMENT: usize = 20_000;
/// The most unknown generations that are looked up directly. With more, as after a gap in the
/// sequence, a statement first finds those that exist.
const UNKNOWN_GENERATIONS: i64 = 16;

#[derive(FromRow)]
struct Row {
    generation: i64,
    digest: Vec<u8>,
    content_digest: Vec<u8>,
    sequence: Sequence,
    /// The month of its partition; 0 on SQLite.
    #[sqlx(default)]
    month: i64,
}

/// A trail whose account is locked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trail<'r> {
    pub(crate) account_id: i64,
    pub(crate) first_sequence: Sequence,
    pub(crate) last_sequence: Sequence,
    /// The months of its events; `None` on SQLite.
    pub(crate) ranges: Option<&'r [Range]>,
}

/// Returns the months in which the ids of a generation are looked up; `None` on SQLite.
fn months_of(ranges: Option<&[Range]>, bits: u32, generation: i64) -> Option<Months> {
    let first = generation << bits;
    ranges.map(|ranges| months_between(ranges, first, first + (1 << bits) - 1))
}

/// Returns the content digests of those of the ids that a trail's events have. Afterwards every
/// other id can be inserted.
pub(crate) async fn look_up(
    tx: &mut WriteTx,
    trail: Trail<'_>,
    ids: &[IdDigest],
) -> Result<HashMap<IdDigest, ContentDigest>> {
    let newest = tx.id_filters().settings().generation(trail.last_sequence + 1);
    let places = generations(tx, trail).await?;
    let mut found = Found::new(trail.first_sequence, newest);
    found.look_up(tx, trail, &places, ids).await?;
    found.remove_stale(tx, trail.account_id).await?;
    Ok(found.contents)
}

/// Returns the generations in which the ids of a trail are looked up. None of them is
/// [unknown](Places::unknown).
pub(super) async fn generations(tx: &mut WriteTx, trail: Trail<'_>) -> Result<Places> {
    let Trail {
        account_id,
        first_sequence,
        last_sequence,
        ..
    } = trail;
    let mut places = tx.id_filters().places(account_id, first_sequence, last_sequence);
    resolve_unknown(&mut **tx, account_id, &mut places).await?;
    Ok(places)
}

/// Replaces the unknown generations: by those that have rows or, if they are few, by all of them.
async fn resolve_unknown(executor: impl AnyExecutor<'_>, account_id: i64, places: &mut Places) -> Result<()> {
    let unknown = std::mem::take(&mut places.unknown);
    if unknown.end - unknown.start > UNKNOWN_GENERATIONS {
        let existing = existing(executor, account_id, unknown.start, unknown.end).await?;
        places.generations.extend(existing);
    } else {
        places.generations.extend(unknown);
    }
    Ok(())
}

/// The result of looking up ids.
pub(super) struct Found {
    /// The months of the entries that wait to be read; `None` on SQLite.
    months: Option<Months>,
    first_sequence: Sequence,
    /// The generation to which the next event belongs.
    newest: i64,
    pub(super) contents: HashMap<IdDigest, ContentDigest>,
    /// The rows of the newest generation whose events have been removed, by month.
    stale: BTreeMap<i64, Vec<u8>>,
}

impl Found {
    pub(super) fn new(first_sequence: Sequence, newest: i64) -> Self {
        Self {
            months: None,
            first_sequence,
            newest,
            contents: HashMap::new(),
            stale: BTreeMap::new(),
        }
    }

    /// Looks up ids in the generations of `places`.
    pub(super) async fn look_up(
        &mut self,
        tx: &mut WriteTx,
        trail: Trail<'_>,
        places: &Places,
        ids: &[IdDigest],
    ) -> Result<()> {
        let Trail { account_id, ranges, .. } = trail;
        let bits = tx.id_filters().settings().generation_bits;
        let mut entries = Vec::with_capacity((ids.len() * places.generations.len()).min(LOOK_UPS_PER_STATEMENT));
        // One filter for all ids, then the next, so that each stays in the processor's cache.
        for (generation, filter) in &places.filtered {
            let months = months_of(ranges, bits, *generation);
            self.visit(tx, account_id, months, &mut entries).await?;
            for id in ids.iter().filter(|id| filter.may_contain(id)) {
                entries.push((*generation, *id));
                self.read_some(tx, account_id, &mut entries).await?;
            }
        }
        for generation in &places.generations {
            let months = months_of(ranges, bits, *generation);
            self.visit(tx, account_id, months, &mut entries).await?;
            for id in ids {
                entries.push((*generation, *id));
                self.read_some(tx, account_id, &mut entries).await?;
            }
        }
        self.read(tx, account_id, &mut entries).await
    }

    /// Reads the entries if the next ones are looked up in other months.
    async fn visit(
        &mut self,
        tx: &mut WriteTx,
        account_id: i64,
        months: Option<Months>,
        entries: &mut Vec<(i64, IdDigest)>,
    ) -> Result<()> {
        if self.months != months {
            self.read(tx, account_id, entries).await?;
            self.months = months;
        }
        Ok(())
    }

    /// Reads the entries if they are enough for a statement.
    async fn read_some(&mut self, tx: &mut WriteTx, account_id: i64, entries: &mut Vec<(i64, IdDigest)>) -> Result<()> {
        if entries.len() < LOOK_UPS_PER_STATEMENT {
            return Ok(());
        }
        self.read(tx, account_id, entries).await
    }

    async fn read(&mut self, tx: &mut WriteTx, account_id: i64, entries: &mut Vec<(i64, IdDigest)>) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let query = sqlx::query_as(tx.dialect().pick(LOOK_UP_SQLITE, LOOK_UP_POSTGRES));
        let query = query.bind(account_id).bind(packed(entries.drain(..)));
        let rows: Vec<Row> = match self.months {
            None => query.fetch_all(&mut **tx).await?,
            Some(Months { first, last }) => query.bind(first).bind(last).fetch_all(&mut **tx).await?,
        };
        for row in rows {
            if row.sequence >= self.first_sequence {
                self.contents.insert(digest(&row.digest)?, digest(&row.content_digest)?);
            } else if row.generation == self.newest {
                self.stale.entry(row.month).or_default().extend_from_slice(&row.digest);
            }
        }
        Ok(())
    }

    /// Makes room for new events with the ids of removed ones.
    async fn remove_stale(&mut self, tx: &mut WriteTx, account_id: i64) -> Result<()> {
        for (month, digests) in std::mem::take(&mut self.stale) {
            let query = sqlx::query(tx.dialect().pick(DELETE_SQLITE, DELETE_POSTGRES));
            let query = query.bind(account_id).bind(digests).bind(self.newest);
            let query = match tx.dialect() {
                Dialect::Sqlite => query,
                Dialect::Postgres => query.bind(month),
            };
            query.execute(&mut **tx).await?;
        }
        Ok(())
    }
}

#[derive(FromRow)]
struct EndsRow {
    first_sequence: Sequence,
    last_sequence: Sequence,
}

/// Returns the sequence of the event with an id; `None` if an account has no such event.
pub(crate) async fn sequence_of(database: &Database, account_id: i64, id: &IdDigest) -> Result<Option<Sequence>> {
    let trail: EndsRow = sqlx::query_as("SELECT first_sequence, last_sequence FROM account WHERE id = $1")
        .bind(account_id)
        .fetch_one(database.read())
        .await?;
    let filters = database.id_filters();
    let mut places = filters.places(account_id, trail.first_sequence, trail.last_sequence);
    resolve_unknown(database.read(), account_id, &mut places).await?;
    let filtered = places.filtered.iter().filter(|(_, filter)| filter.may_contain(id));
    let mut generations: Vec<i64> = filtered.map(|(generation, _)| *generation).collect();
    generations.extend(places.generations);
    let ranges = ranges(database, account_id, trail.first_sequence).await?;
    let mut by_months: BTreeMap<Option<Months>, Vec<i64>> = BTreeMap::new();
    for generation in generations {
        let months = months_of(ranges.as_deref(), filters.settings().generation_bits, generation);
        by_months.entry(months).or_default().push(generation);
    }
    let mut newest = None;
    for (months, generations) in by_months {
        for generations in generations.chunks(LOOK_UPS_PER_STATEMENT) {
            let entries = generations.iter().map(|generation| (*generation, *id));
            let query = sqlx::query_as(database.dialect().pick(LOOK_UP_SQLITE, LOOK_UP_POSTGRES));
            let query = query.bind(account_id).bind(packed(entries));
            let rows: Vec<Row> = match months {
                None => query.fetch_all(database.read()).await?,
                Some(Months { first, last }) => query.bind(first).bind(last).fetch_all(database.read()).await?,
            };
            newest = newest.max(rows.iter().map(|row| row.sequence).max());
        }
    }
    Ok(newest.filter(|sequence| *sequence >= trail.first_sequence))
}

/// Returns the ranges of an account as they are now. A range of month 0 may be in the middle of a
/// move to its month, and counts as one of every month.
async fn ranges(database: &Database, account_id: i64, first_sequence: Sequence) -> Result<Option<Vec<Range>>> {
    if database.dialect() == Dialect::Sqlite {
        return Ok(None);
    }
    let ranges = partitions::read_ranges(database.read(), account_id).await?;
    let begins_late = ranges
        .first()
        .is_some_and(|range| range.first_sequence > first_sequence);
    let is_moving = begins_late || ranges.iter().any(|range| range.month == 0);
    Ok(Some(if is_moving { Vec::new() } else { ranges }))
}

/// Returns the generations from `first` up to and without `end` that have rows.
pub(super) async fn existing(
    executor: impl AnyExecutor<'_>,
    account_id: i64,
    first: i64,
    end: i64,
) -> Result<Vec<i64>> {
    let query = sqlx::query_scalar(EXISTING).bind(account_id).bind(first).bind(end);
    Ok(query.fetch_all(executor).await?)
}
