//! Connectors: how to reach AWS.

mod connector_row;
mod edit;
mod form;
mod form_sections;
mod form_state;
mod list;

pub use edit::{EditConnector, NewConnector};
pub use form::ConnectorForm;
pub use list::Connectors;
