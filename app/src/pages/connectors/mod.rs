//! Connectors: how to reach AWS.

mod edit;
mod entries;
mod form;
mod list;
mod row;

pub use edit::{EditConnector, NewConnector};
pub use form::ConnectorForm;
pub use list::Connectors;
