//! Schemas as HTML.

use std::fmt::Write as _;

use serde_json::Value;

use super::markup::{Html, escaped};
use super::value::{list, members, text};

pub(super) fn schema(html: &mut Html, schema: &Value) {
    html.prose(text(&schema["description"]));
    for alternatives in ["oneOf", "anyOf"] {
        for (number, one) in list(&schema[alternatives]).enumerate() {
            html.put(&format!("<p class=\"alternative\">Form {}</p>", number + 1));
            if one.get("$ref").is_none() {
                html.prose(text(&one["description"]));
            }
            if one.get("properties").is_some() {
                properties(html, one);
            } else {
                html.put(&format!("<p class=\"type\">{}</p>", type_of(one)));
            }
        }
    }
    if schema.get("properties").is_some() {
        properties(html, schema);
    } else if schema.get("oneOf").is_none() {
        html.put(&format!("<p class=\"type\">{}</p>", type_of(schema)));
    }
}

fn properties(html: &mut Html, schema: &Value) {
    html.put("<dl>");
    for (name, property) in members(&schema["properties"]) {
        let required = list(&schema["required"]).any(|one| one == name);
        term(html, name, required, "");
        html.put("<dd>");
        html.prose(text(&property["description"]));
        if property.get("properties").is_some() {
            properties(html, property);
        } else {
            html.put(&format!("<p class=\"type\">{}</p>", type_of(property)));
        }
        html.put("</dd>");
    }
    html.put("</dl>");
}

pub(super) fn term(html: &mut Html, name: &str, required: bool, place: &str) {
    let required = if required {
        "<span class=\"required\">required</span>"
    } else {
        ""
    };
    html.put(&format!(
        "<dt><code>{}</code> <span class=\"place\">{}</span>{required}</dt>",
        escaped(name),
        escaped(place)
    ));
}

pub(super) fn type_of(schema: &Value) -> String {
    if let Some(name) = reference(schema) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", escaped(name));
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values
            .iter()
            .map(|value| format!("<code>{}</code>", escaped(text(value))))
            .collect();
        return values.join(" or ");
    }
    for alternatives in ["oneOf", "anyOf"] {
        if let Some(types) = schema.get(alternatives).and_then(Value::as_array) {
            return types.iter().map(type_of).collect::<Vec<_>>().join(" or ");
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect(),
        one => vec![text(one)],
    };
    let mut shown = types.join(" or ");
    if let Some(items) = schema.get("items") {
        shown = format!("{shown} of {}", type_of(items));
    }
    for (key, label) in [
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("minLength", "minimum length"),
        ("maxLength", "maximum length"),
        ("maxItems", "maximum number of items"),
        ("maxProperties", "maximum number of fields"),
        ("default", "default"),
        ("pattern", "pattern"),
    ] {
        // The bounds of 64-bit integers are not worth showing.
        let value = schema
            .get(key)
            .filter(|value| !matches!(value.as_i64(), Some(i64::MIN | i64::MAX)));
        if let Some(value) = value {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = write!(shown, ", {label} <code>{}</code>", escaped(&value));
        }
    }
    shown
}

pub(super) fn contents(html: &mut Html, content: &Value) {
    for (media_type, body) in members(content) {
        html.put(&format!(
            "<p class=\"type\"><code>{}</code> {}</p>",
            escaped(media_type),
            type_of(&body["schema"])
        ));
    }
}

fn reference(schema: &Value) -> Option<&str> {
    text(&schema["$ref"]).strip_prefix("#/components/schemas/")
}
