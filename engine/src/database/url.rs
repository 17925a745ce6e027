//! Where the database is.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Which database, and where.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {
    /// A file; made when it is not there.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server.
    Postgres(PostgresUrl),
}

impl From<PathBuf> for DatabaseUrl {
    fn from(file: PathBuf) -> Self {
        Self::Sqlite(file)
    }
}

/// As in messages: without a password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "{}", file.display()),
            Self::Postgres(url) => write!(f, "{url}"),
        }
    }
}

/// `postgres://user:password@host:port/database`. `Debug` and `Display` show neither user, password
/// nor parameters.
#[derive(Clone)]
pub struct PostgresUrl(String);

impl PostgresUrl {
    /// Checks only the scheme; whether the database exists is seen when it is opened.
    ///
    /// # Errors
    /// [`Error::Opening`] when it does not.
    pub fn parse(text: &str) -> Result<Self> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::Opening(
            "a PostgreSQL address looks like postgres://user:password@host:5432/database".into(),
        ))
    }

    pub(super) fn secret(&self) -> &str {
        &self.0
    }

    fn shown(&self) -> &str {
        let behind_scheme = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let plain = behind_scheme.split(['?', '#']).next().unwrap_or_default();
        plain.rsplit_once('@').map_or(plain, |(_, place)| place)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}", self.shown())
    }
}

/// The address of a file, in which the driver takes `?`, `#` and `%` for what they are.
pub(super) fn sqlite_url(file: &Path, mode: &str) -> std::io::Result<String> {
    use std::fmt::Write as _;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize()?;
    let whole = folder.join(file.file_name().unwrap_or_default());
    let mut url = String::from("sqlite://");
    for byte in whole.as_os_str().as_encoded_bytes() {
        // Writing to a string cannot fail.
        let _ = match byte {
            b'/' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => write!(url, "{}", char::from(*byte)),
            other => write!(url, "%{other:02X}"),
        };
    }
    Ok(format!("{url}?mode={mode}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for text in [
            "postgres://audit:hush@db.example:5432/audit?sslmode=require&password=hush",
            "postgresql://audit:hu@sh@db.example:5432/audit",
        ] {
            let url = PostgresUrl::parse(text).unwrap();
            let database = DatabaseUrl::Postgres(url.clone());
            for shown in [
                url.to_string(),
                format!("{url:?}"),
                database.to_string(),
                format!("{database:?}"),
            ] {
                assert!(shown.contains("postgres://db.example:5432/audit"), "{shown}");
                assert!(!shown.contains("hu") && !shown.contains("sh@"), "{shown}");
            }
        }
        assert!(PostgresUrl::parse("mysql://db/audit").is_err());
    }

    #[test]
    fn a_file_may_have_any_name() {
        let folder = std::env::temp_dir().canonicalize().unwrap();
        let url = sqlite_url(&folder.join("a ?#%b.db"), "ro").unwrap();
        assert!(url.ends_with("/a%20%3F%23%25b.db?mode=ro"), "{url}");
    }
}
