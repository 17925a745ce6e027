//! Building HTML from text and simple Markdown.

use std::fmt::Write as _;

#[derive(Debug, Default)]
pub(super) struct Html(pub(super) String);

impl Html {
    pub(super) fn put(&mut self, markup: &str) {
        self.0.push_str(markup);
    }

    pub(super) fn prose(&mut self, markdown: &str) {
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

pub(super) fn anchor(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

/// Lets long paths wrap at their slashes on narrow screens.
pub(super) fn path_with_breaks(path: &str) -> String {
    escaped(path).replace('/', "<wbr>/")
}

pub(super) fn escaped(text: &str) -> String {
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
