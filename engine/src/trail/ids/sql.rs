//! The texts of the statements over the table `event_id`.
//!
//! Each passes its ids as one parameter, a sequence of entries of the same number of bytes, so that
//! the statement is the same for any number of ids and each is looked up by the index. In
//! PostgreSQL the lateral joins with `OFFSET 0` guarantee the latter: without statistics it would
//! read the whole generation.

use crate::database::Dialect;
use crate::error::{Error, Result};
use crate::id_filters::IdDigest;

/// Bytes of a digest and of an entry of [`LOOK_UP_SQLITE`]: a digest, and a generation in decimal.
pub(super) const DIGEST_BYTES: usize = 16;
const LOOK_UP_BYTES: usize = DIGEST_BYTES + 8;

pub(super) const LOOK_UP_SQLITE: &str = "
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
pub(super) const LOOK_UP_POSTGRES: &str = "
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
pub(super) const DELETE_SQLITE: &str = "
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
pub(super) const DELETE_POSTGRES: &str = "
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
pub(super) const REMOVE_NEW_SQLITE: &str = "
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
pub(super) const EXISTING: &str = "
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
pub(super) const STEP: &str = "
    SELECT digest FROM event_id
    WHERE account_id = $1 AND generation = $2
    ORDER BY digest LIMIT 1 OFFSET $3";
pub(super) const REMOVE_STEP: &str = "DELETE FROM event_id WHERE account_id = $1 AND generation = $2 AND digest < $3";
pub(super) const REMOVE_REST: &str = "DELETE FROM event_id WHERE account_id = $1 AND generation = $2";

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

pub(super) fn packed(entries: impl ExactSizeIterator<Item = (i64, IdDigest)>) -> Vec<u8> {
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

pub(super) fn digest(bytes: &[u8]) -> Result<[u8; DIGEST_BYTES]> {
    <[u8; DIGEST_BYTES]>::try_from(bytes)
        .map_err(|_| Error::Broken("a stored event has a digest that is not 16 bytes".to_owned()))
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
