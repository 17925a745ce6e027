//! Roles, permissions and token scopes.

use serde::{Deserialize, Serialize};

use crate::AccountName;
use crate::wire_names::wire_names;

wire_names! {
    /// One kind of action that a caller may be permitted. The names are the reference's where it
    /// has one.
    pub enum Permission {
        /// Read the trail.
        ViewAudit = "core_audit_view",
        /// Send events. Granted to tokens only.
        IngestAudit = "core_audit_ingest",
        /// See streaming destinations.
        ViewDestination = "core_streamingDestination_view",
        /// Create, change, activate and pause streaming destinations.
        EditDestination = "core_streamingDestination_edit",
        /// Delete streaming destinations.
        DeleteDestination = "core_streamingDestination_delete",
        /// See connectors.
        ViewConnector = "core_connector_view",
        /// Create, change and test connectors.
        EditConnector = "core_connector_edit",
        /// Delete connectors.
        DeleteConnector = "core_connector_delete",
        /// See and change users and tokens.
        EditAccess = "core_access_edit",
        /// Change the settings of the account.
        EditAccount = "core_account_edit",
    }
}

wire_names! {
    /// The role of a person in an account.
    pub enum Role {
        /// Has every permission except sending events.
        Admin = "account_admin",
        /// Sees everything except access, and changes nothing.
        Viewer = "account_viewer",
    }
}

impl Role {
    /// Whether this role grants `permission`.
    #[must_use]
    pub fn allows(self, permission: Permission) -> bool {
        match self {
            Self::Admin => permission != Permission::IngestAudit,
            Self::Viewer => is_view(permission),
        }
    }
}

fn is_view(permission: Permission) -> bool {
    matches!(
        permission,
        Permission::ViewAudit | Permission::ViewDestination | Permission::ViewConnector
    )
}

wire_names! {
    /// The use of an API token.
    pub enum Scope {
        /// Send events.
        Ingest = "ingest",
        /// Read the trail, connectors and destinations.
        Read = "read",
        /// Everything that an account admin can do, including reading.
        Admin = "admin",
    }
}

impl Scope {
    /// Whether this scope grants `permission`.
    #[must_use]
    pub fn allows(self, permission: Permission) -> bool {
        match self {
            Self::Ingest => permission == Permission::IngestAudit,
            Self::Read => is_view(permission),
            Self::Admin => permission != Permission::IngestAudit,
        }
    }
}

/// The signed-in person, as the console shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// The person's e-mail address.
    pub email: String,
    /// The person's role in the account.
    pub role: Role,
    /// The account.
    pub account: AccountName,
    /// Whether audit log streaming is enabled on this server.
    pub streaming_enabled: bool,
}

impl SignedIn {
    /// Whether this person has `permission`.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.role.allows(permission)
    }
}
