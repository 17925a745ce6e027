//! The tables and columns that are copied, and their names in statements.

/// The kinds of values that both databases have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Text,
    Bytes,
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The bytes of an integer.
    pub(super) bytes: usize,
}

impl Column {
    /// Returns a column of a type that the catalog names; `None` for a type that is not copied.
    pub(super) fn of(name: &str, type_name: &str) -> Option<Self> {
        let (kind, bytes) = match type_name {
            "INTEGER" | "INT" | "int8" => (Kind::Integer, 8),
            "int4" => (Kind::Integer, 4),
            "int2" => (Kind::Integer, 2),
            "TEXT" | "text" => (Kind::Text, 0),
            "BLOB" | "bytea" => (Kind::Bytes, 0),
            _ => return None,
        };
        Some(Self {
            name: name.to_owned(),
            kind,
            bytes,
        })
    }

    /// The expression that reads the column: integers of every size as those of eight bytes.
    fn expression(&self) -> String {
        let name = quote(&self.name);
        match self.kind {
            Kind::Integer if self.bytes < 8 => ["CAST(", &name, " AS BIGINT)"].concat(),
            _ => name,
        }
    }

    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.name == other.name && self.kind == other.kind
    }
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// The columns of the primary key, or else of the first unique index, as indexes into
    /// `columns`.
    pub(super) key: Vec<usize>,
    /// The tables to which its foreign keys refer.
    pub(super) references: Vec<String>,
    /// The column whose values the database counts; `None` if there is no such column.
    pub(super) counter: Option<String>,
}

impl Table {
    pub(super) fn quoted(&self) -> String {
        quote(&self.name)
    }

    pub(super) fn quoted_columns(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| quote(&column.name)).collect();
        names.join(", ")
    }

    /// The columns as they are read.
    pub(super) fn expressions(&self) -> String {
        let expressions: Vec<String> = self.columns.iter().map(Column::expression).collect();
        expressions.join(", ")
    }

    /// The columns of the key as they are read.
    pub(super) fn key_expressions(&self) -> String {
        let expressions: Vec<String> = self.key_columns().map(Column::expression).collect();
        expressions.join(", ")
    }

    pub(super) fn kinds(&self) -> Vec<Kind> {
        self.columns.iter().map(|column| column.kind).collect()
    }

    pub(super) fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().filter_map(|index| self.columns.get(*index))
    }
}

/// A table in both databases, with its columns in one order.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) source: Table,
    pub(super) target: Table,
}

pub(super) fn quote(name: &str) -> String {
    ["\"", &name.replace('"', "\"\""), "\""].concat()
}
