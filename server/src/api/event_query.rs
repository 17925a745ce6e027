//! The parameters of searches: a filter, whose conditions can be repeated and negated.

use auditstream_model::{Condition, EventFilter};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use utoipa::IntoParams;
use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Type};

use crate::http::extract::deserialize_query;
use crate::http::problem::Refusal;

/// The filter of a query string. An empty value counts as absent, as forms send it.
#[derive(Debug)]
pub struct EventQuery(pub EventFilter);

impl<S: Send + Sync> FromRequestParts<S> for EventQuery {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse(query: &str) -> Result<EventFilter, Refusal> {
    let mut conditions = Vec::new();
    let mut rest = Vec::new();
    for pair in query.split('&') {
        let condition = form_urlencoded::parse(pair.as_bytes())
            .next()
            .filter(|(_, value)| !value.is_empty())
            .and_then(|(name, value)| Condition::of_parameter(&name, &value));
        match condition {
            Some(condition) => conditions.push(condition),
            None => rest.push(pair),
        }
    }
    let filter = EventFilter {
        conditions,
        ..deserialize_query(&rest.join("&"))?
    };
    filter.validate().map_err(Refusal::parameters)?;
    Ok(filter)
}

/// An IPv4 or IPv6 address, or a network, as [`Condition::validate`] accepts them. An empty value
/// counts as absent.
const NETWORK: &str = concat!(
    r"^(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(/(3",
    r"[0-2]|[12]?[0-9]))?|(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1",
    r",4}:){1,6}(:[0-9A-Fa-f]{1,4}){1,1}|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4",
    r"}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:",
    r"){1,2}(:[0-9A-Fa-f]{1,4}){1,5}|([0-9A-Fa-f]{1,4}:){1,1}(:[0-9A-Fa-f]{1,4}){1,6}|:(:[0-9A-Fa-f]{1,4})",
    r"{1,7}|::)(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?)?$",
);

/// The schema of addresses and networks.
fn networks() -> Array {
    let network = ObjectBuilder::new().schema_type(Type::String).pattern(Some(NETWORK));
    ArrayBuilder::new().items(network).build()
}

/// The parameters with conditions that [`EventFilter`] does not name, for OpenAPI. All can be
/// repeated.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only its description is used")]
pub struct EventConditions {
    /// The principal's type.
    principal_type: Option<Vec<String>>,
    /// The client's IP address, or a network such as 10.0.0.0/8.
    #[param(schema_with = networks)]
    ip: Option<Vec<String>>,
    /// Beginnings of the principal's identifier.
    principal_prefix: Option<Vec<String>>,
    /// Beginnings of the principal's type.
    principal_type_prefix: Option<Vec<String>>,
    /// Beginnings of the action.
    action_prefix: Option<Vec<String>>,
    /// Beginnings of the module.
    module_prefix: Option<Vec<String>>,
    /// Beginnings of the resource's type.
    resource_type_prefix: Option<Vec<String>>,
    /// Beginnings of the resource's identifier.
    resource_prefix: Option<Vec<String>>,
    /// Beginnings of the organisation.
    org_prefix: Option<Vec<String>>,
    /// Beginnings of the project.
    project_prefix: Option<Vec<String>>,
    /// Identifiers that the principal does not have.
    not_principal: Option<Vec<String>>,
    /// Types that the principal does not have.
    not_principal_type: Option<Vec<String>>,
    /// Other actions than these.
    not_action: Option<Vec<String>>,
    /// Other modules than these.
    not_module: Option<Vec<String>>,
    /// Types that the resource does not have.
    not_resource_type: Option<Vec<String>>,
    /// Identifiers that the resource does not have.
    not_resource: Option<Vec<String>>,
    /// Other organisations than these, or none.
    not_org: Option<Vec<String>>,
    /// Other projects than these, or none.
    not_project: Option<Vec<String>>,
    /// Other addresses than these, or none.
    #[param(schema_with = networks)]
    not_ip: Option<Vec<String>>,
    /// Beginnings that the principal's identifier does not have.
    not_principal_prefix: Option<Vec<String>>,
    /// Beginnings that the principal's type does not have.
    not_principal_type_prefix: Option<Vec<String>>,
    /// Beginnings that the action does not have.
    not_action_prefix: Option<Vec<String>>,
    /// Beginnings that the module does not have.
    not_module_prefix: Option<Vec<String>>,
    /// Beginnings that the resource's type does not have.
    not_resource_type_prefix: Option<Vec<String>>,
    /// Beginnings that the resource's identifier does not have.
    not_resource_prefix: Option<Vec<String>>,
    /// Beginnings that the organisation does not have.
    not_org_prefix: Option<Vec<String>>,
    /// Beginnings that the project does not have.
    not_project_prefix: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_repeated_and_negated() {
        let filter =
            parse("principal=ann&principal=ben%26co&not_action=LOGIN&ip=10.0.0.0%2F8&org=&q=a+b&limit=7").unwrap();
        let shown: Vec<(String, &str)> = filter
            .conditions
            .iter()
            .map(|condition| (condition.parameter(), condition.value.as_str()))
            .collect();
        let named = |name: &str, value| (name.to_owned(), value);
        assert_eq!(
            shown,
            [
                named("principal", "ann"),
                named("principal", "ben&co"),
                named("not_action", "LOGIN"),
                named("ip", "10.0.0.0/8"),
            ]
        );
        assert_eq!((filter.q.as_deref(), filter.limit), (Some("a b"), Some(7)));
        assert!(parse("ip=nowhere").is_err() && parse("limit=x").is_err() && parse("principal=%00").is_err());
    }
}
