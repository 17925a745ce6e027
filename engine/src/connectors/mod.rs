//! How to reach AWS.
//!
//! - [`rows`]: a connector in the database; [`secrets`] are sealed there
//! - [`change`]: create, replace, delete
//! - [`read`]: lists, and one
//! - [`settings`]: what the engine is told about AWS when it starts
//! - [`credentials`]: how a connector signs in
//! - [`aws`]: clients of a connector, signed in
//! - [`guarded`]: the HTTP client for endpoints that people typed
//! - [`test`]: the connection test; [`steps`] are its steps as they are taken
//! - [`bucket`]: the steps of a bucket check; [`probe`] is the object that it writes
//! - [`policy`]: the IAM policy that a destination needs

pub(crate) mod aws;
pub(crate) mod bucket;
mod change;
mod credentials;
mod guarded;
mod policy;
mod probe;
mod read;
mod rows;
mod secrets;
mod settings;
mod steps;
mod test;

pub use change::{create, delete, delete_if, replace, replace_if};
pub use read::{external_id, get, list};
pub(crate) use rows::{KIND, hold};
pub(crate) use secrets::{Unlocked, seal_again, unlock};
pub use settings::{AwsSettings, Timeouts, WebIdentity};
pub use test::{test, watch_test};
