//! The OpenAPI 3.1 document: what the routes say of themselves, and what holds for many of them.
//!
//! A handler names what is its own: path, summary, parameters, bodies, answers. What its extractors bring with them is
//! added here by rule:
//!
//! | an operation that | has also |
//! | --- | --- |
//! | is under `/v1` | the sign-in, `Harness-Account`, 401, 403, 500, 503 |
//! | takes a body | 400, 408, 413, 415, 422 |
//! | takes parameters of the address | 400 |
//! | is about one thing | 404 |
//! | is of streaming | 404 `feature_disabled` |
//! | names 412 | `If-Match`, and the `ETag` of what it answers |
//! | names 304 | `If-None-Match`, `ETag` |
//! | answers pages | the totals in headers |

use std::collections::{BTreeMap, BTreeSet};

use auditstream_model::{Code, Credentials, CredentialsInput, Order, Problem, Show, Sort, Status};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

const ABOUT: &str = "Auditstream keeps an organisation's audit trail and streams it to Amazon S3.\n\n\
    Sign in with an API token, as `Authorization: Bearer …` or as `x-api-key: …`. An admin makes one in the console, and \
    `auditstream token create` does on the command line. A token is of one account; `Harness-Account` may name it, and \
    naming another one is refused.\n\n\
    Every refusal is `application/problem+json` with a stable `code`, a `detail` for people and, where fields are wrong, \
    `errors` that name each. Members that a body has beyond those named here are ignored. Times are milliseconds since \
    1970, UTC.\n\n\
    An `ETag` says which version of a thing was read. Sent back as `If-Match` with a change, the change is made to that \
    version alone; when somebody else was faster the answer is 412.";

/// Operations about a thing that need not be there.
const OF_NOTHING_YET: &str = "validateUniqueIdentifier";

/// What the document is before any route is added.
#[derive(OpenApi)]
#[openapi(
    info(title = "Auditstream", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    external_docs(url = "/docs/api", description = "The same as a page"),
    // What parameters and generic types refer to is not found by itself.
    components(schemas(Problem, Credentials, CredentialsInput, Order, Show, Sort, Status)),
    tags(
        (name = "Audit events", description = "What happened: events in, events out."),
        (name = "Streaming destinations", description = "Where to stream. Paths, fields and paging are those of the reference system's API; `cards` and `aggregate` are reserved identifiers."),
        (name = "Connectors", description = "How to reach AWS."),
        (name = "Access", description = "Who may use the console and the API. Needs the scope `admin`."),
        (name = "Webhook", description = "Who is told when a destination begins to fail, stays behind or recovers."),
        (name = "Operation", description = "For load balancers and for Prometheus."),
    )
)]
struct Base;

/// What the routes are added to.
#[must_use]
pub fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// The whole document.
#[must_use]
pub fn complete(described: utoipa::openapi::OpenApi) -> Value {
    // Generic types are called by their parts.
    let text = described.to_json().unwrap_or_default();
    let text = text
        .replace("ConnectorSpec_CredentialsInput", "ConnectorSpecInput")
        .replace("ConnectorSpec_Credentials", "ConnectorSpec");
    let mut document: Value = serde_json::from_str(&text).unwrap_or_default();
    write_numbers_out(&mut document);
    // Their words are made by a macro, into which the derived schema cannot see.
    document["components"]["schemas"]["Code"]["enum"] = Code::ALL.iter().map(|code| code.as_str()).collect();
    document["info"]["description"] = ABOUT.into();
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document["servers"] = json!([{"url": "/", "description": "This server."}]);
    document["components"]["securitySchemes"] = json!({
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API token."},
        "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same API token."},
        "metrics_token": {"type": "http", "scheme": "bearer", "description": "`AUDITSTREAM_METRICS_TOKEN` of the server."},
    });
    document["components"]["parameters"] = parameters();
    document["components"]["headers"] = headers();
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            for (_, operation) in item.as_object_mut().into_iter().flatten() {
                complete_operation(path, operation);
            }
        }
    }
    require_what_is_always_answered(&mut document);
    document
}

