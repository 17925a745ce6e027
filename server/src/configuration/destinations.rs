//! Options of `auditstream destinations …`.

use auditstream_model::{AccountName, SpecInput};
use clap::{ArgGroup, Args, Subcommand};

use super::values::{OrDefault, account_name, interval_or_default, number_or_default};

/// Commands for streaming destinations.
#[derive(Debug, Subcommand)]
pub enum DestinationsCommand {
    /// List the destinations with id, name, status and the settings of their batches.
    List {
        /// Name of the account.
        #[arg(long, default_value = "default", value_parser = account_name)]
        account: AccountName,
    },
    /// Change the size of a destination's objects, the interval of its runs or the level of its
    /// compression. Other settings are kept.
    Set(SetDestination),
}

/// Options of `destinations set`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("setting").required(true).multiple(true)))]
pub struct SetDestination {
    /// Id of the destination.
    pub id: String,
    /// Most events of one object: 1 to 100000, or “default” for 10000.
    #[arg(long, group = "setting", value_name = "NUMBER", value_parser = number_or_default)]
    pub batch_events: Option<OrDefault>,
    /// Most bytes of one object before compression: 1048576 to 67108864, or “default” for 16777216.
    #[arg(long, group = "setting", value_name = "BYTES", value_parser = number_or_default)]
    pub batch_bytes: Option<OrDefault>,
    /// Time between two runs, such as 10s, 5m or 24h, or “default” for the interval of the server.
    #[arg(long, group = "setting", value_name = "DURATION", value_parser = interval_or_default)]
    pub interval: Option<OrDefault>,
    /// Level of the compression: 1 to 9 for gzip, 1 to 19 for zstd, or “default”.
    #[arg(long, group = "setting", value_name = "LEVEL", value_parser = number_or_default)]
    pub compression_level: Option<OrDefault>,
    /// Name of the account.
    #[arg(long, default_value = "default", value_parser = account_name)]
    pub account: AccountName,
}

impl SetDestination {
    /// The spec for a bucket with these settings. Those that are not named are omitted.
    #[must_use]
    pub fn spec(&self, bucket: &str) -> SpecInput {
        let sent = |setting: Option<OrDefault>| setting.map(|setting| setting.0);
        SpecInput {
            bucket: bucket.to_owned(),
            batch_events: sent(self.batch_events),
            batch_bytes: sent(self.batch_bytes),
            interval_seconds: sent(self.interval),
            compression_level: sent(self.compression_level),
            ..SpecInput::default()
        }
    }
}
