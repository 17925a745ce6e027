//! Commands, flags and variables. The help texts are the documentation of the configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use auditstream_engine::store::{Database, Limits, PostgresUrl};
use auditstream_engine::{AwsSettings, Config, MasterKey, Notify, Reach, Retention, Timeouts, WebIdentity};
use auditstream_model::{AccountName, Role, Scope};
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Parser, Subcommand};

use crate::fatal::Fatal;
use crate::forwarded::Proxies;

/// Keeps an organisation's audit trail and streams it to Amazon S3.
#[derive(Parser)]
#[command(name = "auditstream", version, about, max_term_width = 100)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Where the data is, and how it is protected.
    #[command(flatten)]
    pub settings: Settings,
}

/// What the program can do.
#[derive(Subcommand)]
pub enum Command {
    /// Run everything: console, API and streaming.
    Serve(Serve),
    /// Accounts, that is tenants.
    #[command(subcommand)]
    Account(AccountCommand),
    /// API tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// People who use the console.
    #[command(subcommand)]
    User(UserCommand),
    /// The keys that encrypt stored secrets.
    #[command(subcommand)]
    Key(KeyCommand),
}

/// How to serve.
#[derive(Args)]
pub struct Serve {
    /// Try the product: data of its own, an S3-compatible store on loopback, and sample events.
    #[arg(long)]
    pub demo: bool,
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(
        long,
        env = "AUDITSTREAM_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:3000"
    )]
    pub listen: SocketAddr,
    /// What browsers see in front of every path, such as https://audit.example.com. Decides cookies, links and the
    /// origin check behind a proxy. [default: http:// or https:// and the address listened on]
    #[arg(long, env = "AUDITSTREAM_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    pub public_url: Option<String>,
    /// TLS of its own: the certificate, with those between it and its authority, as PEM. Renewed files are taken on within
    /// a minute. [default: none; then HTTP is spoken, to be put behind a proxy that speaks TLS]
    #[arg(long, env = "AUDITSTREAM_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate, as PEM without a password.
    #[arg(long, env = "AUDITSTREAM_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Proxies whose X-Forwarded-For (or else Forwarded) is believed: addresses and blocks such as 10.0.0.0/8, with commas
    /// between them. [default: none]
    #[arg(long, env = "AUDITSTREAM_TRUSTED_PROXIES", value_name = "ADDRESSES", value_parser = Proxies::parse)]
    pub trusted_proxies: Option<Proxies>,
    /// What Prometheus sends as a Bearer token to read /metrics. [default: none; then /metrics answers this host alone, and
    /// nothing that comes through a proxy]
    #[arg(
        long,
        env = "AUDITSTREAM_METRICS_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub metrics_token: Option<String>,
    /// E-mail address of the first admin, made when there is no user yet. Without it, a one-time link is printed.
    #[arg(
        long,
        env = "AUDITSTREAM_ADMIN_EMAIL",
        value_name = "EMAIL",
        requires = "admin_password"
    )]
    pub admin_email: Option<String>,
    /// Password of the first admin.
    #[arg(
        long,
        env = "AUDITSTREAM_ADMIN_PASSWORD",
        value_name = "PASSWORD",
        hide_env_values = true
    )]
    pub admin_password: Option<String>,
}

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make an account.
    Create {
        /// Its name.
        #[arg(value_parser = account_name)]
        name: AccountName,
    },
}

/// What can be done with API tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make an API token and print it, once.
    Create {
        /// What it is for.
        #[arg(long)]
        name: String,
        /// What it may do: ingest, read, admin, or several with commas.
        #[arg(long, value_delimiter = ',', required = true, value_parser = scope)]
        scope: Vec<Scope>,
        /// After how many days it stops to be good. [default: never]
        #[arg(long, value_name = "DAYS")]
        expires: Option<u32>,
        /// The account.
        #[arg(long, default_value = "default", value_parser = account_name)]
        account: AccountName,
    },
    /// List the API tokens: id, name, scopes, and when each was last used and ends.
    List {
        /// The account.
        #[arg(long, default_value = "default", value_parser = account_name)]
        account: AccountName,
    },
    /// End an API token at once.
    Revoke {
        /// Its id, as `token list` shows it.
        id: String,
        /// The account.
        #[arg(long, default_value = "default", value_parser = account_name)]
        account: AccountName,
    },
}

