//! Values as both drivers read and write them, and their forms in bytes.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::{ColumnIndex, Decode, Row, Type};

use super::table::{Kind, Table};
use crate::error::{Error, Result};

/// A value of a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Value {
    /// Its size in bytes, without that of its place in a row.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Integer(_) => 8,
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// The integer; 0 for any other value.
    pub(super) fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            _ => 0,
        }
    }

    /// The text; empty for any other value.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    /// Adds the value to a hash, so that no two different rows add the same bytes.
    pub(super) fn hash(&self, hash: &mut Sha256) {
        let (kind, bytes) = match self {
            Self::Null => (0, &[][..]),
            Self::Integer(number) => {
                hash.update([1]);
                hash.update(number.to_be_bytes());
                return;
            }
            Self::Text(text) => (2, text.as_bytes()),
            Self::Bytes(bytes) => (3, &bytes[..]),
        };
        hash.update([kind]);
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
}

/// The values of a row, in the order of the table's columns.
pub(super) type Values = Vec<Value>;

/// Reads the values of a row.
pub(super) fn decode<'r, R>(row: &'r R, kinds: &[Kind]) -> Result<Values, sqlx::Error>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
{
    let value = |(index, kind): (usize, &Kind)| {
        Ok(match kind {
            Kind::Integer => row.try_get::<Option<i64>, _>(index)?.map(Value::Integer),
            Kind::Text => row.try_get::<Option<String>, _>(index)?.map(Value::Text),
            Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(index)?.map(Value::Bytes),
        }
        .unwrap_or(Value::Null))
    };
    kinds.iter().enumerate().map(value).collect()
}

/// Returns rows in the binary format of PostgreSQL's COPY.
pub(super) fn copy_format(table: &Table, rows: &[Values]) -> Result<Vec<u8>> {
    const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    const END: [u8; 2] = (-1_i16).to_be_bytes();
    let size: usize = rows.iter().flatten().map(|value| value.size() + 8).sum();
    let mut out = Vec::with_capacity(HEADER.len() + size + rows.len() * 2 + END.len());
    out.extend_from_slice(HEADER);
    for row in rows {
        let columns = i16::try_from(row.len()).map_err(|_| unfit(table, "has too many columns"))?;
        out.extend_from_slice(&columns.to_be_bytes());
        for (value, column) in row.iter().zip(&table.columns) {
            match value {
                Value::Null => out.extend_from_slice(&(-1_i32).to_be_bytes()),
                Value::Integer(number) => {
                    let bytes = number.to_be_bytes();
                    let (rest, kept) = bytes.split_at(bytes.len().saturating_sub(column.bytes));
                    let sign = if *number < 0 { u8::MAX } else { 0 };
                    let is_same_sign = kept.first().is_some_and(|first| (first & 0x80) == (sign & 0x80));
                    if rest.iter().any(|byte| *byte != sign) || !is_same_sign {
                        return Err(unfit(table, "has a number that is too large for the target"));
                    }
                    field(&mut out, table, kept)?;
                }
                Value::Text(text) if text.contains('\0') => {
                    return Err(unfit(
                        table,
                        "has a text with the character U+0000, which PostgreSQL cannot store",
                    ));
                }
                Value::Text(text) => field(&mut out, table, text.as_bytes())?,
                Value::Bytes(bytes) => field(&mut out, table, bytes)?,
            }
        }
    }
    out.extend_from_slice(&END);
    Ok(out)
}

fn field(out: &mut Vec<u8>, table: &Table, bytes: &[u8]) -> Result<()> {
    let length = i32::try_from(bytes.len()).map_err(|_| unfit(table, "has a value of more than 2 GiB"))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

fn unfit(table: &Table, why: &str) -> Error {
    Error::Opening(format!("the table {} {why}", table.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_rows_have_different_hashes() {
        let hash = |row: &[Value]| {
            let mut hash = Sha256::new();
            row.iter().for_each(|value| value.hash(&mut hash));
            hash.finalize()
        };
        let text = |text: &str| Value::Text(text.to_owned());
        let rows = [
            vec![text("a"), text("bc")],
            vec![text("ab"), text("c")],
            vec![text("abc"), Value::Null],
            vec![Value::Null, text("abc")],
            vec![Value::Bytes(b"a".to_vec()), text("bc")],
            vec![Value::Integer(97), text("bc")],
        ];
        for (index, row) in rows.iter().enumerate() {
            for other in &rows[index + 1..] {
                assert_ne!(hash(row), hash(other), "{row:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_position_survives_json() {
        let position = vec![
            Value::Integer(i64::MIN),
            Value::Text("é".into()),
            Value::Bytes(vec![0, 255]),
        ];
        let json = serde_json::to_string(&position).unwrap();
        assert_eq!(serde_json::from_str::<Values>(&json).unwrap(), position);
    }
}
