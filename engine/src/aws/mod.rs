//! Everything that speaks to AWS: clients, credentials, failures and their explanations. Knows nothing of batches.

pub(crate) mod clients;
pub(crate) mod credentials;
mod error_table;
pub(crate) mod failure;
mod http_client;
mod settings;

pub use settings::{AwsSettings, Timeouts, WebIdentity};
