//! The OpenAPI document as a page of plain HTML, without scripts, inline styles or foreign
//! resources.

mod markup;
mod schemas;
mod value;

use std::fmt::Write as _;

use auditstream_app::ICON;
use serde_json::Value;

use markup::{Html, anchor, escaped, path_with_breaks};
use value::{list, members, text};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
const TOP: &str = "<!DOCTYPE html>\n<html lang=\"en\" data-theme=\"";

/// The page without its theme.
#[derive(Debug)]
pub struct Page(String);

impl Page {
    /// Renders a document.
    #[must_use]
    pub fn of(document: &Value) -> Self {
        let mut writer = Writer {
            document,
            html: Html::default(),
        };
        writer.write();
        Self(writer.html.0)
    }

    /// The complete page in the theme `system`, `light` or `dark`.
    #[must_use]
    pub fn in_theme(&self, theme: &str) -> String {
        format!("{TOP}{}{}", escaped(theme), self.0)
    }
}

struct Writer<'a> {
    document: &'a Value,
    html: Html,
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
        self.html.put(
            "\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"same-origin\">",
        );
        self.html
            .put(&format!("<title>API reference · {}</title>", escaped(title)));
        self.html.put(&format!("<link rel=\"icon\" href=\"{ICON}\">"));
        self.html.put(
            "<link rel=\"stylesheet\" href=\"/pkg/auditstream.css\"><link rel=\"stylesheet\" href=\"/docs/api.css\"></head>\n\
             <body class=\"reference\"><a class=\"skip\" href=\"#content\">Skip to content</a>",
        );
        self.contents();
        self.html.put("<main id=\"content\" tabindex=\"-1\">");
        self.html.put(&format!(
            "<header><h1>{} API</h1><p class=\"version\">Version {} · <a href=\"/openapi.json\">openapi.json</a> · <a href=\"/\">Console</a></p></header>",
            escaped(title),
            escaped(version)
        ));
        self.html.prose(text(&info["description"]));
        for tag in list(&self.document["tags"]) {
            let name = text(&tag["name"]);
            self.html
                .put(&format!("<section><h2 id=\"{}\">{}</h2>", anchor(name), escaped(name)));
            self.html.prose(text(&tag["description"]));
            for operation in operations(self.document).filter(|operation| operation.value["tags"][0] == name) {
                self.operation(&operation);
            }
            self.html.put("</section>");
        }
        self.html.put("<section><h2 id=\"schemas\">Schemas</h2>");
        for (name, schema) in members(&self.document["components"]["schemas"]) {
            self.html.put(&format!(
                "<article class=\"schema\" id=\"schema-{0}\"><h3>{0}</h3>",
                escaped(name)
            ));
            schemas::schema(&mut self.html, schema);
            self.html.put("</article>");
        }
        self.html.put("</section></main></body>\n</html>\n");
    }

    fn contents(&mut self) {
        self.html
            .put("<nav aria-label=\"Contents\"><details open><summary>Contents</summary><ul>");
        for tag in list(&self.document["tags"]) {
            let name = text(&tag["name"]);
            self.html
                .put(&format!("<li><a href=\"#{}\">{}</a><ul>", anchor(name), escaped(name)));
            for operation in operations(self.document).filter(|operation| operation.value["tags"][0] == name) {
                let summary = escaped(text(&operation.value["summary"]));
                self.html.put(&format!(
                    "<li><a href=\"#{}\">{summary}</a></li>",
                    escaped(operation.id)
                ));
            }
            self.html.put("</ul></li>");
        }
        self.html
            .put("<li><a href=\"#schemas\">Schemas</a></li></ul></details></nav>");
    }

    fn operation(&mut self, operation: &Operation<'a>) {
        let Operation {
            method,
            path,
            id,
            value,
        } = operation;
        self.html.put(&format!(
            "<article class=\"operation\" id=\"{}\"><h3>{}</h3>",
            escaped(id),
            escaped(text(&value["summary"]))
        ));
        self.html.put(&format!(
            "<p class=\"call\"><span class=\"method {method}\">{}</span> <code>{}</code></p>",
            method.to_uppercase(),
            path_with_breaks(path)
        ));
        self.html.prose(text(&value["description"]));
        let parameters: Vec<&Value> = list(&value["parameters"]).map(|one| self.resolved(one)).collect();
        if !parameters.is_empty() {
            self.html.put("<h4>Parameters</h4><dl>");
            for parameter in parameters {
                let required = parameter["required"] == true;
                schemas::term(
                    &mut self.html,
                    text(&parameter["name"]),
                    required,
                    &format!("in {}", text(&parameter["in"])),
                );
                self.html.put("<dd>");
                self.html.prose(text(&parameter["description"]));
                self.html.put(&format!(
                    "<p class=\"type\">{}</p></dd>",
                    schemas::type_of(&parameter["schema"])
                ));
            }
            self.html.put("</dl>");
        }
        if let Some(body) = value.get("requestBody") {
            self.html.put("<h4>Body</h4>");
            self.html.prose(text(&body["description"]));
            schemas::contents(&mut self.html, &body["content"]);
        }
        self.html.put("<h4>Responses</h4><dl class=\"responses\">");
        for (status, answer) in members(&value["responses"]) {
            self.html.put(&format!("<dt><code>{}</code></dt><dd>", escaped(status)));
            self.html.prose(text(&answer["description"]));
            schemas::contents(&mut self.html, &answer["content"]);
            let headers: Vec<String> = members(&answer["headers"])
                .map(|(name, _)| format!("<code>{}</code>", escaped(name)))
                .collect();
            if !headers.is_empty() {
                self.html
                    .put(&format!("<p class=\"type\">Headers {}</p>", headers.join(", ")));
            }
            self.html.put("</dd>");
        }
        self.html.put("</dl><h4>Example</h4>");
        self.html.put(&format!(
            "<pre tabindex=\"0\"><code>{}</code></pre></article>",
            escaped(&self.curl(operation))
        ));
    }

    fn resolved(&self, parameter: &'a Value) -> &'a Value {
        let place = parameter["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
        place
            .and_then(|place| self.document.pointer(place))
            .unwrap_or(parameter)
    }

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
