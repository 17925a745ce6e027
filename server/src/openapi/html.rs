//! The OpenAPI document as a page of plain HTML, without scripts, inline styles or foreign
//! resources.

use std::fmt::Write as _;

use auditstream_app::ICON;
use serde_json::{Map, Value};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
/// The start of the page; its theme follows.
const TOP: &str = "<!DOCTYPE html>\n<html lang=\"en\" data-theme=\"";

/// The page without its theme.
#[derive(Debug)]
pub struct Page(String);

impl Page {
    /// Renders a document.
    #[must_use]
    pub fn of(document: &Value) -> Self {
        let mut page = Writer {
            document,
            out: String::with_capacity(256 << 10),
        };
        page.write();
        Self(page.out)
    }

    /// The complete page in the theme `system`, `light` or `dark`.
    #[must_use]
    pub fn in_theme(&self, theme: &str) -> String {
        format!("{TOP}{}{}", escaped(theme), self.0)
    }
}

struct Writer<'a> {
    document: &'a Value,
    out: String,
}

struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    id: &'a str,
    value: &'a Value,
}

impl<'a> Writer<'a> {
    fn write(&mut self) {
        let info = &self.document["info"];
        let (title, version) = (text(&info["title"]), text(&info["version"]));
        self.put(
            "\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"same-origin\">",
        );
        self.put(&format!("<title>API reference · {}</title>", escaped(title)));
        self.put(&format!("<link rel=\"icon\" href=\"{ICON}\">"));
        self.put(
            "<link rel=\"stylesheet\" href=\"/pkg/auditstream.css\"><link rel=\"stylesheet\" href=\"/docs/api.css\"></head>\n\
             <body class=\"reference\"><a class=\"skip\" href=\"#content\">Skip to content</a>",
        );
        self.contents();
        self.put("<main id=\"content\" tabindex=\"-1\">");
        self.put(&format!(
            "<header><h1>{} API</h1><p class=\"version\">Version {} · <a href=\"/openapi.json\">openapi.json</a> · <a href=\"/\">Console</a></p></header>",
            escaped(title),
            escaped(version)
        ));
        self.prose(text(&info["description"]));
        for tag in list(&self.document["tags"]) {
            let name = text(&tag["name"]);
            self.put(&format!("<section><h2 id=\"{}\">{}</h2>", anchor(name), escaped(name)));
            self.prose(text(&tag["description"]));
            for operation in operations(self.document).filter(|operation| operation.value["tags"][0] == name) {
                self.operation(&operation);
            }
            self.put("</section>");
        }
        self.put("<section><h2 id=\"schemas\">Schemas</h2>");
        for (name, schema) in members(&self.document["components"]["schemas"]) {
            self.put(&format!(
                "<article class=\"schema\" id=\"schema-{0}\"><h3>{0}</h3>",
                escaped(name)
            ));
            self.schema(schema);
            self.put("</article>");
        }
        self.put("</section></main></body>\n</html>\n");
    }

    fn contents(&mut self) {
        self.put("<nav aria-label=\"Contents\"><details open><summary>Contents</summary><ul>");
        for tag in list(&self.document["tags"]) {
            let name = text(&tag["name"]);
            self.put(&format!("<li><a href=\"#{}\">{}</a><ul>", anchor(name), escaped(name)));
            for operation in operations(self.document).filter(|operation| operation.value["tags"][0] == name) {
                let summary = escaped(text(&operation.value["summary"]));
                self.put(&format!(
                    "<li><a href=\"#{}\">{summary}</a></li>",
                    escaped(operation.id)
                ));
            }
            self.put("</ul></li>");
        }
        self.put("<li><a href=\"#schemas\">Schemas</a></li></ul></details></nav>");
    }

