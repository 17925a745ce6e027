//! Everything that speaks to AWS, or to a store that speaks its S3. Knows nothing of connectors,
//! destinations and batches.

mod addressing;
mod clients;
mod clock_witness;
mod context;
pub(crate) mod credentials;
mod error_table;
mod failure;
mod hashed_payload;
mod hint;
mod host_client;
mod http_client;
pub(crate) mod identity;
mod meaning;
pub(crate) mod object;
mod profile;
mod response;
mod session;
mod settings;
mod started_commands;
mod sts;
mod transfer;
mod uplink;

pub(crate) use clients::{Aws, S3};
pub(crate) use failure::AwsFailure;
pub(crate) use host_client::host_client;
pub(crate) use http_client::restricted_connector;
pub(crate) use profile::AwsProfile;
pub use settings::{AwsSettings, Timeouts, WebIdentity};
pub(crate) use uplink::UplinkPlace;
