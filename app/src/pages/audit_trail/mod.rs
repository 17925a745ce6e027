//! Audit Trail: its two tabs, a destination's page, and the wizard for streaming destinations.

mod batches;
mod destination;
mod failure;
mod logs;
mod not_enabled;
mod streaming;
mod tabs;
mod toggle;
mod wizard;

pub use destination::DestinationPage;
pub use logs::Logs;
pub use streaming::Streaming;
pub use wizard::{EditDestination, NewDestination};
