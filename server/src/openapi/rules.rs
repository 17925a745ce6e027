//! Descriptions that many operations of the OpenAPI document share.
//!
//! A handler describes what is specific to it: path, summary, parameters, bodies, responses. What
//! its extractors contribute is added here by rule:
//!
//! | an operation that | also has |
//! | --- | --- |
//! | is under `/v1` | authentication, `Harness-Account`, 401, 403, 500, 503 |
//! | takes a body | 400, 408, 413, 415, 422 |
//! | takes query parameters, `If-Match` or `If-None-Match` | 400 |
//! | takes path parameters | 404, except [`operation::VALIDATE_UNIQUE_IDENTIFIER`] |
//! | is tagged [`tag::DESTINATIONS`] or [`tag::WEBHOOK`] | 404 `feature_disabled` |
//! | describes 412 | `If-Match`, and the `ETag` in its response |
//! | describes 304 | `If-None-Match`, and the `ETag` in its responses |
//! | describes 201 and is not tagged [`tag::ACCESS`] | `ETag` and `Location` |
//! | takes the query parameter `page` | the totals in headers |

use std::collections::{BTreeMap, BTreeSet};

use auditstream_model::Code;
use serde_json::{Map, Value, json};

use super::names::{operation, tag};

pub(super) fn complete(path: &str, operation: &mut Value) {
    let traits = Traits::of(path, operation);
    if traits.is_under_v1 {
        operation["security"] = json!([{"bearer": []}, {"api_key": []}]);
    }
    if traits.takes_body {
        operation["requestBody"]["required"] = true.into();
    }
    if traits.reads_versions {
        operation["responses"]["304"]["description"] = "The client already has this version.".into();
    }
    let parameters = traits.parameters();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    add_refusals(responses, &traits.codes());
    for (status, response) in responses {
        let has_content = response.get("content").is_some();
        for (name, component) in traits.headers(status, has_content) {
            response["headers"][*name] = json!({"$ref": format!("#/components/headers/{component}")});
        }
    }
}

struct Traits {
    id: String,
    tag: String,
    is_under_v1: bool,
    takes_body: bool,
    /// Describes 412.
    changes_versions: bool,
    /// Describes 304.
    reads_versions: bool,
    creates_versions: bool,
    parameters: Vec<Value>,
}

impl Traits {
    fn of(path: &str, operation: &Value) -> Self {
        let describes = |status: &str| operation["responses"].get(status).is_some();
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        Self {
            id: operation["operationId"].as_str().unwrap_or_default().to_owned(),
            tag: tag.to_owned(),
            is_under_v1: path.starts_with("/v1/"),
            takes_body: operation.get("requestBody").is_some(),
            changes_versions: describes("412"),
            reads_versions: describes("304"),
            // Users and tokens have no versions.
            creates_versions: describes("201") && tag != tag::ACCESS,
            parameters: operation["parameters"].as_array().cloned().unwrap_or_default(),
        }
    }

    fn takes_parameter(&self, place: &str) -> bool {
        self.parameters.iter().any(|parameter| parameter["in"] == place)
    }

    fn is_paged(&self) -> bool {
        let mut parameters = self.parameters.iter();
        parameters.any(|parameter| parameter["in"] == "query" && parameter["name"] == "page")
    }

    fn parameters(&self) -> Vec<Value> {
        let added = [
            (self.is_under_v1, "HarnessAccount"),
            (self.changes_versions, "IfMatch"),
            (self.reads_versions, "IfNoneMatch"),
        ];
        let added = added.into_iter().filter(|(applies, _)| *applies);
        let added = added.map(|(_, name)| json!({"$ref": format!("#/components/parameters/{name}")}));
        self.parameters.iter().cloned().chain(added).collect()
    }

    fn codes(&self) -> Vec<Code> {
        let mut codes = Vec::new();
        if self.is_under_v1 {
            codes.extend([
                Code::Unauthenticated,
                Code::Forbidden,
                Code::Internal,
                Code::Unavailable,
            ]);
        }
        if self.takes_body {
            codes.extend([
                Code::MalformedBody,
                Code::RequestTimeout,
                Code::TooLarge,
                Code::UnsupportedMedia,
                Code::InvalidFields,
            ]);
        }
        if self.takes_parameter("query") || self.changes_versions || self.reads_versions {
            codes.push(Code::InvalidParameter);
        }
        if self.takes_parameter("path") && self.id != operation::VALIDATE_UNIQUE_IDENTIFIER {
            codes.push(Code::NotFound);
        }
        if [tag::DESTINATIONS, tag::WEBHOOK].contains(&self.tag.as_str()) {
            codes.push(Code::FeatureDisabled);
        }
        if self.changes_versions {
            codes.push(Code::PreconditionFailed);
        }
        codes
    }

    /// The headers of a response, each with the name of its component.
    fn headers(&self, status: &str, has_content: bool) -> &'static [(&'static str, &'static str)] {
        match status {
            "200" if self.is_paged() => &[
                ("X-Total-Elements", "TotalElements"),
                ("X-Page-Number", "PageNumber"),
                ("X-Page-Size", "PageSize"),
            ],
            "200" if has_content && (self.changes_versions || self.reads_versions) => &[("ETag", "ETag")],
            "201" if self.creates_versions => &[("ETag", "ETag"), ("Location", "Location")],
            "304" => &[("ETag", "ETag")],
            "401" => &[("WWW-Authenticate", "WWWAuthenticate")],
            "415" if self.is_under_v1 => &[("Accept-Encoding", "AcceptEncoding")],
            "503" | "429" => &[("Retry-After", "RetryAfter")],
            _ => &[],
        }
    }
}

fn add_refusals(responses: &mut Map<String, Value>, codes: &[Code]) {
    let mut added: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for code in codes {
        let status = code.status().to_string();
        let described = responses.get(&status).map_or("", description);
        // A handler's description is more specific; 422 for events excludes 422 for fields.
        if described.contains(code.as_str()) || described.contains(Code::InvalidEvents.as_str()) {
            continue;
        }
        let text = format!("`{}`: {}.", code.as_str(), lowercase_first(code.title()));
        added.entry(status).or_default().insert(text);
    }
    for (status, texts) in added {
        let response = responses.entry(status).or_insert_with(|| json!({"description": ""}));
        let described = description(response).to_owned();
        let all = std::iter::once(described).filter(|text| !text.is_empty()).chain(texts);
        response["description"] = all.collect::<Vec<_>>().join(" ").into();
    }
    for (_, response) in responses.iter_mut().filter(|(status, _)| status.as_str() >= "400") {
        response["content"] = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    }
}

fn description(response: &Value) -> &str {
    response["description"].as_str().unwrap_or_default()
}

fn lowercase_first(title: &str) -> String {
    let mut letters = title.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
