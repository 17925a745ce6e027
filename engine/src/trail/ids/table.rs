//! The statements over the table `event_id`.
//!
//! Each passes its ids as one parameter, a sequence of entries of the same number of bytes, so that
//! the statement is the same for any number of ids and each is looked up by the index. In
//! PostgreSQL the lateral joins with `OFFSET 0` guarantee the latter: without statistics it would
//! read the whole generation.

use std::collections::{BTreeMap, HashMap};

use auditstream_model::Sequence;
use sqlx::FromRow;
use sqlx::any::AnyExecutor;

use crate::database::{Database, Dialect, WriteTx};
use crate::error::{Error, Result};
use crate::id_filters::{IdDigest, Places};
use crate::months::{Months, Range, months_between};
use crate::trail::canonical::ContentDigest;
use crate::trail::partitions;

/// The most look-ups of one statement, so that none takes long.
const LOOK_UPS_PER_STATEMENT: usize = 20_000;
/// The most unknown generations that are looked up directly. With more, as after a gap in the
/// sequence, a statement first finds those that exist.
const UNKNOWN_GENERATIONS: i64 = 16;

/// Bytes of a digest and of an entry of [`LOOK_UP_SQLITE`]: a digest, and a generation in decimal.
pub(super) const DIGEST_BYTES: usize = 16;
const LOOK_UP_BYTES: usize = DIGEST_BYTES + 8;

const LOOK_UP_SQLITE: &str = "
    WITH RECURSIVE place (at) AS (
        SELECT 1
        UNION ALL
        SELECT at + 24 FROM place WHERE at + 24 < length(?2)
    )
    SELECT e.generation, e.digest, e.content_digest, e.sequence
    FROM place
    CROSS JOIN event_id AS e
    WHERE e.account_id = ?1
      AND e.generation = CAST(substr(?2, place.at + 16, 8) AS INTEGER)
      AND e.digest = substr(?2, place.at, 16)";
const LOOK_UP_POSTGRES: &str = "
    SELECT e.generation, e.digest, e.content_digest, e.sequence, e.month
    FROM generate_series(1, length($2), 24) AS place (at)
    CROSS JOIN LATERAL (
        SELECT CAST(generation AS BIGINT) AS generation, digest, content_digest, sequence,
               CAST(month AS BIGINT) AS month
        FROM event_id
        WHERE account_id = $1
          AND generation = CAST(encode(substring($2 FROM place.at + 16 FOR 8), 'escape') AS INTEGER)
          AND digest = substring($2 FROM place.at FOR 16)
          AND (month = 0 OR month BETWEEN $3 AND $4)
        OFFSET 0
    ) AS e";

/// An entry is a digest.
const DELETE_SQLITE: &str = "
    DELETE FROM event_id
    WHERE account_id = ?1
      AND generation = ?3
      AND digest IN (
          WITH RECURSIVE place (at) AS (
              SELECT 1
              UNION ALL
              SELECT at + 16 FROM place WHERE at + 16 < length(?2)
          )
          SELECT substr(?2, at, 16) FROM place
      )";
/// The month makes it one partition, in which a row has its own place.
const DELETE_POSTGRES: &str = "
    DELETE FROM event_id
    WHERE account_id = $1 AND month = $4 AND ctid = ANY (ARRAY(
        SELECT e.place
        FROM generate_series(1, length($2), 16) AS place (at)
        CROSS JOIN LATERAL (
            SELECT ctid AS place
            FROM event_id
            WHERE account_id = $1
              AND generation = $3
              AND digest = substring($2 FROM place.at FOR 16)
              AND month = $4
            OFFSET 0
        ) AS e
    ))";

/// An entry is a digest.
const REMOVE_NEW_SQLITE: &str = "
    DELETE FROM event_id
    WHERE account_id = ?1
      AND generation = ?3
      AND sequence >= ?4
      AND digest IN (
          WITH RECURSIVE place (at) AS (
              SELECT 1
              UNION ALL
              SELECT at + 16 FROM place WHERE at + 16 < length(?2)
          )
          SELECT substr(?2, at, 16) FROM place
      )";

/// Reads one entry of each generation, not all of their rows.
const EXISTING: &str = "
    WITH RECURSIVE existing (generation) AS (
        SELECT (
            SELECT generation FROM event_id
            WHERE account_id = $1 AND generation >= $2
            ORDER BY generation LIMIT 1
        )
        UNION ALL
        SELECT (
            SELECT e.generation FROM event_id e
            WHERE e.account_id = $1 AND e.generation > existing.generation
            ORDER BY e.generation LIMIT 1
        )
        FROM existing
        WHERE existing.generation < $3
    )
    SELECT CAST(generation AS BIGINT) FROM existing WHERE generation < $3";

/// The end of the next rows of a generation.
const STEP: &str = "
    SELECT digest FROM event_id
    WHERE account_id = $1 AND generation = $2
    ORDER BY digest LIMIT 1 OFFSET $3";
const REMOVE_STEP: &str = "DELETE FROM event_id WHERE account_id = $1 AND generation = $2 AND digest < $3";
const REMOVE_REST: &str = "DELETE FROM event_id WHERE account_id = $1 AND generation = $2";

