//! The vocabulary of Auditstream: plain types, identifiers and validation.
//!
//! Every value that crosses a boundary (browser ↔ server, API client ↔ server, database ↔ engine)
//! has its type here, so that both sides agree on it. There is no I/O, and the crate compiles to
//! WebAssembly.
//!
//! A request arrives as an *input* ([`DestinationInput`], [`ConnectorInput`]): plain strings, as
//! typed. `parse` turns it into a value that follows every rule, or into [`FieldErrors`] that name
//! each invalid field. Browser, API and database use the same `parse`.
//!
//! Every type is imported from the root. The modules in reading order:
//!
//! - `identifier`, `text`, `tags`: the types of single fields; `metadata` parses the four that
//!   connectors and destinations share
//! - `wire_names`: the macro that defines an enum by its names in JSON
//! - `field`: [`FieldErrors`]
//! - `problem`: the body of every error response, with its stable [`Code`]
//! - `access`: roles, permissions and token scopes
//! - `user`, `api_token`: users, their one-time links, and API tokens
//! - `event`: audit events and their search, with `condition`, `event_counts` and `search_index`;
//!   `sign_in`: sign-ins among them
//! - `connector`: how to reach AWS, with `credentials` and `backoff`
//! - `connection_test`: tests of a connector or a bucket
//! - `destination`, `bucket`: where and how to stream
//! - `batch`, `failure`: the objects of a destination, and why a delivery failed
//! - `webhook`: the notifications of an account
//! - `retention`, `clock`: how long events are retained, and by which time
//! - `list_query`: paging, sorting and search of lists
//! - [`lenient_integer`]: integers in JSON
//! - [`limits`]: every limit in one place

mod access;
mod api_token;
mod backoff;
mod batch;
mod bucket;
mod clock;
mod condition;
mod connection_test;
mod connector;
mod credentials;
mod destination;
mod event;
mod event_counts;
mod failure;
mod field;
mod identifier;
pub mod lenient_integer;
pub mod limits;
mod list_query;
mod metadata;
#[cfg(feature = "openapi")]
mod openapi;
mod problem;
mod retention;
mod search_index;
mod sequence_gap;
mod sign_in;
mod tags;
mod text;
mod user;
mod webhook;
mod wire_names;

pub use access::{Permission, Role, Scope, SignedIn};
pub use api_token::{ApiToken, ApiTokenInput, CreatedApiToken, TOKEN_PREFIX};
pub use backoff::Backoff;
pub use batch::{Batch, BatchStatus};
pub use bucket::{BucketName, Prefix};
pub use clock::{ClockConfirmation, ClockState, ClockStatus};
pub use condition::{Condition, EventField, MAX_CONDITIONS, Network, Test};
pub use connection_test::{BucketCheck, BucketCheckInput, ConnectionTest, Outcome, TestError, TestProgress, TestStep};
pub use connector::{Connector, ConnectorInput, ConnectorKind, ConnectorSpec, ConnectorView, is_region};
pub use credentials::{Credentials, CredentialsInput, CrossAccount, Secrets};
pub use destination::{
    AggregateItem, Cards, Compression, ConnectorInfo, Destination, DestinationInput, DestinationKind, DestinationSpec,
    DestinationView, FailureInfoCard, Format, HeldBack, LastStreamedCard, ServerSideEncryption, SpecInput, StartAt,
    Status, StatusCount, StreamingDetails,
};
pub use event::{AuditEvent, EventFilter, EventKey, EventPage, IngestOutcome, NewerCount, Show, TimeRange};
pub use event_counts::{EventBucket, EventHistogram, EventValue, EventValues, Precision};
pub use failure::{Failure, FailureCode};
pub use field::{FieldError, FieldErrors};
pub use identifier::Identifier;
pub use list_query::{ListQuery, Listing, Order, Sort};
pub use problem::{Code, Problem};
pub use retention::{
    MAX_RETENTION_DAYS, MIN_RETENTION_DAYS, RemovalConfirmation, RetentionInput, RetentionView, UnconfirmedRemoval,
};
pub use search_index::SearchIndex;
pub use sequence_gap::SequenceGap;
pub use sign_in::{SignIn, SignInOutcome};
pub use tags::Tags;
pub use text::{AccountName, Description, Name, TextError};
pub use user::{Invitation, IssuedLink, LinkKind, OneTimeLink, RoleInput, User, UserStatus, invalid_link};
pub use webhook::{DEFAULT_LAG_LIMIT_SECONDS, Webhook, WebhookInput, WebhookTest};
pub use wire_names::UnknownName;

/// Milliseconds since the Unix epoch, UTC.
pub type EpochMillis = i64;
/// A position in an account's trail: 1, 2, 3 … without gaps, in commit order. 0 is before the
/// first.
pub type Sequence = i64;
