//! Options of `auditstream events …`.

use std::path::PathBuf;

use auditstream_model::{AccountName, Condition, EpochMillis, EventFilter, EventKey, Show};
use clap::{Args, Subcommand};

use super::values::{account_name, condition, event_key, moment, show};

/// Commands for audit events.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// List events, newest first, as a table or as JSON.
    List(List),
    /// Print one event as JSON. Exit code 3 if it does not exist.
    Get(Get),
    /// Write all matching events, newest first, one JSON object per line. The trail records the
    /// export.
    Export(Export),
}

/// Options of `events list`.
#[derive(Debug, Args)]
pub struct List {
    /// Events to list.
    #[command(flatten)]
    pub filters: Filters,
    /// Print the events as they are streamed, one JSON object per line.
    #[arg(long)]
    pub json: bool,
    /// Number of events to list at most.
    #[arg(long, value_name = "NUMBER", default_value = "30", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Continue after an earlier list, with the cursor that it printed on standard error.
    #[arg(long)]
    pub cursor: Option<String>,
}

/// Options of `events get`.
#[derive(Debug, Args)]
pub struct Get {
    /// Sequence of the event, or its auditEventId.
    #[arg(value_name = "EVENT_ID|SEQUENCE")]
    pub event: String,
    /// Whether that is a sequence or an id: sequence or id. [default: digits are a sequence, and
    /// any other text is an id]
    #[arg(long, value_name = "KEY", value_parser = event_key)]
    pub by: Option<EventKey>,
    /// Name of the account.
    #[arg(long, default_value = "default", value_parser = account_name)]
    pub account: AccountName,
}

/// Options of `events export`.
#[derive(Debug, Args)]
pub struct Export {
    /// Events to export.
    #[command(flatten)]
    pub filters: Filters,
    /// File to write or replace, once the export is complete. [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The filters of the API's search.
#[derive(Debug, Args)]
pub struct Filters {
    /// Name of the account.
    #[arg(long, default_value = "default", value_parser = account_name)]
    pub account: AccountName,
    /// Kinds of event to include: all, no_login (no sign-ins) or no_system (no principals of type
    /// SYSTEM).
    #[arg(long, value_name = "KIND", default_value = "all", value_parser = show)]
    show: Show,
    /// Earliest time, inclusive: 2026-11-27, 2026-11-27T10:00:00Z, epoch milliseconds, or an age
    /// such as 24h or 7d.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start: Option<EpochMillis>,
    /// Latest time, exclusive. [default: five minutes in the future]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    end: Option<EpochMillis>,
    /// Identifier of the principal.
    #[arg(long)]
    principal: Option<String>,
    /// Action.
    #[arg(long)]
    action: Option<String>,
    /// Module.
    #[arg(long)]
    module: Option<String>,
    /// Type of the resource.
    #[arg(long, value_name = "TYPE")]
    resource_type: Option<String>,
    /// Identifier of the resource.
    #[arg(long)]
    resource: Option<String>,
    /// Organisation.
    #[arg(long)]
    org: Option<String>,
    /// Project.
    #[arg(long)]
    project: Option<String>,
    /// Text that the event contains.
    #[arg(long, short, value_name = "TEXT")]
    q: Option<String>,
    /// Also find the text inside of words, in the whole trail. Slower.
    #[arg(long, requires = "q")]
    parts: bool,
    /// Further condition, as a parameter of the API, such as principal=ann, not_action=LOGIN,
    /// resource_prefix=arn: or ip=10.0.0.0/8. Can be repeated.
    #[arg(long = "where", value_name = "PARAMETER=VALUE", value_parser = condition)]
    conditions: Vec<Condition>,
}

impl Filters {
    /// The filter for the first page.
    #[must_use]
    pub fn filter(&self) -> EventFilter {
        EventFilter {
            show: self.show,
            start: self.start,
            end: self.end,
            principal: self.principal.clone(),
            action: self.action.clone(),
            module: self.module.clone(),
            resource_type: self.resource_type.clone(),
            resource: self.resource.clone(),
            org: self.org.clone(),
            project: self.project.clone(),
            q: self.q.clone(),
            parts: self.parts.then_some(true),
            conditions: self.conditions.clone(),
            limit: None,
            cursor: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::super::CommandLine;
    use super::*;

    #[test]
    fn list_and_export_have_a_flag_for_every_filter_of_the_api() {
        let filter = serde_json::to_value(EventFilter::default()).unwrap();
        let line = CommandLine::command();
        let events = line.find_subcommand("events").unwrap();
        for name in ["list", "export"] {
            let command = events.find_subcommand(name).unwrap();
            for field in filter.as_object().unwrap().keys() {
                let is_flag = command.get_arguments().any(|arg| arg.get_id() == field.as_str());
                let is_page = matches!(field.as_str(), "limit" | "cursor");
                assert!(is_flag || (is_page && name == "export"), "{name}: {field}");
            }
        }
    }
}
