//! Everything that speaks to AWS, or to a store that speaks its S3. Knows nothing of connectors,
//! destinations and batches.
//!
//! - [`settings`]: how AWS is reached, and which accounts may use the host's identity
//! - [`context`]: these settings, with the HTTP client for AWS itself
//! - [`profile`]: where and as whom to sign in
//! - [`clients`]: S3 clients, signed in; [`session`] keeps the credentials of one profile
//! - [`credentials`], [`sts`]: signing in; [`identity`] checks the result
//! - [`http_client`]: the clients for AWS itself, and for custom endpoints, restricted by the
//!   egress policy
//! - [`object`]: the five operations on a bucket
//! - [`failure`]: a failed call; [`error_table`] explains each kind

mod clients;
mod context;
pub(crate) mod credentials;
mod error_table;
mod failure;
mod http_client;
pub(crate) mod identity;
pub(crate) mod object;
mod profile;
mod session;
mod settings;
mod sts;

pub(crate) use clients::{Aws, S3};
pub(crate) use failure::AwsFailure;
pub(crate) use profile::AwsProfile;
pub use settings::{AwsSettings, Timeouts, WebIdentity};
