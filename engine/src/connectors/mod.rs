//! How to reach AWS.

pub(crate) mod bucket_check;
mod change;
mod connection_test;
mod list;
mod rows;
mod secrets;
mod test_steps;

pub use change::{create, delete, replace};
pub(crate) use connection_test::try_connection;
pub use connection_test::{test, watch_test};
pub use list::{external_id, get, list};
pub(crate) use rows::{KIND, lock_shared};
pub(crate) use secrets::{ConnectorWithSecrets, seal_again, unlock};
