//! The partitions of PostgreSQL in which segments are read.

use auditstream_model::Sequence;

use super::rows::Via;
use crate::database::{Dialect, Value};
use crate::error::Result;
use crate::months::Months;

/// The lowest and the highest month of the ranges of some sequences; 0 if the first has no range.
const MONTHS: &str = "
    SELECT CAST(coalesce(min(month), 0) AS BIGINT), CAST(coalesce(max(month), 0) AS BIGINT)
    FROM trail_range
    WHERE account_id = $1
      AND first_sequence <= $3
      AND first_sequence >=
          (SELECT max(first_sequence) FROM trail_range WHERE account_id = $1 AND first_sequence <= $2)";

/// Returns the months of the events from `first` to `last`. `None` on SQLite, which has no
/// partitions.
pub(super) async fn months_of(
    via: &mut Via<'_>,
    dialect: Dialect,
    account_id: i64,
    first: Sequence,
    last: Sequence,
) -> Result<Option<Months>> {
    if dialect == Dialect::Sqlite {
        return Ok(None);
    }
    let values = [account_id, first, last].map(Value::Integer).to_vec();
    let found: Vec<(i64, i64)> = via.fetch(MONTHS, values).await?;
    let (lowest, highest) = found.first().copied().unwrap_or_default();
    Ok(Some(Months::between(lowest, highest)))
}

/// Adds the months to the values of a statement.
pub(super) fn with_months(mut values: Vec<Value>, months: Option<Months>) -> Vec<Value> {
    if let Some(Months { first, last }) = months {
        values.extend([first, last].map(Value::Integer));
    }
    values
}