/// What can be done with the keys. Servers may run meanwhile.
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Encrypt every stored secret again under a new data key. With AUDITSTREAM_NEW_MASTER_KEY set, servers can then be started
    /// with that one in place of AUDITSTREAM_MASTER_KEY, one after the other.
    Rotate {
        /// The master key that is to replace the present one: base64 of 32 bytes.
        #[arg(
            long,
            env = "AUDITSTREAM_NEW_MASTER_KEY",
            value_name = "BASE64",
            hide_env_values = true
        )]
        new_master_key: Option<String>,
    },
    /// Remove what other master keys than AUDITSTREAM_MASTER_KEY open, when every server has the new one.
    Retire {
        /// With the present key: give up the one that was to replace it.
        #[arg(long)]
        abandon_new: bool,
    },
}

/// What can be done with users. The password comes from AUDITSTREAM_PASSWORD or is asked for.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make a user. The password comes from AUDITSTREAM_PASSWORD or is asked for.
    Create {
        /// The e-mail address to sign in with.
        #[arg(long)]
        email: String,
        /// account_admin or account_viewer.
        #[arg(long, value_parser = role)]
        role: Role,
        /// The account.
        #[arg(long, default_value = "default", value_parser = account_name)]
        account: AccountName,
    },
    /// Set a new password. It comes from AUDITSTREAM_PASSWORD or is asked for.
    ResetPassword {
        /// The e-mail address of the user.
        #[arg(long)]
        email: String,
        /// The account.
        #[arg(long, default_value = "default", value_parser = account_name)]
        account: AccountName,
    },
}

/// What every command needs to know.
#[derive(Clone, Args)]
pub struct Settings {
    /// Folder of the SQLite file, the master key and the demo.
    #[arg(
        long,
        env = "AUDITSTREAM_DATA_DIR",
        value_name = "FOLDER",
        default_value = "./data",
        global = true
    )]
    pub data_dir: PathBuf,
    /// The database: sqlite://FILE, for one server, or postgres://USER:PASSWORD@HOST:PORT/NAME, which several servers may
    /// share; they divide the streaming among themselves. [default: sqlite://DATA_DIR/auditstream.db]
    #[arg(
        long,
        env = "AUDITSTREAM_DATABASE_URL",
        value_name = "URL",
        global = true,
        hide_env_values = true
    )]
    pub database_url: Option<String>,
    /// How often to stream: 10s, 5m, 1h. Ticks are aligned to the clock. [default: 30m; with --demo: 10s]
    #[arg(long, env = "AUDITSTREAM_STREAM_INTERVAL", value_name = "DURATION", value_parser = duration, global = true)]
    pub stream_interval: Option<Duration>,
    /// For how long events are kept after they were received: 730d, 8760h; at least a day. What a destination that was
    /// ever active has yet to receive is kept for longer.
    #[arg(long, env = "AUDITSTREAM_RETENTION", value_name = "DURATION", value_parser = retention, default_value = "730d", global = true)]
    pub retention: Duration,
    /// What the stored secrets are encrypted with: base64 of 32 bytes, the same for all servers on one database. Required
    /// with PostgreSQL. [default with SQLite: made once, in DATA_DIR/master.key]
    #[arg(
        long,
        env = "AUDITSTREAM_MASTER_KEY",
        value_name = "BASE64",
        hide_env_values = true,
        global = true
    )]
    pub master_key: Option<String>,
    /// Whether audit logs are streamed. While false, its tab is hidden and its API answers 404; nothing is lost.
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
    /// Accounts whose connectors may use this host's own AWS identity (INHERIT, IRSA), with commas between them.
    #[arg(
        long,
        env = "AUDITSTREAM_HOST_CREDENTIALS_ACCOUNTS",
        value_name = "ACCOUNTS",
        default_value = "default",
        global = true
    )]
    pub host_credentials_accounts: String,
    /// Whether endpoints of connectors and webhooks may be private: this host, its networks (10.0.0.0/8, 172.16.0.0/12,
    /// 192.168.0.0/16, fc00::/7) and those behind a carrier's NAT. Link-local and metadata addresses never may. The demo's
    /// store is on this host, and is not kept from it.
    #[arg(
        long,
        env = "AUDITSTREAM_ENDPOINTS_PRIVATE",
        value_name = "BOOLEAN",
        value_parser = BoolishValueParser::new(),
        action = ArgAction::Set,
        default_value = "true",
        global = true
    )]
    pub endpoints_private: bool,
    /// AWS STS at another address than AWS's regional ones.
    #[arg(long, env = "AWS_ENDPOINT_URL_STS", value_name = "URL", global = true)]
    pub sts_endpoint: Option<String>,
    /// The token of the Kubernetes pod's service account, for IRSA. Kubernetes sets it.
    #[arg(
        long,
        env = "AWS_WEB_IDENTITY_TOKEN_FILE",
        value_name = "FILE",
        global = true,
        hide = true
    )]
    pub web_identity_token_file: Option<PathBuf>,
    /// The role of the Kubernetes pod's service account, for IRSA. Kubernetes sets it.
    #[arg(long, env = "AWS_ROLE_ARN", value_name = "ARN", global = true, hide = true)]
    pub web_identity_role: Option<String>,
}

