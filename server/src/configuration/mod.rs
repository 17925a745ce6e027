//! Commands, flags and environment variables. The doc comments are the help texts.
//!
//! - [`destinations`]: options of `destinations`
//! - [`environment`]: variables that are set but empty
//! - [`events`]: options of `events`
//! - [`settings`]: settings of all commands
//! - [`values`]: parsing the values of flags and variables
//! - [`verify`]: options of `verify`

mod destinations;
pub mod environment;
mod events;
mod settings;
mod values;
mod verify;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use auditstream_model::{AccountName, Role, Scope};
use clap::{Args, Parser, Subcommand};

use crate::http::client_address::{ForwardingHeader, Proxies};
pub use destinations::{DestinationsCommand, SetDestination};
pub use events::{EventsCommand, Export, Filters, Get, List};
pub use settings::{Settings, database_url};
pub use values::OrDefault;
use values::{account_name, drain, public_url, role, scope};
pub use verify::Verify;

/// Keeps an organisation's audit trail and streams it to Amazon S3.
#[derive(Parser)]
#[command(name = "auditstream", version, about, max_term_width = 100)]
pub struct CommandLine {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
    /// Settings of all commands.
    #[command(flatten)]
    pub settings: Settings,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Run the server: console, API and streaming.
    Serve(Serve),
    /// Check clock, disk, database, keys, connectors and webhooks, and say what to do. Works
    /// while servers run. Exit code 1 if a check fails.
    Doctor,
    /// Manage accounts (tenants).
    #[command(subcommand)]
    Account(AccountCommand),
    /// Manage API tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Manage users of the console.
    #[command(subcommand)]
    User(UserCommand),
    /// List streaming destinations, or change the settings of their batches. Works while servers
    /// run.
    #[command(subcommand)]
    Destinations(DestinationsCommand),
    /// Read the audit trail.
    #[command(subcommand)]
    Events(EventsCommand),
    /// Manage the keys that encrypt stored secrets.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Show or rebuild the index by which events are found. Works while servers run.
    #[command(subcommand)]
    SearchIndex(SearchIndexCommand),
    /// Copy the SQLite database to a file, while the server runs. The master key is not copied.
    Backup(Backup),
    /// Replace the SQLite database with a copy, or confirm that numbering continues after a gap.
    Restore(Restore),
    /// Move the installation to another database, such as from SQLite to PostgreSQL. Servers must
    /// be stopped. Run it again after an interruption: it continues.
    Migrate(Migrate),
    /// Prove from a copy of a bucket that no event is missing, altered, inserted or reordered.
    /// Needs no database and no settings, and works offline. Exit code 0: everything is proven; 1:
    /// something is wrong; 2: something could not be verified.
    Verify(Verify),
}

/// Options of `backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// File to create.
    pub file: PathBuf,
}

/// Options of `migrate`.
#[derive(Args)]
pub struct Migrate {
    /// Database to move to, in the form of AUDITSTREAM_DATABASE_URL. It must be empty.
    #[arg(
        long,
        env = "AUDITSTREAM_MIGRATE_TO",
        value_name = "URL",
        hide_env_values = true,
        required_unless_present = "force"
    )]
    pub to: Option<String>,
    /// Return to the present database: after an unfinished move, or before a server has opened the
    /// new one.
    #[arg(long)]
    pub undo: bool,
    /// Return although the new database was used or is lost. Its newer events are then missing, and
    /// numbering continues after a gap, as after a restore.
    #[arg(long, requires = "undo")]
    pub force: bool,
}

/// Options of `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// Copy made by `backup`. The server must be stopped.
    #[arg(required_unless_present = "confirm")]
    pub file: Option<PathBuf>,
    /// Move an existing database aside.
    #[arg(long, requires = "file")]
    pub force: bool,
    /// Confirm that numbering continues after a gap, although it is not known which numbers were
    /// given out after the backup. Also for PostgreSQL, and while servers are running.
    #[arg(long)]
    pub confirm: bool,
    /// Highest sequence known to have been given out, such as the highest one in the SIEM.
    /// [default: the highest one in the database and the buckets, and as many as can have been
    /// given out since]
    #[arg(long, value_name = "SEQUENCE", requires = "confirm")]
    pub after: Option<i64>,
}

