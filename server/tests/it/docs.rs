//! `docs/configuration.md` and `docs/auditstream.env.example` are rendered from the command line's
//! definitions. After a change of flags or help texts, rewrite both:
//!
//! ```text
//! AUDITSTREAM_WRITE_DOCS=1 cargo test --package auditstream-server --test it docs::
//! ```

use std::fmt::Write as _;
use std::path::PathBuf;

use auditstream_server::configuration::CommandLine;
use clap::{Arg, Command, CommandFactory as _};

const REWRITE: &str = "AUDITSTREAM_WRITE_DOCS";

const INTRODUCTION: &str = "\
# Configuration

<!-- Rendered from the command line's definitions. To rewrite it:
     AUDITSTREAM_WRITE_DOCS=1 cargo test --package auditstream-server --test it docs:: -->

Each setting is an environment variable and a flag; the flag takes precedence. A variable that is empty or blank
counts as not set. Durations are a number and a unit: `10s`, `5m`, `1h`, `730d`. [auditstream.env.example](auditstream.env.example) lists all settings of a server, ready to be copied.
";

const OTHER_VARIABLES: &str = "
## Other variables

### `AUDITSTREAM_PASSWORD`

The password for `auditstream user create` and `auditstream user reset-password`. Without it, both commands ask for one
on the terminal.

### `RUST_LOG`

Filters the log on standard error. Default: `info`. Levels are `error`, `warn`, `info`, `debug` and `trace`, for
everything or for single modules: `warn,auditstream_engine=debug`.

### `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`

The proxy through which AWS and other stores are reached.

### `AWS_…`

A connector that signs in with the host's identity uses the AWS SDK's default chain: its variables, its configuration
files, and the identity of the instance, container or pod.
";

const EXAMPLE_HEADER: &str = "\
# Settings of `auditstream serve`, each with its default. Uncomment the ones that you change.
# For systemd: EnvironmentFile=/etc/auditstream.env
";

/// A setting as the documentation shows it.
struct Setting {
    variable: Option<String>,
    /// Empty for a positional argument.
    flag: String,
    /// The name of its value; empty for a switch.
    value: String,
    default: Option<String>,
    help: String,
    /// Whether the environment, such as Kubernetes, sets it.
    is_hidden: bool,
}

impl Setting {
    fn of(arg: &Arg) -> Self {
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string);
        let (help, stated_default) = split_default(&help.unwrap_or_default());
        let defaults = arg.get_default_values().iter();
        let declared_default = defaults.map(|value| format!("`{}`", value.to_string_lossy())).next();
        let name = arg.get_value_names().and_then(|names| names.first());
        Self {
            variable: arg.get_env().map(|name| name.to_string_lossy().into_owned()),
            flag: arg.get_long().map(|long| format!("--{long}")).unwrap_or_default(),
            value: match name {
                Some(name) if arg.get_action().takes_values() => name.to_string(),
                _ => String::new(),
            },
            default: declared_default.or(stated_default),
            help,
            is_hidden: arg.is_hide_set(),
        }
    }

    fn usage(&self) -> String {
        match (self.flag.as_str(), self.value.as_str()) {
            ("", value) => format!("`<{value}>`"),
            (flag, "") => format!("`{flag}`"),
            (flag, value) => format!("`{flag} <{value}>`"),
        }
    }
}

/// Separates a trailing `[default: …]` from a help text, and adds the full stop that clap removes.
fn split_default(help: &str) -> (String, Option<String>) {
    let sentence = |text: &str| {
        let text = text.trim().trim_end_matches('.');
        format!("{text}.")
    };
    match help.strip_suffix(']').and_then(|text| text.split_once("[default")) {
        Some((text, default)) => {
            let default = default.strip_prefix(": ").unwrap_or(default).trim();
            (sentence(text), Some(default.to_owned()))
        }
        None => (sentence(help), None),
    }
}

/// The settings of one command, without `--help` and those that it inherits.
fn settings(command: &Command) -> Vec<Setting> {
    let own = command
        .get_arguments()
        .filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version"));
    own.map(Setting::of).collect()
}

/// All commands that do something, with their full names.
fn commands(command: &Command, prefix: &str) -> Vec<(String, Command)> {
    let mut found = Vec::new();
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let name = format!("{prefix} {}", sub.get_name());
        if sub.has_subcommands() {
            found.extend(commands(sub, &name));
        } else {
            found.push((name, sub.clone()));
        }
    }
    found
}

fn describe(text: &mut String, setting: &Setting) {
    let default = setting
        .default
        .as_deref()
        .map(|default| format!(" Default: {default}."));
    let default = default.unwrap_or_default();
    let usage = setting.usage();
    if let Some(variable) = &setting.variable {
        let help = wrap(&setting.help, 118).join("\n");
        let _ = writeln!(text, "\n### `{variable}`\n\nFlag {usage}.{default}\n\n{help}");
    } else {
        let _ = writeln!(text, "- {usage}: {}{default}", setting.help);
    }
}

fn configuration() -> String {
    let root = CommandLine::command();
    let mut text = INTRODUCTION.to_owned();
    text.push_str("\n## Settings of every command\n");
    settings(&root).iter().for_each(|setting| describe(&mut text, setting));
    for (name, command) in commands(&root, "auditstream") {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let about = wrap(&format!("{}.", about.trim_end_matches('.')), 118).join("\n");
        let _ = writeln!(text, "\n## `{name}`\n\n{about}");
        let (named, unnamed): (Vec<_>, Vec<_>) = settings(&command)
            .into_iter()
            .partition(|setting| setting.variable.is_some());
        if !unnamed.is_empty() {
            text.push('\n');
        }
        unnamed
            .iter()
            .chain(&named)
            .for_each(|setting| describe(&mut text, setting));
    }
    text.push_str(OTHER_VARIABLES);
    text
}

fn example() -> String {
    let root = CommandLine::command();
    let mut text = EXAMPLE_HEADER.to_owned();
    let serve = root.find_subcommand("serve").expect("a command `serve`");
    let shown = settings(serve).into_iter().chain(settings(&root));
    for setting in shown.filter(|setting| !setting.is_hidden) {
        let Some(variable) = &setting.variable else { continue };
        text.push('\n');
        for line in wrap(&setting.help, 98) {
            let _ = writeln!(text, "# {line}");
        }
        let value = match &setting.default {
            Some(default) if default.starts_with('`') => default.trim_matches('`'),
            Some(default) => {
                let _ = writeln!(text, "# Default: {default}");
                &setting.value
            }
            None => &setting.value,
        };
        let _ = writeln!(text, "#{variable}={value}");
    }
    text
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Compares a document with its rendering, or rewrites it.
fn check(name: &str, rendered: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&file, rendered).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == rendered,
        "docs/{name} differs from the command line: run this test with {REWRITE}=1"
    );
}

#[test]
fn the_configuration_page_matches_the_command_line() {
    check("configuration.md", &configuration());
}

#[test]
fn the_example_file_matches_the_command_line() {
    check("auditstream.env.example", &example());
}
