//! Commands, flags and variables. The help texts are the documentation of the configuration.
//!
//! - [`settings`]: what every command needs to know
//! - [`values`]: how flags and variables are written

mod settings;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use auditstream_model::{AccountName, Role, Scope};
use clap::{Args, Parser, Subcommand};

use crate::http::client_address::Proxies;
pub use settings::{Settings, make_private_folder};
use values::{account_name, public_url, role, scope};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <CommandLine as clap::CommandFactory>::command().debug_assert();
    }
}
