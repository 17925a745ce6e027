//! Names in the OpenAPI document that its rules refer to.

/// Groups of operations.
pub mod tag {
    /// Sending and searching events.
    pub const AUDIT_EVENTS: &str = "Audit events";
    /// Streaming destinations.
    pub const DESTINATIONS: &str = "Streaming destinations";
    /// Connectors to AWS.
    pub const CONNECTORS: &str = "Connectors";
    /// Users and API tokens.
    pub const ACCESS: &str = "Access";
    /// Notifications.
    pub const WEBHOOK: &str = "Webhook";
    /// How long events are retained, and by which clock.
    pub const RETENTION: &str = "Retention";
    /// Health and metrics.
    pub const OPERATION: &str = "Operation";
}

/// Operations.
pub mod operation {
    /// Takes an identifier that need not exist.
    pub const VALIDATE_UNIQUE_IDENTIFIER: &str = "validateUniqueIdentifier";
}