/// Returns the statements over the ids, for tests of their plans: the name, the text, and the types
/// of the parameters, `i` for integers, `m` for months and `b` for bytes.
#[must_use]
pub fn explained(dialect: Dialect) -> Vec<(&'static str, &'static str, &'static str)> {
    let mut statements = vec![
        (
            "look_up",
            dialect.pick(LOOK_UP_SQLITE, LOOK_UP_POSTGRES),
            dialect.pick("ib", "ibmm"),
        ),
        (
            "delete",
            dialect.pick(DELETE_SQLITE, DELETE_POSTGRES),
            dialect.pick("ibi", "ibim"),
        ),
        ("existing", EXISTING, "iii"),
        ("step", STEP, "iii"),
        ("remove_step", REMOVE_STEP, "iib"),
        ("remove_rest", REMOVE_REST, "ii"),
    ];
    if dialect == Dialect::Sqlite {
        statements.push(("remove_new", REMOVE_NEW_SQLITE, "ibii"));
    }
    statements
}

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
    let unknown = std::mem::take(&mut places.unknown);
    if unknown.end - unknown.start > UNKNOWN_GENERATIONS {
        let existing = existing(&mut **tx, account_id, unknown.start, unknown.end).await?;
        places.generations.extend(existing);
    } else {
        places.generations.extend(unknown);
    }
    Ok(places)
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
    let places = filters.places(account_id, trail.first_sequence, trail.last_sequence);
    let filtered = places.filtered.iter().filter(|(_, filter)| filter.may_contain(id));
    let mut generations: Vec<i64> = filtered.map(|(generation, _)| *generation).collect();
    generations.extend(places.generations);
    let unknown = places.unknown;
    if unknown.end - unknown.start > UNKNOWN_GENERATIONS {
        generations.extend(existing(database.read(), account_id, unknown.start, unknown.end).await?);
    } else {
        generations.extend(unknown);
    }
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

fn packed(entries: impl ExactSizeIterator<Item = (i64, IdDigest)>) -> Vec<u8> {
    let mut packed = Vec::with_capacity(entries.len() * LOOK_UP_BYTES);
    for (generation, id) in entries {
        packed.extend_from_slice(&id);
        packed.extend_from_slice(&decimal(generation));
    }
    packed
}

/// A generation in eight decimal digits.
fn decimal(mut generation: i64) -> [u8; 8] {
    let mut digits = [b'0'; 8];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(generation % 10).unwrap_or(0);
        generation /= 10;
    }
    digits
}

fn digest(bytes: &[u8]) -> Result<[u8; DIGEST_BYTES]> {
    <[u8; DIGEST_BYTES]>::try_from(bytes)
        .map_err(|_| Error::Broken("a stored event has a digest that is not 16 bytes".to_owned()))
}

/// Removes those of the ids that belong to events of a generation from the sequence `from` on. Only
/// on SQLite.
pub(super) async fn remove_new(
    tx: &mut WriteTx,
    account_id: i64,
    generation: i64,
    from: Sequence,
    ids: &[IdDigest],
) -> Result<()> {
    sqlx::query(REMOVE_NEW_SQLITE)
        .bind(account_id)
        .bind(ids.concat())
        .bind(generation)
        .bind(from)
        .execute(&mut **tx)
        .await?;
    Ok(())
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

/// Removes up to `rows` ids of events before `below` from complete generations, the oldest first,
/// and the filters of generations without ids. Returns the number of removed ids; 0 at the end.
pub(super) async fn remove(tx: &mut WriteTx, account_id: i64, below: Sequence, rows: u32) -> Result<u64> {
    let end = tx.id_filters().settings().generation(below);
    let Some(generation) = oldest(&mut **tx, account_id, end).await? else {
        return Ok(0);
    };
    let rest: Option<Vec<u8>> = sqlx::query_scalar(STEP)
        .bind(account_id)
        .bind(generation)
        .bind(i64::from(rows))
        .fetch_optional(&mut **tx)
        .await?;
    let removed = match rest {
        Some(rest) => {
            let query = sqlx::query(REMOVE_STEP).bind(account_id).bind(generation).bind(rest);
            query.execute(&mut **tx).await?
        }
        None => {
            sqlx::query("DELETE FROM event_id_filter WHERE account_id = $1 AND generation <= $2")
                .bind(account_id)
                .bind(generation)
                .execute(&mut **tx)
                .await?;
            let query = sqlx::query(REMOVE_REST).bind(account_id).bind(generation);
            query.execute(&mut **tx).await?
        }
    };
    Ok(removed.rows_affected())
}

/// Returns the oldest generation before `end` that has rows.
pub(super) async fn oldest(executor: impl AnyExecutor<'_>, account_id: i64, end: i64) -> Result<Option<i64>> {
    let query = sqlx::query_scalar(
        "SELECT CAST(generation AS BIGINT) FROM event_id
         WHERE account_id = $1 AND generation < $2
         ORDER BY generation LIMIT 1",
    );
    Ok(query.bind(account_id).bind(end).fetch_optional(executor).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_written_with_eight_digits() {
        assert_eq!(&decimal(0), b"00000000");
        assert_eq!(&decimal(1_234), b"00001234");
    }
}
