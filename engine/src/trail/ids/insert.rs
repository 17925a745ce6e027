//! Inserts the ids of new events.
//!
//! On SQLite the rows are inserted in the order of the index, and nearly always without a look-up:
//! the insertion itself shows whether the newest generation has one of the ids. `OR IGNORE` also
//! spares the copy of each changed page that SQLite needs to undo a single statement.

use auditstream_model::Sequence;

use super::look_up::{Found, Trail, generations};
use super::remove::remove_new;
use super::sql::DIGEST_BYTES;
use crate::database::{Dialect, WriteTx};
use crate::error::{Error, Result};
use crate::id_filters::IdDigest;
use crate::trail::segment::{Place, joined};
use crate::trail::stored_form::Prepared;

/// An entry is the digest of an id and that of a content. The list has the place of each entry in
/// the order of the sequence.
const INSERT_SQLITE: &str = "
    INSERT OR IGNORE INTO event_id (account_id, sequence, generation, digest, content_digest)
    SELECT ?1, ?3 + value, (?3 + value) >> ?4, substr(?2, key * 32 + 1, 16), substr(?2, key * 32 + 17, 16)
    FROM json_each('[' || ?5 || ']')";
/// An entry is the digest of an id and that of a content, in the order of the sequence.
const INSERT_POSTGRES: &str = "
    INSERT INTO event_id (account_id, sequence, generation, month, digest, content_digest)
    SELECT $1, $3 + at / 32, ($3 + at / 32) >> CAST($4 AS INTEGER), $5,
           substring($2 FROM at FOR 16), substring($2 FROM at + 16 FOR 16)
    FROM generate_series(1, length($2), 32) AS place (at)";

/// Inserts the ids of events, of which the first has the first sequence of `place` and each other
/// one the next. All of them are new.
pub(crate) async fn insert(tx: &mut WriteTx, account_id: i64, place: Place, events: &[&Prepared]) -> Result<()> {
    let order = match tx.dialect() {
        Dialect::Sqlite => sorted(events),
        Dialect::Postgres => numbered(events).collect(),
    };
    let inserted = insert_in_order(tx, account_id, place.first_sequence, place.month, events, &order).await?;
    if inserted < events.len() {
        return Err(Error::Broken(
            "an id was looked up and not found, but is stored".to_owned(),
        ));
    }
    Ok(())
}

/// Inserts the ids of events as [`insert`] does, if all of them are new. Otherwise, and where that
/// is not known without a look-up, nothing changes and the result is `false`.
pub(crate) async fn insert_if_new(tx: &mut WriteTx, trail: Trail<'_>, events: &[&Prepared]) -> Result<bool> {
    if tx.dialect() == Dialect::Postgres {
        return Ok(false);
    }
    let Trail {
        account_id,
        first_sequence,
        last_sequence,
        ..
    } = trail;
    let first_new = last_sequence + 1;
    let last_new = last_sequence + i64::try_from(events.len()).unwrap_or(0);
    let settings = *tx.id_filters().settings();
    let newest = settings.generation(first_new);
    let order = sorted(events);
    let are_different = order.is_sorted_by(|(one, _), (next, _)| one < next);
    if settings.generation(last_new) != newest || !are_different {
        return Ok(false);
    }
    let mut places = generations(tx, trail).await?;
    places.generations.retain(|generation| *generation != newest);
    let ids: Vec<_> = events.iter().map(|event| event.id_digest).collect();
    let mut found = Found::new(first_sequence, newest);
    found.look_up(tx, trail, &places, &ids).await?;
    if !found.contents.is_empty() {
        return Ok(false);
    }
    let inserted = insert_in_order(tx, account_id, first_new, 0, events, &order).await?;
    if inserted == events.len() {
        return Ok(true);
    }
    if inserted > 0 {
        remove_new(tx, account_id, newest, first_new, &ids).await?;
    }
    Ok(false)
}

/// The ids of events with the indexes of the events.
fn numbered(events: &[&Prepared]) -> impl Iterator<Item = (IdDigest, usize)> {
    events.iter().zip(0..).map(|(event, index)| (event.id_digest, index))
}

/// The ids of events in their order, with the indexes of the events.
fn sorted(events: &[&Prepared]) -> Vec<(IdDigest, usize)> {
    let mut order: Vec<_> = numbered(events).collect();
    order.sort_unstable();
    order
}

/// Inserts the ids of events in an order given by the indexes. Returns the number of inserted ids.
async fn insert_in_order(
    tx: &mut WriteTx,
    account_id: i64,
    first_new_sequence: Sequence,
    month: i64,
    events: &[&Prepared],
    order: &[(IdDigest, usize)],
) -> Result<usize> {
    let mut packed = Vec::with_capacity(events.len() * 2 * DIGEST_BYTES);
    for (id, index) in order {
        let event = events.get(*index);
        packed.extend_from_slice(id);
        packed.extend_from_slice(&event.map_or([0; DIGEST_BYTES], |event| event.content_digest));
    }
    let bits = i64::from(tx.id_filters().settings().generation_bits);
    let dialect = tx.dialect();
    let query = sqlx::query(dialect.pick(INSERT_SQLITE, INSERT_POSTGRES))
        .bind(account_id)
        .bind(packed)
        .bind(first_new_sequence)
        .bind(bits);
    let query = match dialect {
        Dialect::Sqlite => {
            let places = order.iter().map(|(_, index)| i64::try_from(*index).unwrap_or(i64::MAX));
            query.bind(joined(places))
        }
        Dialect::Postgres => query.bind(month),
    };
    let inserted = query.execute(&mut **tx).await?.rows_affected();
    Ok(usize::try_from(inserted).unwrap_or(usize::MAX))
}
