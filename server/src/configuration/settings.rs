//! Settings of all commands: data, keys, streaming, network access.

use std::path::{Path, PathBuf};
use std::time::Duration;

use auditstream_engine::database::{DatabaseUrl, Limits, PostgresUrl};
use auditstream_engine::{
    AwsSettings, Clock, Config, EgressPolicy, IdSettings, MasterKey, Merging, Pacing, Retention, Timeouts, WebIdentity,
};
use auditstream_model::AccountName;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};

use super::values::{duration, retention};
use crate::fatal::Fatal;
use crate::log::LogFormat;

/// Settings of all commands.
#[derive(Clone, Args)]
pub struct Settings {
    /// Folder for the SQLite database, the master key, the demo, and the high-water marks of this
    /// server.
    #[arg(
        long,
        env = "AUDITSTREAM_DATA_DIR",
        value_name = "FOLDER",
        default_value = "./data",
        global = true
    )]
    pub data_dir: PathBuf,
    /// Database: sqlite://FILE for a single server, or postgres://USER:PASSWORD@HOST:PORT/NAME,
    /// which several servers can share; they divide the streaming among them. [default:
    /// sqlite://DATA_DIR/auditstream.db]
    #[arg(
        long,
        env = "AUDITSTREAM_DATABASE_URL",
        value_name = "URL",
        global = true,
        hide_env_values = true
    )]
    pub database_url: Option<String>,
    /// The number of connections that a server opens to PostgreSQL at most, besides one for its
    /// heartbeat.
    #[arg(
        long,
        env = "AUDITSTREAM_DATABASE_CONNECTIONS",
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(4..=1000),
        default_value = "16",
        global = true
    )]
    pub database_connections: u32,
    /// Interval between streaming runs, such as 10s, 5m or 1h, aligned to the clock. For
    /// destinations without their own. [default: 30m; with --demo: 10s]
    #[arg(long, env = "AUDITSTREAM_STREAM_INTERVAL", value_name = "DURATION", value_parser = duration, global = true)]
    pub stream_interval: Option<Duration>,
    /// How long events are kept after they were received, such as 730d or 8760h; at least a day.
    /// The default for accounts that have not set their own retention.
    /// Events that a once active destination has yet to receive are kept longer.
    #[arg(long, env = "AUDITSTREAM_RETENTION", value_name = "DURATION", value_parser = retention, default_value = "730d", global = true)]
    pub retention: Duration,
    /// Key that encrypts the stored secrets: 32 bytes in base64, the same for all servers with one
    /// database. Required with PostgreSQL. [default with SQLite: generated once, in
    /// DATA_DIR/master.key]
    #[arg(
        long,
        env = "AUDITSTREAM_MASTER_KEY",
        value_name = "BASE64",
        hide_env_values = true,
        global = true
    )]
    pub master_key: Option<String>,
    /// Whether audit logs are streamed. If false, the console hides the tab and the API responds
    /// with 404; nothing is lost.
    #[arg(
        long,
        env = "PL_AUDIT_LOG_STREAMING_ENABLED",
        value_name = "BOOLEAN",
        value_parser = BoolishValueParser::new(),
        action = ArgAction::Set,
        default_value = "true",
        global = true
    )]
    pub streaming_enabled: bool,
    /// Accounts whose connectors may use this host's AWS identity (INHERIT, IRSA), separated by
    /// commas; a comma alone for none.
    #[arg(
        long,
        env = "AUDITSTREAM_HOST_CREDENTIALS_ACCOUNTS",
        value_name = "ACCOUNTS",
        default_value = "default",
        global = true
    )]
    pub host_credentials_accounts: String,
    /// Whether connectors and webhooks may use private endpoints: this host, private networks
    /// (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7) and carrier-grade NAT. Unless it is
    /// set, those of the account `default` may, and those of other accounts may not. Link-local and
    /// metadata addresses are never allowed. The demo ignores this setting.
    #[arg(
        long,
        env = "AUDITSTREAM_ENDPOINTS_PRIVATE",
        value_name = "BOOLEAN",
        value_parser = BoolishValueParser::new(),
        action = ArgAction::Set,
        global = true
    )]
    pub endpoints_private: Option<bool>,
    /// Endpoint of AWS STS, instead of the regional ones of AWS.
    #[arg(long, env = "AWS_ENDPOINT_URL_STS", value_name = "URL", global = true)]
    pub sts_endpoint: Option<String>,
    /// Form of the log's lines on standard error: text for people, or json, one object per line.
    #[arg(
        long,
        env = "AUDITSTREAM_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        global = true
    )]
    pub log_format: LogFormat,
    /// Token file of the Kubernetes pod's service account, for IRSA. Set by Kubernetes.
    #[arg(
        long,
        env = "AWS_WEB_IDENTITY_TOKEN_FILE",
        value_name = "FILE",
        global = true,
        hide = true
    )]
    pub web_identity_token_file: Option<PathBuf>,
    /// Role of the Kubernetes pod's service account, for IRSA. Set by Kubernetes.
    #[arg(long, env = "AWS_ROLE_ARN", value_name = "ARN", global = true, hide = true)]
    pub web_identity_role: Option<String>,
}

