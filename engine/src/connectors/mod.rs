//! How to reach AWS.
//!
//! - [`rows`]: connectors in the database, and what may be done with them
//! - [`aws`]: clients of a connector
//! - [`test`]: the connection test

pub(crate) mod aws;
pub(crate) mod rows;
mod test;

pub use rows::{create, delete, get, list, replace};
pub use test::test;