/// How often to stream unless told.
const INTERVAL: Duration = Duration::from_secs(30 * 60);
/// The same in the demo, where somebody waits for an object to land.
const DEMO_INTERVAL: Duration = Duration::from_secs(10);

impl Settings {
    /// The same for the demo: a folder of its own, and no database or key of the real installation.
    #[must_use]
    pub fn for_demo(self) -> Self {
        Self {
            data_dir: self.data_dir.join("demo"),
            database_url: None,
            stream_interval: self.stream_interval.or(Some(DEMO_INTERVAL)),
            retention: self.retention,
            master_key: None,
            streaming_enabled: self.streaming_enabled,
            host_credentials_accounts: self.host_credentials_accounts,
            endpoints_private: true,
            sts_endpoint: self.sts_endpoint,
            web_identity_token_file: self.web_identity_token_file,
            web_identity_role: self.web_identity_role,
        }
    }

    /// How AWS is reached.
    ///
    /// # Errors
    /// When what is to be the name of an account is none.
    fn aws(&self) -> Result<AwsSettings, Fatal> {
        let names = self.host_credentials_accounts.split(',').map(str::trim);
        let host_accounts = names
            .filter(|name| !name.is_empty())
            .map(AccountName::parse)
            .collect::<Result<_, _>>()
            .map_err(|error| Fatal::new(format!("AUDITSTREAM_HOST_CREDENTIALS_ACCOUNTS cannot be used: {error}")))?;
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

    /// Where the database is.
    ///
    /// # Errors
    /// When the address is neither one of a SQLite file nor one of PostgreSQL.
    pub fn database(&self) -> Result<Database, Fatal> {
        let Some(url) = &self.database_url else {
            return Ok(Database::Sqlite(self.data_dir.join("auditstream.db")));
        };
        if url.starts_with("postgres") {
            let parsed =
                PostgresUrl::parse(url).map_err(|error| Fatal::new(format!("AUDITSTREAM_DATABASE_URL: {error}")));
            return parsed.map(Database::Postgres);
        }
        let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"));
        let path = path
            .map(|path| path.split('?').next().unwrap_or(path))
            .filter(|path| !path.is_empty());
        path.map(|path| Database::Sqlite(PathBuf::from(path))).ok_or_else(|| {
            Fatal::new(
                "AUDITSTREAM_DATABASE_URL must look like sqlite:///var/lib/auditstream.db \
                 or postgres://user:password@host:5432/database",
            )
        })
    }

    /// Says what the engine needs to know; with SQLite it makes the data folder.
    ///
    /// # Errors
    /// When the folder cannot be made or the key cannot be read; when there is none for PostgreSQL, whose servers may be
    /// several and need the same.
    pub fn engine(&self) -> Result<Config, Fatal> {
        let database = self.database()?;
        if matches!(database, Database::Sqlite(_)) {
            make_private_folder(&self.data_dir)?;
        }
        let master_key = match (&self.master_key, &database) {
            (Some(text), _) => MasterKey::from_base64(text.trim())
                .map_err(|error| Fatal::new(format!("AUDITSTREAM_MASTER_KEY cannot be used: {error}")))?,
            (None, Database::Sqlite(_)) => MasterKey::load_or_create(&self.data_dir.join("master.key"))?,
            (None, Database::Postgres(_)) => {
                return Err(Fatal::new(
                    "AUDITSTREAM_MASTER_KEY is required with PostgreSQL, the same for every server on one database; \
                     make one with: head -c 32 /dev/urandom | base64",
                ));
            }
        };
        Ok(Config {
            database,
            master_key,
            streaming_enabled: self.streaming_enabled,
            stream_interval: self.stream_interval.unwrap_or(INTERVAL),
            aws: self.aws()?,
            reach: Reach {
                private: self.endpoints_private,
            },
            retention: Retention {
                keep: self.retention,
                ..Retention::default()
            },
            notify: Notify::default(),
            limits: Limits::default(),
        })
    }
}

/// Makes a folder that only its owner can look into; one that is there stays as it is.
///
/// # Errors
/// When it cannot be made.
pub fn make_private_folder(folder: &Path) -> Result<(), Fatal> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(|error| Fatal::new(format!("cannot make the data folder {}: {error}", folder.display())))
}

