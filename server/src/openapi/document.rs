//! The OpenAPI 3.1 document: the descriptions of the routes, completed by [`rules`](super::rules)
//! and by what concerns the whole document.

use std::collections::BTreeSet;

use auditstream_model::{Code, Credentials, CredentialsInput, EventKey, Order, Problem, Show, Sort, Status};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::names::tag;
use super::rules;

const ABOUT: &str = "Auditstream keeps an organisation's audit trail and streams it to Amazon S3.\n\n\
    Authenticate with an API token, as `Authorization: Bearer …` or `x-api-key: …`. Admins create tokens in the console, \
    operators with `auditstream token create`. A token belongs to one account. The optional header `Harness-Account` must \
    name that account.\n\n\
    Errors are `application/problem+json` with a stable `code`, a `detail` for people and, for invalid fields, `errors` \
    with one entry per field. Unknown fields are ignored. Times are milliseconds since 1970-01-01 UTC.\n\n\
    An `ETag` identifies the version of a resource. Send it as `If-Match` with a change to apply the change only to that \
    version: if the resource has been changed in the meantime, the response is 412.";

/// The document without any route.
#[derive(OpenApi)]
#[openapi(
    info(title = "Auditstream", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    external_docs(url = "/docs/api", description = "This document as a page"),
    // Types that only parameters or generic types refer to must be listed.
    components(schemas(Problem, Credentials, CredentialsInput, EventKey, Order, Show, Sort, Status)),
    tags(
        (name = tag::AUDIT_EVENTS, description = "Send and search audit events."),
        (name = tag::DESTINATIONS, description = "Where to stream. Paths, fields and paging follow the reference system's API; `cards` and `aggregate` are reserved identifiers."),
        (name = tag::CONNECTORS, description = "Credentials and settings for AWS."),
        (name = tag::ACCESS, description = "Users and API tokens. Requires the scope `admin`."),
        (name = tag::WEBHOOK, description = "Notifications when a destination starts to fail, lags or recovers."),
        (name = tag::RETENTION, description = "How long events are retained, and the clock by which they are removed."),
        (name = tag::OPERATION, description = "For load balancers and Prometheus."),
    )
)]
struct Base;

/// The document to add routes to.
#[must_use]
pub fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// Completes the document that the routes have been added to.
#[must_use]
pub fn complete(document: utoipa::openapi::OpenApi) -> Value {
    // Generic types are named after their parameters.
    let text = document.to_json().unwrap_or_default();
    let text = text
        .replace("ConnectorSpec_CredentialsInput", "ConnectorSpecInput")
        .replace("ConnectorSpec_Credentials", "ConnectorSpec");
    let mut document: Value = serde_json::from_str(&text).unwrap_or_default();
    inline_integers(&mut document);
    // The names of the codes come from a macro, which the derived schema cannot see.
    document["components"]["schemas"]["Code"]["enum"] = Code::ALL.iter().map(|code| code.as_str()).collect();
    document["info"]["description"] = ABOUT.into();
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document["servers"] = json!([{"url": "/", "description": "This server."}]);
    document["components"]["securitySchemes"] = json!({
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API token."},
        "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same API token in another header."},
        "metrics_token": {"type": "http", "scheme": "bearer", "description": "The value of `AUDITSTREAM_METRICS_TOKEN` on the server."},
    });
    document["components"]["parameters"] = parameters();
    document["components"]["headers"] = headers();
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            for (_, operation) in item.as_object_mut().into_iter().flatten() {
                rules::complete(path, operation);
            }
        }
    }
    require_response_fields(&mut document);
    document
}

/// Replaces references to `i64`: aliases such as times and sequences would otherwise become
/// schemas.
fn inline_integers(part: &mut Value) {
    const NUMBER: &str = "i64";
    if let Some(schemas) = part.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.remove(NUMBER);
    }
    match part {
        Value::Object(members) => {
            if schema_name(members) == Some(NUMBER) {
                members.remove("$ref");
                members.insert("type".into(), "integer".into());
                members.insert("format".into(), "int64".into());
                members.insert("minimum".into(), i64::MIN.into());
                members.insert("maximum".into(), i64::MAX.into());
            }
            members.values_mut().for_each(inline_integers);
        }
        Value::Array(items) => items.iter_mut().for_each(inline_integers),
        _ => {}
    }
}

fn parameters() -> Value {
    let tags = r#"^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$"#;
    json!({
        "HarnessAccount": {
            "name": "Harness-Account", "in": "header",
            "description": "The token's account. Optional.",
            "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"},
        },
        "IfMatch": {
            "name": "If-Match", "in": "header",
            "description": "The `ETag` of the resource to change, several of them, or `*` for any version. Optional.",
            "schema": {"type": "string", "pattern": tags},
        },
        "IfNoneMatch": {
            "name": "If-None-Match", "in": "header",
            "description": "The `ETag` of the version that the client already has. Optional.",
            "schema": {"type": "string", "pattern": tags},
        },
    })
}

fn headers() -> Value {
    let count = |description: &str| json!({"description": description, "schema": {"type": "integer", "minimum": 0}, "required": true});
    let text = |description: &str, pattern: &str| json!({"description": description, "schema": {"type": "string", "pattern": pattern}, "required": true});
    json!({
        "TotalElements": count("Number of rows on all pages."),
        "PageNumber": count("Number of this page, starting at 0."),
        "PageSize": count("Maximum number of rows on a page."),
        "ETag": text("The version of the resource.", "^\"[0-9a-f]{32}\"$"),
        "Location": text("The path of the new resource.", "^/v1/"),
        "WWWAuthenticate": text("The authentication scheme.", "^Bearer"),
        "AcceptEncoding": text("The encodings of a body that are accepted.", "^gzip, zstd$"),
        "RetryAfter": text("Seconds to wait before the next attempt.", "^[0-9]+$"),
    })
}

/// Marks every field as required in schemas that only occur in responses, where absent values are
/// null. `OMIT_ABSENT` lists the exceptions.
fn require_response_fields(document: &mut Value) {
    const OMIT_ABSENT: [&str; 3] = ["Problem", "FieldError", "Event"];
    let mut in_requests = BTreeSet::new();
    for item in document["paths"].as_object().into_iter().flat_map(Map::values) {
        for operation in item.as_object().into_iter().flat_map(Map::values) {
            collect_schemas(&operation["requestBody"], document, &mut in_requests);
        }
    }
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else {
        return;
    };
    let in_responses = schemas
        .iter_mut()
        .filter(|(name, _)| !in_requests.contains(*name) && !OMIT_ABSENT.contains(&name.as_str()));
    for (_, schema) in in_responses {
        if let Some(properties) = schema["properties"].as_object() {
            schema["required"] = properties.keys().cloned().collect();
        }
    }
}

fn collect_schemas(part: &Value, document: &Value, found: &mut BTreeSet<String>) {
    match part {
        Value::Object(members) => {
            if let Some(name) = schema_name(members)
                && found.insert(name.to_owned())
            {
                collect_schemas(&document["components"]["schemas"][name], document, found);
            }
            members
                .values()
                .for_each(|member| collect_schemas(member, document, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_schemas(item, document, found)),
        _ => {}
    }
}

fn schema_name(members: &Map<String, Value>) -> Option<&str> {
    let target = members.get("$ref").and_then(Value::as_str)?;
    target.strip_prefix("#/components/schemas/")
}
