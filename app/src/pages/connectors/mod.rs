//! Connectors: how to reach AWS.

mod edit;
mod form;
mod list;

pub use edit::{EditConnector, NewConnector};
pub use form::ConnectorForm;
pub use list::Connectors;
