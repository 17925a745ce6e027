//! One pass over one destination: batch after batch, up to the last event that the trail had when
//! the pass began.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use auditstream_model::{Code, FailureCode, Sequence};
use futures::FutureExt as _;
use tokio::sync::watch;

use super::content;
use super::deliver::Ready;
use super::failure::DeliveryFailure;
use super::freeze;
use super::lease::{Due, Lease, Replica};
use super::line::Line;
use super::objects::Object;
use super::outcome;
use super::pass::{Next, Pass, still_ours};
use super::run_slots::RunSlot;
use super::wanted::{Form, Wanted};
use crate::destinations::rows::DestinationRow;
use crate::error::{Error, Result};
use crate::trail::gaps::next_gap;
use crate::{Engine, continuity};

const REST_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Whether the lease is still to be released.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Leased,
    Released,
}

/// Does nothing if another server claims the destination first.
pub(super) async fn run(
    engine: &Engine,
    replica: Replica,
    due: Due,
    mut slot: RunSlot,
    stopping: watch::Receiver<bool>,
) {
    let destination_id = due.destination_id;
    if let Err(error) = claim_and_pass(engine, replica, due, &mut slot, stopping).await {
        tracing::error!(destination_id, %error, "a run ended with an error");
        tokio::time::sleep(REST_AFTER_ERROR).await;
    }
}

async fn claim_and_pass(
    engine: &Engine,
    replica: Replica,
    due: Due,
    slot: &mut RunSlot,
    stopping: watch::Receiver<bool>,
) -> Result<()> {
    let Some(lease) = replica.claim(engine.database(), due.destination_id).await? else {
        return Ok(());
    };
    engine.metrics().run(due.abandoned);
    let stopped = stopping.clone();
    let pass = Pass {
        engine,
        lease,
        slot,
        stopping,
        ahead: None,
    };
    let passed = match AssertUnwindSafe(pass.run()).catch_unwind().await {
        Ok(passed) => passed,
        Err(panic) => panicked(engine, lease, &panic_message(panic))
            .await
            .map(|()| Ended::Leased),
    };
    // A run that was interrupted by the database or by a stop keeps its lease, which makes it due
    // again immediately: here once the database responds, elsewhere once this server is gone.
    match passed {
        Ok(Ended::Released) | Err(Error::Database(_) | Error::InDoubt(_)) => {}
        // Numbering is closed, or the database is busy.
        Err(Error::Refused(ref problem)) if problem.code == Code::Unavailable => {}
        _ if *stopped.borrow() => {}
        _ => replica.release(engine.database(), lease).await?,
    }
    passed.map(drop)
}

fn panic_message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other
            .downcast::<&str>()
            .map_or_else(|_| String::from("without a message"), |text| (*text).to_owned()),
    }
}

/// Records a panic as a failed run, so that it is visible, and retried at the next tick rather than
/// immediately.
async fn panicked(engine: &Engine, lease: Lease, message: &str) -> Result<()> {
    tracing::error!(destination_id = lease.destination_id, message, "a run panicked");
    let Some(row) = still_ours(engine, lease).await? else {
        return Ok(());
    };
    let batch = freeze::open_batch(engine, row.id).await?;
    let failure = DeliveryFailure::new(
        FailureCode::Internal,
        "An internal error occurred on this server while it was streaming.",
        "The server's log has the details. It is retried at the next tick.",
    );
    outcome::failed(engine, &row, batch.as_ref(), &failure).await
}

impl Pass<'_> {
    async fn run(mut self) -> Result<Ended> {
        let Some(first) = still_ours(self.engine, self.lease).await? else {
            return Ok(Ended::Leased);
        };
        let ends = self.slot.ends();
        self.lease.up_to = ends.of(self.engine.database(), first.account_id, self.lease).await?;
        // The first batch reports an unreadable spec.
        let form = first.spec.get().ok().map(|spec| Form::of(first.account_id, spec));
        let _member = form.map(|form| self.slot.objects().join(form));
        loop {
            let Some(row) = still_ours(self.engine, self.lease).await? else {
                return Ok(Ended::Leased);
            };
            match self.step(&row).await {
                Ok(Next::Batch) => {}
                Ok(Next::Stop) => return Ok(Ended::Leased),
                Ok(Next::Ended) => return Ok(Ended::Released),
                Err(error @ (Error::Broken(_) | Error::Stored(_))) => {
                    let failure = DeliveryFailure::blocked(
                        FailureCode::CannotBuild,
                        error.to_string(),
                        "See the server's log; if data is missing, restore the database from a backup.",
                    );
                    outcome::failed(self.engine, &row, None, &failure).await?;
                    return Ok(Ended::Leased);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends the open batch, or the next one.
    async fn step(&mut self, row: &DestinationRow) -> Result<Next> {
        let Some(cursor) = row.cursor.filter(|_| !*self.stopping.borrow()) else {
            return Ok(Next::Stop);
        };
        match freeze::open_batch(self.engine, row.id).await? {
            None if cursor >= self.lease.up_to => {
                let ended = outcome::caught_up(self.engine, self.lease, row).await?;
                Ok(if ended { Next::Ended } else { Next::Stop })
            }
            _ if !continuity::bucket::confirms(self.engine, row).await? => Ok(Next::Stop),
            Some(batch) => self.deliver(Ready::open(batch)).await,
            None => self.advance(row, cursor).await,
        }
    }

    /// Freezes and sends the batch after the cursor, which ends before a declared gap, or passes
    /// the gap.
    async fn advance(&mut self, row: &DestinationRow, cursor: Sequence) -> Result<Next> {
        let up_to = match next_gap(self.engine, row.account_id, cursor).await? {
            Some(gap) if gap.first <= cursor + 1 => {
                let passed = outcome::pass_gap(self.engine, row, cursor, &gap).await?;
                return Ok(if passed { Next::Batch } else { Next::Stop });
            }
            gap => gap.map_or(self.lease.up_to, |gap| self.lease.up_to.min(gap.first - 1)),
        };
        let object = self.next_object(row, cursor, up_to).await?;
        let line = self.free_line(row).await?;
        let profile = line.as_deref().map(Line::profile);
        match freeze::freeze(self.engine, row, &object, profile).await? {
            Some(batch) => {
                let object = Some(object);
                self.deliver(Ready { batch, object, line }).await
            }
            None => Ok(Next::Stop),
        }
    }

    async fn next_object(&mut self, row: &DestinationRow, cursor: Sequence, up_to: Sequence) -> Result<Arc<Object>> {
        let form = Form::of(row.account_id, row.spec.get()?);
        if let Some(ahead) = &mut self.ahead {
            match ahead.take().await {
                Some(object) if object.follows(form, cursor) && object.last_sequence <= up_to => return Ok(object),
                _ => self.ahead = None,
            }
        }
        let wanted = Wanted::next(form, cursor, up_to);
        let failing = row.failure.is_some();
        // Of a backlog the first two objects are built at the same time.
        if wanted.up_to < up_to && !failing {
            let range = content::find(self.engine, wanted).await?;
            self.start_ahead(form, range.last_sequence);
        }
        self.slot.objects().get(self.engine, wanted, failing).await
    }
}