/// Times and sequences are numbers by another name, which are taken for types.
fn write_numbers_out(part: &mut Value) {
    const NUMBER: &str = "i64";
    if let Some(schemas) = part.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.remove(NUMBER);
    }
    match part {
        Value::Object(members) => {
            let referred = members.get("$ref").and_then(Value::as_str);
            if referred.and_then(|to| to.strip_prefix("#/components/schemas/")) == Some(NUMBER) {
                members.remove("$ref");
                members.insert("type".into(), "integer".into());
                members.insert("format".into(), "int64".into());
                members.insert("minimum".into(), i64::MIN.into());
                members.insert("maximum".into(), i64::MAX.into());
            }
            members.values_mut().for_each(write_numbers_out);
        }
        Value::Array(items) => items.iter_mut().for_each(write_numbers_out),
        _ => {}
    }
}

fn parameters() -> Value {
    let tags = r#"^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$"#;
    json!({
        "HarnessAccount": {
            "name": "Harness-Account", "in": "header",
            "description": "The token's account. May be left out.",
            "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"},
        },
        "IfMatch": {
            "name": "If-Match", "in": "header",
            "description": "The `ETag` of what is to be changed, several of them, or `*` for whatever is there. May be left out.",
            "schema": {"type": "string", "pattern": tags},
        },
        "IfNoneMatch": {
            "name": "If-None-Match", "in": "header",
            "description": "The `ETag` of what the caller has. May be left out.",
            "schema": {"type": "string", "pattern": tags},
        },
    })
}

fn headers() -> Value {
    let count = |description: &str| json!({"description": description, "schema": {"type": "integer", "minimum": 0}, "required": true});
    let text = |description: &str, pattern: &str| json!({"description": description, "schema": {"type": "string", "pattern": pattern}, "required": true});
    json!({
        "TotalElements": count("Rows of all pages."),
        "PageNumber": count("This page, from 0."),
        "PageSize": count("Rows that a page can have."),
        "ETag": text("Which version this is.", "^\"[0-9a-f]{32}\"$"),
        "Location": text("Where the thing is.", "^/v1/"),
        "WWWAuthenticate": text("How to sign in.", "^Bearer"),
        "RetryAfter": text("After how many seconds to try again.", "^[0-9]+$"),
    })
}

fn complete_operation(path: &str, operation: &mut Value) {
    let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
    let tag = operation["tags"][0].as_str().unwrap_or_default().to_owned();
    let under_v1 = path.starts_with("/v1/");
    let takes_body = operation.get("requestBody").is_some();
    let named = |status: &str| operation["responses"].get(status).is_some();
    let (changes_versions, reads_versions) = (named("412"), named("304"));
    // Users and tokens have no versions.
    let makes_versions = named("201") && tag != "Access";
    let asked = operation["parameters"].as_array().cloned().unwrap_or_default();
    let is_asked = |place: &str, name: Option<&str>| {
        asked
            .iter()
            .any(|one| one["in"] == place && name.is_none_or(|name| one["name"] == name))
    };
    let pages = is_asked("query", Some("page"));

    let mut codes = Vec::new();
    let mut more_parameters = Vec::new();
    if under_v1 {
        operation["security"] = json!([{"bearer": []}, {"api_key": []}]);
        codes.extend([
            Code::Unauthenticated,
            Code::Forbidden,
            Code::Internal,
            Code::Unavailable,
        ]);
        more_parameters.push("HarnessAccount");
    }
    if takes_body {
        codes.extend([
            Code::MalformedBody,
            Code::RequestTimeout,
            Code::TooLarge,
            Code::UnsupportedMedia,
            Code::InvalidFields,
        ]);
        operation["requestBody"]["required"] = true.into();
    }
    if is_asked("query", None) || changes_versions || reads_versions {
        codes.push(Code::InvalidParameter);
    }
    if is_asked("path", None) && id != OF_NOTHING_YET {
        codes.push(Code::NotFound);
    }
    if matches!(tag.as_str(), "Streaming destinations" | "Webhook") {
        codes.push(Code::FeatureDisabled);
    }
    if changes_versions {
        codes.push(Code::PreconditionFailed);
        more_parameters.push("IfMatch");
    }
    if reads_versions {
        more_parameters.push("IfNoneMatch");
        operation["responses"]["304"]["description"] = "The caller has it already.".into();
    }
    match id.as_str() {
        // `cards` and `aggregate` stand where an identifier would, and are only read.
        "replaceStreamingDestination" | "deleteStreamingDestination" => codes.push(Code::MethodNotAllowed),
        "ready" => codes.push(Code::Unavailable),
        "metrics" => codes.extend([Code::Unauthenticated, Code::Forbidden]),
        _ => {}
    }

    let of_the_rules = more_parameters
        .into_iter()
        .map(|name| json!({"$ref": format!("#/components/parameters/{name}")}));
    let all: Vec<Value> = asked.into_iter().chain(of_the_rules).collect();
    if !all.is_empty() {
        operation["parameters"] = all.into();
    }
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    refuse(responses, &codes);
    for (status, response) in responses {
        let has_body = response.get("content").is_some();
        let names: &[(&str, &str)] = match status.as_str() {
            "200" if pages => &[
                ("X-Total-Elements", "TotalElements"),
                ("X-Page-Number", "PageNumber"),
                ("X-Page-Size", "PageSize"),
            ],
            "200" if has_body && (changes_versions || reads_versions) => &[("ETag", "ETag")],
            "201" if makes_versions => &[("ETag", "ETag"), ("Location", "Location")],
            "304" => &[("ETag", "ETag")],
            "401" => &[("WWW-Authenticate", "WWWAuthenticate")],
            "503" | "429" => &[("Retry-After", "RetryAfter")],
            _ => &[],
        };
        for (name, component) in names {
            response["headers"][*name] = json!({"$ref": format!("#/components/headers/{component}")});
        }
    }
}