/// The default interval between streaming runs.
const INTERVAL: Duration = Duration::from_secs(30 * 60);
/// The default in the demo, where a newcomer waits for the first object.
const DEMO_INTERVAL: Duration = Duration::from_secs(10);

impl Settings {
    /// The settings for the demo: a separate folder, without the database and key of the
    /// installation.
    #[must_use]
    pub fn for_demo(self) -> Self {
        Self {
            data_dir: self.data_dir.join("demo"),
            database_url: None,
            database_connections: self.database_connections,
            stream_interval: self.stream_interval.or(Some(DEMO_INTERVAL)),
            retention: self.retention,
            master_key: None,
            streaming_enabled: self.streaming_enabled,
            host_credentials_accounts: self.host_credentials_accounts,
            endpoints_private: Some(true),
            sts_endpoint: self.sts_endpoint,
            log_format: self.log_format,
            web_identity_token_file: self.web_identity_token_file,
            web_identity_role: self.web_identity_role,
        }
    }

    /// How the engine connects to AWS.
    ///
    /// # Errors
    /// If the name of an account is invalid.
    fn aws(&self) -> Result<AwsSettings, Fatal> {
        let names = self.host_credentials_accounts.split(',').map(str::trim);
        let host_accounts = names
            .filter(|name| !name.is_empty())
            .map(AccountName::parse)
            .collect::<Result<_, _>>()
            .map_err(|error| Fatal::new(format!("invalid AUDITSTREAM_HOST_CREDENTIALS_ACCOUNTS: {error}")))?;
        let not_empty = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let token_file = self.web_identity_token_file.clone();
        let token_file = token_file.filter(|file| !file.as_os_str().is_empty());
        let web_identity = token_file.zip(not_empty(&self.web_identity_role));
        Ok(AwsSettings {
            timeouts: Timeouts::default(),
            host_accounts,
            sts_endpoint: not_empty(&self.sts_endpoint),
            web_identity: web_identity.map(|(token_file, role_arn)| WebIdentity { token_file, role_arn }),
        })
    }

    /// The database to open.
    ///
    /// # Errors
    /// If the URL is neither one of SQLite nor one of PostgreSQL.
    pub fn database(&self) -> Result<DatabaseUrl, Fatal> {
        match &self.database_url {
            Some(url) => database_url(url, "AUDITSTREAM_DATABASE_URL"),
            None => Ok(DatabaseUrl::Sqlite(self.data_dir.join("auditstream.db"))),
        }
    }