    fn operation(&mut self, operation: &Operation<'a>) {
        let Operation {
            method,
            path,
            id,
            value,
        } = operation;
        self.put(&format!(
            "<article class=\"operation\" id=\"{}\"><h3>{}</h3>",
            escaped(id),
            escaped(text(&value["summary"]))
        ));
        self.put(&format!(
            "<p class=\"call\"><span class=\"method {method}\">{}</span> <code>{}</code></p>",
            method.to_uppercase(),
            path_with_breaks(path)
        ));
        self.prose(text(&value["description"]));
        let parameters: Vec<&Value> = list(&value["parameters"]).map(|one| self.resolved(one)).collect();
        if !parameters.is_empty() {
            self.put("<h4>Parameters</h4><dl>");
            for parameter in parameters {
                let required = parameter["required"] == true;
                self.term(
                    text(&parameter["name"]),
                    required,
                    &format!("in {}", text(&parameter["in"])),
                );
                self.put("<dd>");
                self.prose(text(&parameter["description"]));
                self.put(&format!(
                    "<p class=\"type\">{}</p></dd>",
                    self.kind(&parameter["schema"])
                ));
            }
            self.put("</dl>");
        }
        if let Some(body) = value.get("requestBody") {
            self.put("<h4>Body</h4>");
            self.prose(text(&body["description"]));
            self.contents_of(&body["content"]);
        }
        self.put("<h4>Responses</h4><dl class=\"responses\">");
        for (status, answer) in members(&value["responses"]) {
            self.put(&format!("<dt><code>{}</code></dt><dd>", escaped(status)));
            self.prose(text(&answer["description"]));
            self.contents_of(&answer["content"]);
            let headers: Vec<String> = members(&answer["headers"])
                .map(|(name, _)| format!("<code>{}</code>", escaped(name)))
                .collect();
            if !headers.is_empty() {
                self.put(&format!("<p class=\"type\">Headers {}</p>", headers.join(", ")));
            }
            self.put("</dd>");
        }
        self.put("</dl><h4>Example</h4>");
        self.put(&format!(
            "<pre tabindex=\"0\"><code>{}</code></pre></article>",
            escaped(&self.curl(operation))
        ));
    }

    fn contents_of(&mut self, content: &Value) {
        for (kind, body) in members(content) {
            self.put(&format!(
                "<p class=\"type\"><code>{}</code> {}</p>",
                escaped(kind),
                self.kind(&body["schema"])
            ));
        }
    }

    fn schema(&mut self, schema: &Value) {
        self.prose(text(&schema["description"]));
        for alternatives in ["oneOf", "anyOf"] {
            for (number, one) in list(&schema[alternatives]).enumerate() {
                self.put(&format!("<p class=\"alternative\">Form {}</p>", number + 1));
                if one.get("$ref").is_none() {
                    self.prose(text(&one["description"]));
                }
                if one.get("properties").is_some() {
                    self.properties(one);
                } else {
                    self.put(&format!("<p class=\"type\">{}</p>", self.kind(one)));
                }
            }
        }
        if schema.get("properties").is_some() {
            self.properties(schema);
        } else if schema.get("oneOf").is_none() {
            self.put(&format!("<p class=\"type\">{}</p>", self.kind(schema)));
        }
    }

    fn properties(&mut self, schema: &Value) {
        self.put("<dl>");
        for (name, property) in members(&schema["properties"]) {
            let required = list(&schema["required"]).any(|one| one == name);
            self.term(name, required, "");
            self.put("<dd>");
            self.prose(text(&property["description"]));
            if property.get("properties").is_some() {
                self.properties(property);
            } else {
                self.put(&format!("<p class=\"type\">{}</p>", self.kind(property)));
            }
            self.put("</dd>");
        }
        self.put("</dl>");
    }

    fn term(&mut self, name: &str, required: bool, place: &str) {
        let required = if required {
            "<span class=\"required\">required</span>"
        } else {
            ""
        };
        self.put(&format!(
            "<dt><code>{}</code> <span class=\"place\">{}</span>{required}</dt>",
            escaped(name),
            escaped(place)
        ));
    }

