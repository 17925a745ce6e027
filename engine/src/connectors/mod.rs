//! How to reach AWS.
//!
//! - [`rows`]: connectors in the database, and what may be done with them
//! - [`settings`]: what the engine is told about AWS when it starts
//! - [`credentials`]: how a connector signs in
//! - [`aws`]: clients of a connector, signed in
//! - [`guarded`]: the HTTP client for endpoints that people typed
//! - [`test`]: the connection test; [`steps`] are its steps as they are taken
//! - [`bucket`]: the steps of a bucket check; [`probe`] is the object that it writes
//! - [`policy`]: the IAM policy that a destination needs

pub(crate) mod aws;
pub(crate) mod bucket;
mod credentials;
mod guarded;
mod policy;
mod probe;
pub(crate) mod rows;
mod settings;
mod steps;
mod test;

pub(crate) use rows::seal_again;
pub use rows::{create, delete, delete_if, external_id, get, list, replace, replace_if};
pub use settings::{AwsSettings, Timeouts, WebIdentity};
pub use test::{test, watch_test};
