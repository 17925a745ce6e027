//! How to reach AWS.
//!
//! - [`rows`]: connectors in the database, and what may be done with them
//! - [`credentials`]: how a connector signs in
//! - [`aws`]: clients of a connector, signed in
//! - [`test`]: the connection test
//! - [`policy`]: the IAM policy that a destination needs
//! - [`steps`]: steps of a test as they are taken

pub(crate) mod aws;
mod credentials;
pub(crate) mod policy;
pub(crate) mod rows;
pub(crate) mod steps;
pub(crate) mod test;

pub use aws::{AwsSettings, Timeouts, WebIdentity};
pub use rows::{create, delete, get, list, replace};
pub use test::test;