    /// The limits on the use of the database.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            postgres_connections: self.database_connections,
            ..Limits::default()
        }
    }

    /// Creates the data folder if there is none.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create_data_folder(&self) -> Result<(), Fatal> {
        create_private_folder(&self.data_dir)
    }

    /// The file of the master key, with SQLite and without AUDITSTREAM_MASTER_KEY.
    #[must_use]
    pub fn master_key_file(&self) -> PathBuf {
        self.data_dir.join("master.key")
    }

    /// The configuration of the engine. With SQLite, creates the data folder and the master key.
    ///
    /// # Errors
    /// If the folder cannot be created, a setting is invalid, or the master key is unreadable or,
    /// with PostgreSQL, not set.
    pub fn engine(&self) -> Result<Config, Fatal> {
        let database = self.database()?;
        match &database {
            DatabaseUrl::Sqlite(_) => self.create_data_folder()?,
            // Only for the high-water marks, which a server with a read-only file system lacks.
            DatabaseUrl::Postgres(_) => drop(self.create_data_folder()),
        }
        let master_key = match (&self.master_key, &database) {
            (Some(text), _) => MasterKey::from_base64(text.trim())
                .map_err(|error| Fatal::new(format!("invalid AUDITSTREAM_MASTER_KEY: {error}")))?,
            (None, DatabaseUrl::Sqlite(_)) => MasterKey::load_or_create(&self.master_key_file())?,
            (None, DatabaseUrl::Postgres(_)) => {
                return Err(Fatal::new(
                    "AUDITSTREAM_MASTER_KEY is required with PostgreSQL, the same for every server with one database; \
                     create one with: head -c 32 /dev/urandom | base64",
                ));
            }
        };
        Ok(Config {
            database,
            data_dir: Some(self.data_dir.clone()),
            master_key,
            streaming_enabled: self.streaming_enabled,
            stream_interval: self.stream_interval.unwrap_or(INTERVAL),
            aws: self.aws()?,
            egress_policy: EgressPolicy {
                private: self.endpoints_private,
            },
            retention: Retention {
                keep: self.retention,
                ..Retention::default()
            },
            merging: Merging::default(),
            pacing: Pacing::default(),
            clock: Clock::default(),
            ids: IdSettings::default(),
            limits: self.limits(),
        })
    }
}

/// Parses the address of a database, the value of `variable`.
///
/// # Errors
/// If the URL is neither one of SQLite nor one of PostgreSQL.
pub fn database_url(url: &str, variable: &str) -> Result<DatabaseUrl, Fatal> {
    if url.starts_with("postgres") {
        let parsed = PostgresUrl::parse(url).map_err(|error| Fatal::new(format!("{variable}: {error}")));
        return parsed.map(DatabaseUrl::Postgres);
    }
    let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"));
    let path = path
        .map(|path| path.split('?').next().unwrap_or(path))
        .filter(|path| !path.is_empty());
    path.map(|path| DatabaseUrl::Sqlite(PathBuf::from(path)))
        .ok_or_else(|| {
            Fatal::new(format!(
                "{variable} must look like sqlite:///var/lib/auditstream.db or postgres://user:password@host:5432/database"
            ))
        })
}

/// Creates a folder that only its owner can access; an existing one stays as it is.
fn create_private_folder(folder: &Path) -> Result<(), Fatal> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(|error| Fatal::new(format!("cannot create the data folder {}: {error}", folder.display())))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::CommandLine;
    use super::*;

    #[test]
    fn only_listed_accounts_may_use_the_identity_of_the_host() {
        let accounts = |text: &str| {
            let line = CommandLine::parse_from(["auditstream", "serve", "--host-credentials-accounts", text]);
            line.settings.aws().map(|aws| aws.host_accounts.len()).ok()
        };
        assert_eq!(accounts("default, tenant"), Some(2));
        assert_eq!(accounts(""), Some(0));
        assert_eq!(accounts("no such name!"), None);
        let line = CommandLine::parse_from(["auditstream", "serve"]);
        assert_eq!(
            line.settings.aws().unwrap().host_accounts,
            [AccountName::default_account()]
        );
    }

    #[test]
    fn a_database_url_is_a_file_or_postgresql() {
        let settings = |url| CommandLine::parse_from(["auditstream", "serve", "--database-url", url]).settings;
        let shown = |url| settings(url).database().map(|database| database.to_string());
        assert_eq!(shown("sqlite:///var/a.db?mode=rw").unwrap(), "/var/a.db");
        let secret = "postgres://audit:hush@db.example/audit";
        assert_eq!(shown(secret).unwrap(), "postgres://db.example/audit");
        for invalid in [
            "postgres:audit:hush@db.example",
            "mysql://audit:hush@db.example/audit",
            "sqlite:",
        ] {
            let error = shown(invalid).unwrap_err().to_string();
            assert!(
                error.contains("AUDITSTREAM_DATABASE_URL") && !error.contains("hush"),
                "{error}"
            );
        }
        let mut without_key = settings(secret);
        without_key.master_key = None;
        let error = without_key.engine().unwrap_err().to_string();
        assert!(error.contains("AUDITSTREAM_MASTER_KEY is required"), "{error}");
    }
}
