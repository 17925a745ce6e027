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

pub(crate) mod bucket_check;
mod change;
mod connection_test;
mod list;
mod rows;
mod secrets;
mod test_steps;

pub use change::{create, delete, delete_if, replace, replace_if};
pub use connection_test::{test, watch_test};
pub use list::{external_id, get, list};
pub(crate) use rows::{KIND, hold};
pub(crate) use secrets::{Unlocked, seal_again, unlock};
