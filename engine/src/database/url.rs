//! Where the database is.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use sqlx_core::Url;

use crate::error::{Error, Result};

/// Which database, and where.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {
    /// A file; made when it is not there.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server.
    Postgres(PostgresUrl),
}

impl DatabaseUrl {
    /// Whether the database is on another host, as far as its address shows.
    pub(crate) fn is_remote(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(url) => url.is_remote(),
        }
    }
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

    /// Returns how the connection is protected.
    pub(super) fn tls(&self) -> Tls {
        let Ok(url) = Url::parse(&self.0) else {
            return Tls::Chosen;
        };
        let parameter = |names: &[&str]| {
            let mut pairs = url.query_pairs();
            pairs
                .find(|(name, _)| names.contains(&&**name))
                .map(|(_, value)| value.into_owned())
        };
        let named = parameter(&["sslmode", "ssl-mode"]).or_else(|| std::env::var("PGSSLMODE").ok());
        let named = named.filter(|mode| !mode.is_empty());
        let host = parameter(&["hostaddr", "host"]).or_else(|| url.host_str().map(str::to_owned));
        let host = host.filter(|host| !host.is_empty());
        let host = host.or_else(|| std::env::var("PGHOSTADDR").or_else(|_| std::env::var("PGHOST")).ok());
        let is_near = host.is_none_or(|host| is_this_host(&host));
        match named.as_deref() {
            None if is_near => Tls::Chosen,
            None => Tls::Added,
            Some("verify-full" | "disable") => Tls::Chosen,
            Some(_) if is_near => Tls::Chosen,
            Some(mode) => Tls::Weak(mode.to_owned()),
        }
    }

    /// Returns the address for the driver, whose default would be TLS only where the server offers
    /// it, and without a look at the certificate.
    pub(crate) fn with_tls(&self) -> String {
        if self.tls() != Tls::Added {
            return self.0.clone();
        }
        let separator = if self.0.contains('?') { '&' } else { '?' };
        format!("{}{separator}sslmode=verify-full", self.0)
    }

    /// Whether the host, as far as the URL names it, is another one.
    fn is_remote(&self) -> bool {
        let Ok(url) = Url::parse(&self.0) else { return false };
        let mut parameters = url.query_pairs();
        let named = parameters.find(|(name, _)| name == "hostaddr" || name == "host");
        let host = named.map(|(_, host)| host.into_owned());
        let host = host.or_else(|| url.host_str().map(str::to_owned));
        host.is_some_and(|host| !host.is_empty() && !is_this_host(&host))
    }

    fn shown(&self) -> &str {
        let behind_scheme = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let plain = behind_scheme.split(['?', '#']).next().unwrap_or_default();
        plain.rsplit_once('@').map_or(plain, |(_, place)| place)
    }
}

/// How the connection to PostgreSQL is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    /// `sslmode=verify-full` is added, because the URL has none and leads beyond this host.
    Added,
    /// As the URL says; on this host anything will do.
    Chosen,
    /// By this `sslmode`, which does not check who the server is.
    Weak(String),
}

/// Whether a host is a folder with a socket, or a loopback name or address.
fn is_this_host(host: &str) -> bool {
    let is_socket = host.starts_with('/') || host.to_ascii_lowercase().starts_with("%2f");
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    is_socket || host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
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
pub(crate) fn sqlite_url(file: &Path, mode: &str) -> std::io::Result<String> {
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
    fn tls_is_checked_beyond_this_host_unless_the_url_says_otherwise() {
        let tls = |rest: &str| PostgresUrl::parse(&format!("postgres://audit@{rest}")).unwrap().tls();
        for near in [
            "localhost/a",
            "127.0.0.1:5432/a",
            "[::1]/a",
            "%2Frun%2Fpg/a",
            "/a?host=/run/pg",
            "localhost/a?sslmode=prefer",
        ] {
            assert_eq!(tls(near), Tls::Chosen, "{near}");
        }
        for far in [
            "db/a",
            "10.0.0.7:5432/a",
            "db/a?application_name=x",
            "localhost/a?host=db",
        ] {
            assert_eq!(tls(far), Tls::Added, "{far}");
        }
        for named in ["db/a?sslmode=disable", "db/a?x=1&sslmode=verify-full"] {
            assert_eq!(tls(named), Tls::Chosen, "{named}");
        }
        for weak in ["prefer", "allow", "require", "verify-ca"] {
            assert_eq!(tls(&format!("db/a?ssl-mode={weak}")), Tls::Weak(weak.to_owned()));
        }
        let url = |text| PostgresUrl::parse(text).unwrap().with_tls();
        assert_eq!(url("postgres://db/a"), "postgres://db/a?sslmode=verify-full");
        assert_eq!(url("postgres://db/a?x=1"), "postgres://db/a?x=1&sslmode=verify-full");
        assert_eq!(url("postgres://localhost/a"), "postgres://localhost/a");
    }

    #[test]
    fn a_database_on_another_host_is_recognised() {
        for (url, is_remote) in [
            ("postgres://audit:hush@db.example:5432/audit", true),
            ("postgres://[2001:db8::7]:5432/audit", true),
            ("postgres://audit@localhost/audit", false),
            ("postgres://127.0.0.1:5432/audit", false),
            ("postgres://[::1]/audit", false),
            ("postgres:///audit?host=/run/postgresql", false),
            ("postgres://%2Frun%2Fpostgresql/audit", false),
        ] {
            let url = DatabaseUrl::Postgres(PostgresUrl::parse(url).unwrap());
            assert_eq!(url.is_remote(), is_remote, "{url}");
        }
        assert!(!DatabaseUrl::from(PathBuf::from("audit.db")).is_remote());
    }

    #[test]
    fn a_file_may_have_any_name() {
        let folder = std::env::temp_dir().canonicalize().unwrap();
        let url = sqlite_url(&folder.join("a ?#%b.db"), "ro").unwrap();
        assert!(url.ends_with("/a%20%3F%23%25b.db?mode=ro"), "{url}");
    }
}