    /// The type of a value and its limits, on one line.
    fn kind(&self, schema: &Value) -> String {
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
            if let Some(kinds) = schema.get(alternatives).and_then(Value::as_array) {
                return kinds.iter().map(|one| self.kind(one)).collect::<Vec<_>>().join(" or ");
            }
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::Array(types) => types.iter().map(text).collect(),
            one => vec![text(one)],
        };
        let mut shown = types.join(" or ");
        if let Some(items) = schema.get("items") {
            shown = format!("{shown} of {}", self.kind(items));
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

    fn resolved(&self, parameter: &'a Value) -> &'a Value {
        let place = parameter["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
        place
            .and_then(|place| self.document.pointer(place))
            .unwrap_or(parameter)
    }

    /// A curl command; the reader replaces `HOST` and sets `TOKEN`.
    fn curl(&self, operation: &Operation<'_>) -> String {
        let mut call = String::from("curl --fail-with-body");
        if operation.method != "get" {
            let _ = write!(call, " -X {}", operation.method.to_uppercase());
        }
        let path = operation.path.replace("{id}", "siem").replace("{number}", "1");
        let _ = write!(call, " \"https://HOST{path}\"");
        if operation.path.starts_with("/v1/") {
            call.push_str(" \\\n  -H \"Authorization: Bearer $TOKEN\"");
        }
        if let Some(body) = operation.value.pointer("/requestBody/content/application~1json") {
            call.push_str(" \\\n  -H \"Content-Type: application/json\" \\\n  -d '");
            call.push_str(&format!("{:#}", body["example"]).replace('\'', "'\\''"));
            call.push('\'');
        }
        call
    }

    /// Paragraphs with `code` and [links](…).
    fn prose(&mut self, markdown: &str) {
        for paragraph in markdown.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
            let mut line = String::new();
            for (number, part) in paragraph.split('`').enumerate() {
                if number % 2 == 1 {
                    let _ = write!(line, "<code>{}</code>", escaped(part));
                } else {
                    line.push_str(&linked(part));
                }
            }
            self.put(&format!("<p>{line}</p>"));
        }
    }

    fn put(&mut self, html: &str) {
        self.out.push_str(html);
    }
}

/// Turns `[label](address)` into links if the address is a path of this server.
fn linked(markdown: &str) -> String {
    let Some((before, rest)) = markdown.split_once('[') else {
        return escaped(markdown);
    };
    let link = rest.split_once("](").and_then(|(label, rest)| {
        let (address, after) = rest.split_once(')')?;
        let is_local = address.starts_with('/') && !address.starts_with("//");
        is_local.then_some((label, address, after))
    });
    let (link, after) = match link {
        Some((label, address, after)) => {
            let link = format!("<a href=\"{}\">{}</a>", escaped(address), escaped(label));
            (link, after)
        }
        None => ("[".to_owned(), rest),
    };
    format!("{}{link}{}", escaped(before), linked(after))
}

fn operations(document: &Value) -> impl Iterator<Item = Operation<'_>> {
    members(&document["paths"]).flat_map(|(path, item)| {
        METHODS.into_iter().filter_map(move |method| {
            let value = item.get(method)?;
            let id = text(&value["operationId"]);
            Some(Operation {
                method,
                path,
                id,
                value,
            })
        })
    })
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().into_iter().flat_map(Map::iter);
    members.map(|(name, member)| (name.as_str(), member))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn reference(schema: &Value) -> Option<&str> {
    text(&schema["$ref"]).strip_prefix("#/components/schemas/")
}

fn anchor(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

/// Lets long paths wrap at their slashes on narrow screens.
fn path_with_breaks(path: &str) -> String {
    escaped(path).replace('/', "<wbr>/")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_document_is_escaped() {
        let hostile = "<script>'\"&`<b>`[x](javascript:1)[y](/ok)";
        let page = Page::of(&serde_json::json!({
            "info": {"title": hostile, "version": hostile, "description": hostile},
            "tags": [{"name": "T", "description": hostile}],
            "paths": {"/v1/<i>": {"get": {"operationId": "a\"b", "summary": hostile, "tags": ["T"],
                "parameters": [{"name": hostile, "in": "query", "schema": {"pattern": hostile}}],
                "responses": {"200": {"description": hostile}}}}},
        }))
        .in_theme("\"><script>");
        for mark in ["<script", "<b>", "<i>", "href=\"javascript"] {
            assert!(!page.contains(mark), "{mark}");
        }
        assert!(page.contains("<a href=\"/ok\">y</a>"));
    }
}
