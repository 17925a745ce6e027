//! The scopes of an API token, as the database stores them: their names, with commas in between.

use auditstream_model::Scope;

#[derive(Debug)]
pub(super) struct Scopes(pub(super) Vec<Scope>);

impl From<String> for Scopes {
    /// Drops unknown names, which grant nothing.
    fn from(names: String) -> Self {
        Self(names.split(',').filter_map(|name| name.parse().ok()).collect())
    }
}

pub(super) fn join(scopes: &[Scope]) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(",")
}