/// Options of `serve`.
#[derive(Args)]
pub struct Serve {
    /// Try the product with separate data, an S3-compatible store on loopback, and sample events.
    #[arg(long)]
    pub demo: bool,
    /// Address and port to listen on; port 0 selects a free one.
    #[arg(
        long,
        env = "AUDITSTREAM_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:3000"
    )]
    pub listen: SocketAddr,
    /// Scheme and host that browsers use, such as https://audit.example.com. Determines cookies,
    /// links and the origin check. Required behind a proxy. [default: http:// or https:// and the
    /// address listened on]
    #[arg(long, env = "AUDITSTREAM_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    pub public_url: Option<String>,
    /// Certificate for built-in TLS, followed by its intermediate certificates, as PEM. Changed
    /// files are reloaded within a minute, or at SIGHUP. [default: none; the server then speaks
    /// plain HTTP and belongs behind a proxy that terminates TLS]
    #[arg(long, env = "AUDITSTREAM_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, as PEM without a password.
    #[arg(long, env = "AUDITSTREAM_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Proxies that are trusted to name the client, in X-Forwarded-For or Forwarded: addresses and
    /// blocks such as 10.0.0.0/8, separated by commas. [default: none]
    #[arg(long, env = "AUDITSTREAM_TRUSTED_PROXIES", value_name = "ADDRESSES", value_parser = Proxies::parse)]
    pub trusted_proxies: Option<Proxies>,
    /// Header in which the trusted proxies name the client. [default: the one that a request has;
    /// neither is believed if both name different clients]
    #[arg(long, env = "AUDITSTREAM_FORWARDED_HEADER", value_name = "HEADER")]
    pub forwarded_header: Option<ForwardingHeader>,
    /// Bearer token that Prometheus sends to read /metrics. [default: none; /metrics is then
    /// available from this host only, and not through a proxy]
    #[arg(
        long,
        env = "AUDITSTREAM_METRICS_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub metrics_token: Option<String>,
    /// How long the server continues to accept requests after SIGTERM, while /readyz already
    /// responds with 503, such as 10s, up to 10m. Behind a load balancer, set it to the time in
    /// which the load balancer notices that; without one, it only delays the stop. Requests and
    /// PUTs in flight get up to 25 more seconds.
    #[arg(long, env = "AUDITSTREAM_DRAIN", value_name = "DURATION", value_parser = drain, default_value = "0s")]
    pub drain: Duration,
    /// E-mail address of the first admin, who is created if there is no user yet. Without it, the
    /// server prints a one-time link for setting up the first admin.
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

/// Commands for accounts.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Create an account.
    Create {
        /// Name of the account.
        #[arg(value_parser = account_name)]
        name: AccountName,
    },
}

/// Commands for the search index.
#[derive(Debug, Subcommand)]
pub enum SearchIndexCommand {
    /// Show how far the index has come.
    Status {
        /// Name of the account.
        #[arg(long, default_value = "default", value_parser = account_name)]
        account: AccountName,
    },
    /// Drop the index. The server builds it again in the background; searches continue meanwhile.
    Rebuild {
        /// Name of the account.
        #[arg(long, default_value = "default", value_parser = account_name)]
        account: AccountName,
    },
}

/// Commands for API tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Create an API token and print it. It cannot be shown again.
    Create {
        /// Purpose of the token.
        #[arg(long)]
        name: String,
        /// Permissions: ingest, read or admin, or several separated by commas.
        #[arg(long, value_delimiter = ',', required = true, value_parser = scope)]
        scope: Vec<Scope>,
        /// Days until the token expires. [default: never]
        #[arg(long, value_name = "DAYS")]
        expires: Option<u32>,
        /// Name of the account.
        #[arg(long, default_value = "default", value_parser = account_name)]
        account: AccountName,
    },
    /// List the API tokens with id, name, scopes, last use and expiry.
    List {
        /// Name of the account.
        #[arg(long, default_value = "default", value_parser = account_name)]
        account: AccountName,
    },
    /// Revoke an API token immediately.
    Revoke {
        /// Id of the token, as shown by `token list`.
        id: String,
        /// Name of the account.
        #[arg(long, default_value = "default", value_parser = account_name)]
        account: AccountName,
    },
}

/// Commands for keys. They can run while servers are running.
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Encrypt every stored secret again under a new data key. With AUDITSTREAM_NEW_MASTER_KEY set,
    /// either master key works afterwards, so that servers can be restarted with the new one one by
    /// one.
    Rotate {
        /// New master key that will replace the current one: 32 bytes in base64.
        #[arg(
            long,
            env = "AUDITSTREAM_NEW_MASTER_KEY",
            value_name = "BASE64",
            hide_env_values = true
        )]
        new_master_key: Option<String>,
    },
    /// Make AUDITSTREAM_MASTER_KEY the only master key that works. Run it once every server uses
    /// the new key.
    Retire {
        /// Keep the current master key and abandon the new one.
        #[arg(long)]
        abandon_new: bool,
    },
}

/// Commands for users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Create a user. The password is read from AUDITSTREAM_PASSWORD or prompted for.
    Create {
        /// E-mail address to sign in with.
        #[arg(long)]
        email: String,
        /// Role: account_admin or account_viewer.
        #[arg(long, value_parser = role)]
        role: Role,
        /// Name of the account.
        #[arg(long, default_value = "default", value_parser = account_name)]
        account: AccountName,
    },
    /// Set a new password. It is read from AUDITSTREAM_PASSWORD or prompted for.
    ResetPassword {
        /// E-mail address of the user.
        #[arg(long)]
        email: String,
        /// Name of the account.
        #[arg(long, default_value = "default", value_parser = account_name)]
        account: AccountName,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <CommandLine as clap::CommandFactory>::command().debug_assert();
    }
}
