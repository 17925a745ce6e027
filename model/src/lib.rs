//! The vocabulary of Auditstream: plain types, identifiers and validation.
//!
//! Everything that crosses a boundary (browser ↔ server, API client ↔ server, database ↔ engine) is named here
//! once, so that the three can not disagree. There is no I/O, and the crate compiles to WebAssembly.
//!
//! What a person or a program sends arrives as an *input* ([`DestinationInput`], [`ConnectorInput`]): plain strings,
//! as typed. `parse` turns it into a value that follows every rule, or into [`FieldErrors`] that name each field that
//! does not. Browser, API and database use the same `parse`.
//!
//! In reading order:
//!
//! - [`identifier`]: names of things, and the tags and texts that describe them
//! - [`field`]: errors that name a field
//! - [`problem`]: how every refusal is sent
//! - [`access`]: roles, permissions and token scopes
//! - [`user`]: people, and the one-time links that invite them
//! - [`api_token`]: API tokens
//! - [`event`]: audit events, their filters and the answer to an ingest request
//! - [`connector`]: how to reach AWS; [`credentials`] are how it signs in, [`backoff`] is how long it waits
//! - [`connection_test`]: what is tried with a connector or a bucket, and what came of it
//! - [`destination`]: where to stream
//! - [`bucket`]: the rules that AWS has for buckets and keys
//! - [`batch`]: what was streamed
//! - [`webhook`]: whom an account tells of what goes wrong
//! - [`page`]: paging, sorting and search of lists
//! - [`whole`]: whole numbers as JSON has them
//! - [`limits`]: every limit in one place

pub mod access;
pub mod api_token;
pub mod backoff;
pub mod batch;
pub mod bucket;
pub mod connection_test;
pub mod connector;
pub mod credentials;
pub mod destination;
pub mod event;
pub mod field;
pub mod identifier;
pub mod limits;
#[cfg(feature = "openapi")]
mod openapi;
pub mod page;
pub mod problem;
pub mod user;
pub mod webhook;
pub mod whole;

pub use access::{Permission, Role, Scope, SignedIn};
pub use api_token::{ApiToken, ApiTokenInput, CreatedApiToken};
pub use backoff::Backoff;
pub use batch::{Batch, BatchStatus, Failure};
pub use connection_test::{BucketCheck, BucketCheckInput, ConnectionTest, Outcome, TestError, TestProgress, TestStep};
pub use connector::{Connector, ConnectorInput, ConnectorKind, ConnectorSpec, ConnectorView};
pub use credentials::{Credentials, CredentialsInput, CrossAccount, Secrets};
pub use destination::{
    AggregateItem, Cards, Compression, Destination, DestinationInput, DestinationSpec, DestinationView, Format,
    HeldBack, SpecInput, StartAt, Status,
};
pub use event::{AuditEvent, EventFilter, EventPage, IngestOutcome, Show, TimeRange};
pub use field::{FieldError, FieldErrors};
pub use identifier::{AccountName, Description, Identifier, Name, Tags};
pub use page::{ListQuery, Listing, Order, Sort};
pub use problem::{Code, Problem};
pub use user::{Invitation, IssuedLink, LinkKind, OneTimeLink, RoleInput, User, UserStatus};

/// Milliseconds since the Unix epoch, UTC.
pub type EpochMillis = i64;
/// A position in an account's trail: 1, 2, 3 … without gaps, in commit order. 0 stands before the first.
pub type Sequence = i64;