fn public_url(text: &str) -> Result<String, String> {
    let trimmed = text.trim_end_matches('/');
    let authority = trimmed
        .strip_prefix("https://")
        .or_else(|| trimmed.strip_prefix("http://"));
    match authority {
        Some(authority) if !authority.is_empty() && !authority.contains(['/', '?', '#', ' ']) => Ok(trimmed.to_owned()),
        _ => Err("it must look like https://audit.example.com, without a path".to_owned()),
    }
}

fn account_name(text: &str) -> Result<AccountName, String> {
    AccountName::parse(text).map_err(|error| error.to_string())
}

fn role(text: &str) -> Result<Role, String> {
    Role::from_word(text).ok_or_else(|| "a role is account_admin or account_viewer".to_owned())
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::from_word(text.trim()).ok_or_else(|| "a scope is ingest, read or admin".to_owned())
}

/// `730d`, `8760h`: from a day to a hundred years.
fn retention(text: &str) -> Result<Duration, String> {
    const DAY: u64 = 86_400;
    let refused = || "it must look like 730d or 8760h".to_owned();
    if !text.trim().ends_with(['d', 'h']) {
        return Err(refused());
    }
    match seconds(text) {
        Some(seconds) if (DAY..=36_500 * DAY).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err("it must be between 1d and 36500d".to_owned()),
        None => Err(refused()),
    }
}

/// A number and a unit, in seconds.
fn seconds(text: &str) -> Option<u64> {
    let split = text.trim().find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.trim().split_at(split.unwrap_or(text.trim().len()));
    let seconds_in = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds_in)
}

/// `10s`, `5m`, `1h`, `1d`: from a second to a day.
fn duration(text: &str) -> Result<Duration, String> {
    match seconds(text) {
        Some(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err("it must be between 1s and 24h".to_owned()),
        None => Err("it must look like 10s, 5m or 1h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, seconds) in [
            ("10s", 10),
            ("5m", 300),
            ("1h", 3_600),
            ("24h", 86_400),
            (" 30m ", 1_800),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "0s",
            "25h",
            "5 m",
            "-1s",
            "1.5h",
            "99999999999999999999h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_retention_is_a_day_or_more() {
        for (text, hours) in [("730d", 17_520), ("24h", 24), ("1d", 24)] {
            assert_eq!(retention(text), Ok(Duration::from_secs(hours * 3_600)), "{text}");
        }
        for text in ["", "23h", "0d", "730", "90000s", "d", "36501d", "99999999999999999999d"] {
            assert!(retention(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_public_url_is_an_origin() {
        assert_eq!(
            public_url("https://audit.example.com/"),
            Ok("https://audit.example.com".to_owned())
        );
        for text in [
            "audit.example.com",
            "https://",
            "https://a.example/audit",
            "ftp://a.example",
        ] {
            assert!(public_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_hosts_identity_is_for_the_accounts_named_and_for_none_when_there_are_none() {
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
    fn the_command_line_is_consistent() {
        <CommandLine as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_database_is_a_file_or_postgresql() {
        let settings = |url| CommandLine::parse_from(["auditstream", "serve", "--database-url", url]).settings;
        let shown = |url| settings(url).database().map(|database| database.to_string());
        assert_eq!(shown("sqlite:///var/a.db?mode=rw").unwrap(), "/var/a.db");
        let secret = "postgres://audit:hush@db.example/audit";
        assert_eq!(shown(secret).unwrap(), "postgres://db.example/audit");
        for wrong in [
            "postgres:audit:hush@db.example",
            "mysql://audit:hush@db.example/audit",
            "sqlite:",
        ] {
            let error = shown(wrong).unwrap_err().to_string();
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
