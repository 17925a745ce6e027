//! Roles, permissions and token scopes.

use serde::{Deserialize, Serialize};

use crate::identifier::AccountName;

/// One thing that somebody may be allowed to do. The reference's names stand beside each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Permission {
    /// Read the trail: `core_audit_view`.
    #[serde(rename = "core_audit_view")]
    ViewAudit,
    /// Send events in. Tokens only.
    #[serde(rename = "core_audit_ingest")]
    IngestAudit,
    /// See streaming destinations: `core_streamingDestination_view`.
    #[serde(rename = "core_streamingDestination_view")]
    ViewDestination,
    /// Create, change, activate, pause: `core_streamingDestination_edit`.
    #[serde(rename = "core_streamingDestination_edit")]
    EditDestination,
    /// Delete: `core_streamingDestination_delete`.
    #[serde(rename = "core_streamingDestination_delete")]
    DeleteDestination,
    /// See connectors.
    #[serde(rename = "core_connector_view")]
    ViewConnector,
    /// Create, change, test connectors.
    #[serde(rename = "core_connector_edit")]
    EditConnector,
    /// Delete connectors.
    #[serde(rename = "core_connector_delete")]
    DeleteConnector,
    /// See and change users and tokens.
    #[serde(rename = "core_access_edit")]
    EditAccess,
}

/// What a person is in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Role {
    /// Everything.
    #[serde(rename = "account_admin")]
    Admin,
    /// Looks, changes nothing.
    #[serde(rename = "account_viewer")]
    Viewer,
}

impl Role {
    /// The word that commands and the database use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Admin => "account_admin",
            Self::Viewer => "account_viewer",
        }
    }

    /// The role of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Admin, Self::Viewer].into_iter().find(|role| role.word() == word)
    }

    /// Whether a person of this role may.
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

/// What an API token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Scope {
    /// Send events in.
    Ingest,
    /// Read the trail, connectors and destinations.
    Read,
    /// All that an account admin may, and reading.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Ingest, Self::Read, Self::Admin];

    /// The word that commands and the database use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// The scope of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }

    /// Whether a token of this scope may.
    #[must_use]
    pub fn allows(self, permission: Permission) -> bool {
        match self {
            Self::Ingest => permission == Permission::IngestAudit,
            Self::Read => is_view(permission),
            Self::Admin => permission != Permission::IngestAudit,
        }
    }
}

/// Who is signed in, as the console shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// The person's e-mail address.
    pub email: String,
    /// What the person is in the account.
    pub role: Role,
    /// The account.
    pub account: AccountName,
    /// Whether audit log streaming is enabled on this server.
    pub streaming_enabled: bool,
}

impl SignedIn {
    /// Whether this person may.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.role.allows(permission)
    }
}