/// Adds the refusals of these codes to those that the operation names itself.
fn refuse(responses: &mut Map<String, Value>, codes: &[Code]) {
    let mut said: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for code in codes {
        let own = responses.get(&code.status().to_string());
        let own = own.and_then(|own| own["description"].as_str()).unwrap_or_default();
        // What the operation says of a code says more; 422 of events is theirs alone.
        if own.contains(code.as_str()) || own.contains(Code::InvalidEvents.as_str()) {
            continue;
        }
        let words = said.entry(code.status().to_string()).or_default();
        words.insert(format!("`{}`: {}.", code.as_str(), lower(code.title())));
    }
    for (status, words) in said {
        let response = responses.entry(status).or_insert_with(|| json!({"description": ""}));
        let own = response["description"].as_str().unwrap_or_default().to_owned();
        let all = std::iter::once(own).filter(|own| !own.is_empty()).chain(words);
        response["description"] = all.collect::<Vec<_>>().join(" ").into();
    }
    for (_, response) in responses.iter_mut().filter(|(status, _)| status.as_str() >= "400") {
        response["content"] = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    }
}

fn lower(title: &str) -> String {
    let mut letters = title.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// What only ever goes out is whole: null where there is nothing. Two types leave out what they have not.
fn require_what_is_always_answered(document: &mut Value) {
    const LEAVE_OUT: [&str; 3] = ["Problem", "FieldError", "Event"];
    let mut sent = BTreeSet::new();
    for item in document["paths"].as_object().into_iter().flat_map(Map::values) {
        for operation in item.as_object().into_iter().flat_map(Map::values) {
            names(&operation["requestBody"], document, &mut sent);
        }
    }
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else {
        return;
    };
    let answered = schemas
        .iter_mut()
        .filter(|(name, _)| !sent.contains(*name) && !LEAVE_OUT.contains(&name.as_str()));
    for (_, schema) in answered {
        if let Some(properties) = schema["properties"].as_object() {
            schema["required"] = properties.keys().cloned().collect();
        }
    }
}

/// The schemas that a part of the document refers to, and those that they do.
fn names(part: &Value, document: &Value, found: &mut BTreeSet<String>) {
    match part {
        Value::Object(members) => {
            let referred = members.get("$ref").and_then(Value::as_str);
            if let Some(name) = referred.and_then(|to| to.strip_prefix("#/components/schemas/"))
                && found.insert(name.to_owned())
            {
                names(&document["components"]["schemas"][name], document, found);
            }
            members.values().for_each(|member| names(member, document, found));
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, document, found)),
        _ => {}
    }
}
