//! `auditstream events list`

use auditstream_engine::{Actor, Engine, trail};
use auditstream_model::limits::MAX_PAGE_ROWS;
use auditstream_model::{AuditEvent, EventPage};

use super::super::output::{Progress, print_block, remark};
use super::table::{Table, shown_time};
use crate::configuration::List;
use crate::fatal::Fatal;

/// Lists events page by page, up to the requested number.
pub(super) async fn run(engine: &Engine, options: List) -> Result<(), Fatal> {
    let actor = Actor::command_line(engine, &options.filters.account).await?;
    let mut filter = options.filters.filter();
    filter.cursor = options.cursor;
    let mut left = options.limit;
    let mut table = (!options.json).then(Table::default);
    let mut progress = Progress::new();
    loop {
        filter.limit = Some(left.min(MAX_PAGE_ROWS));
        let page = trail::search(engine, &actor, &filter).await?;
        left = left.saturating_sub(u32::try_from(page.events.len()).unwrap_or(u32::MAX));
        progress.clear();
        let text = match &mut table {
            Some(table) => table.render(&page.events),
            None => lines(&page.events),
        };
        if !print_block(&text)? {
            return Ok(());
        }
        mention_future(&page);
        let Some(next) = page.next else { return Ok(()) };
        if left == 0 {
            remark(&format!("there may be more events; continue with: --cursor {next}"));
            return Ok(());
        }
        if let Some(until) = page.searched_until {
            progress.show(|| format!("searched until {}", shown_time(until)));
        }
        filter.cursor = Some(next);
    }
}

/// The events as they are streamed, one per line.
pub(super) fn lines(events: &[AuditEvent]) -> String {
    let mut lines = String::with_capacity(events.iter().map(|event| event.json.len() + 1).sum());
    for event in events {
        lines.push_str(&event.json);
        lines.push('\n');
    }
    lines
}

fn mention_future(page: &EventPage) {
    if let Some(events) = page.in_future.filter(|events| *events > 0) {
        remark(&format!(
            "left out {events} event(s) that are dated in the future; list them with --end"
        ));
    }
}
