//! An export of the trail: all matching events, page by page.

use auditstream_model::{AuditEvent, EventFilter, Permission};

use super::readers::{record_export, record_exported};
use super::search::export_page;
use crate::database::now;
use crate::error::Result;
use crate::{Actor, Engine};

/// An export in progress. It is an audit event when it begins, and another one, with the number of
/// its events, when it ends: complete, or not when it is dropped before.
#[derive(Debug)]
pub struct Export {
    engine: Engine,
    actor: Actor,
    filter: EventFilter,
    events: u64,
    /// Whether the last page was returned.
    is_read: bool,
    /// Whether the end was recorded.
    is_recorded: bool,
}

impl Export {
    /// Begins an export of the events that match now. `limit` and `cursor` are ignored.
    pub async fn begin(engine: &Engine, actor: &Actor, filter: EventFilter) -> Result<Self> {
        actor.require(Permission::ViewAudit)?;
        let filter = EventFilter {
            end: Some(filter.end_at(now())),
            limit: None,
            cursor: None,
            ..filter
        };
        filter.validate()?;
        record_export(engine, actor, &filter).await?;
        Ok(Self {
            engine: engine.clone(),
            actor: actor.clone(),
            filter,
            events: 0,
            is_read: false,
            is_recorded: false,
        })
    }

    /// Returns the next events, newest first, none if the page has none, or `None` at the end. The
    /// export is recorded as complete by the call that returns `None`: its caller has written the
    /// last page then.
    pub async fn next_page(&mut self) -> Result<Option<Vec<AuditEvent>>> {
        if self.is_recorded {
            return Ok(None);
        }
        if self.is_read {
            record_exported(&self.engine, &self.actor, &self.filter, self.events, true).await?;
            self.is_recorded = true;
            return Ok(None);
        }
        let page = export_page(&self.engine, &self.actor, &self.filter).await?;
        self.events += page.events.len() as u64;
        match page.next {
            Some(next) => self.filter.cursor = Some(next),
            None => self.is_read = true,
        }
        Ok(Some(page.events))
    }

    /// Ends an export that is not complete. When this returns, that is recorded.
    pub async fn stop(mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_recorded, true) {
            return Ok(());
        }
        record_exported(&self.engine, &self.actor, &self.filter, self.events, false).await
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        if std::mem::replace(&mut self.is_recorded, true) {
            return;
        }
        // Without a runtime the process is ending.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (engine, actor, filter, events) = (
            self.engine.clone(),
            self.actor.clone(),
            self.filter.clone(),
            self.events,
        );
        runtime.spawn(async move {
            if let Err(error) = record_exported(&engine, &actor, &filter, events, false).await {
                tracing::error!(%error, events, "the end of an export could not be recorded");
            }
        });
    }
}
