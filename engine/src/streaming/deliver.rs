//! Sends a batch, and the batches after it as long as each transaction that confirms one also
//! freezes the next.

use std::sync::Arc;

use auditstream_model::Sequence;

use super::ahead::Ahead;
use super::attempt::{Attempt, AttemptOutcome};
use super::freeze::OpenBatch;
use super::line::{Found, Line};
use super::objects::Object;
use super::outcome::{self, Landed, Moved};
use super::pass::{Next, Pass, still_ours};
use super::reconcile::Delivered;
use super::retry::{Tried, Tries};
use super::wanted::{Form, Wanted};
use crate::destinations::rows::DestinationRow;
use crate::error::{Error, Result};

/// A batch that is to be sent.
pub(super) struct Ready {
    pub(super) batch: OpenBatch,
    /// The object, if it is built already.
    pub(super) object: Option<Arc<Object>>,
    /// The line for the attempt that was recorded when the batch was frozen.
    pub(super) line: Option<Box<Line>>,
}

impl Ready {
    /// A batch that was frozen earlier.
    pub(super) fn open(batch: OpenBatch) -> Self {
        Self {
            batch,
            object: None,
            line: None,
        }
    }
}

/// The result of sending a batch.
enum Sent {
    Next(Box<Ready>),
    Last(Next),
}

impl Pass<'_> {
    pub(super) async fn deliver(&mut self, mut ready: Ready) -> Result<Next> {
        loop {
            match self.send(ready).await? {
                Sent::Next(next) => ready = *next,
                Sent::Last(next) => return Ok(next),
            }
        }
    }

    async fn send(&mut self, ready: Ready) -> Result<Sent> {
        let Ready {
            mut batch,
            mut object,
            mut line,
        } = ready;
        let mut tries = Tries::new(self.lease);
        loop {
            let is_recorded = line.is_some();
            let line = match line.take() {
                Some(line) => line,
                None => match self.find_line(&batch).await? {
                    Some(line) => line,
                    None => return Ok(Sent::Last(Next::Stop)),
                },
            };
            let outcome = match &line.s3 {
                Err(failure) => AttemptOutcome::Failed(failure.clone()),
                Ok(s3) => {
                    let built = match object.take() {
                        Some(built) => built,
                        None => self.build(&line.row, &batch).await?,
                    };
                    self.build_ahead(&line.row, &batch)?;
                    let attempt = Attempt {
                        row: &line.row,
                        profile: line.profile(),
                        s3,
                        object: &built,
                        is_recorded,
                    };
                    let outcome = attempt.make(self.engine, &mut batch).await?;
                    object = Some(built);
                    outcome
                }
            };
            match outcome {
                AttemptOutcome::LostClaim => return Ok(Sent::Last(Next::Stop)),
                AttemptOutcome::Delivered(delivered, note) => {
                    drop(object);
                    return self.landed(*line, &batch, &delivered, note.as_deref()).await;
                }
                AttemptOutcome::Failed(failure) => {
                    match self.tried(*line, &mut batch, &failure, &mut tries, &mut object).await? {
                        Tried::Again => {}
                        Tried::Enough => return Ok(Sent::Last(Next::Stop)),
                    }
                }
            }
        }
    }

    /// Finds a line on which to send a batch. Returns `None` if the run ends without one.
    async fn find_line(&mut self, batch: &OpenBatch) -> Result<Option<Box<Line>>> {
        let Some(row) = still_ours(self.engine, self.lease).await? else {
            return Ok(None);
        };
        match self.line(&row).await? {
            Found::Line(line) => Ok(Some(line)),
            Found::Stopping => Ok(None),
            Found::Failed(failure) => {
                outcome::failed(self.engine, &row, Some(batch), &failure).await?;
                Ok(None)
            }
        }
    }

    /// Builds the object of a frozen batch again.
    async fn build(&self, row: &DestinationRow, batch: &OpenBatch) -> Result<Arc<Object>> {
        let (compression, level) = batch.compression()?;
        let form = Form {
            format: *batch.format.get()?,
            compression,
            level,
            ..Form::of(row.account_id, row.spec.get()?)
        };
        let wanted = Wanted::frozen(form, batch.first_sequence, batch.last_sequence);
        let failing = row.failure.is_some();
        let object = self.slot.objects().get(self.engine, wanted, failing).await?;
        if object.content_sha256.as_slice() != batch.sha256 {
            return Err(Error::Broken(format!(
                "batch {} no longer has the content that it was frozen with",
                batch.number
            )));
        }
        Ok(object)
    }

    /// Begins to build the objects after a batch that is about to be sent.
    fn build_ahead(&mut self, row: &DestinationRow, batch: &OpenBatch) -> Result<()> {
        let is_last = batch.last_sequence >= self.lease.up_to;
        if is_last || self.ahead.is_some() || row.failure.is_some() {
            return Ok(());
        }
        self.start_ahead(Form::of(row.account_id, row.spec.get()?), batch.last_sequence);
        Ok(())
    }

    /// Begins to build the objects after an event.
    pub(super) fn start_ahead(&mut self, form: Form, after: Sequence) {
        let objects = self.slot.objects();
        self.ahead = Some(Ahead::start(self.engine, objects, form, after, self.lease.up_to));
    }

    /// Confirms a batch that is in the bucket. If the next one is ready, freezes it and records its
    /// first attempt in the same transaction.
    async fn landed(
        &mut self,
        line: Line,
        batch: &OpenBatch,
        delivered: &Delivered,
        note: Option<&str>,
    ) -> Result<Sent> {
        let Line { row, uplink, .. } = line;
        uplink.delivered();
        drop(uplink);
        let landed = Landed {
            lease: self.lease,
            row: &row,
            batch,
            delivered,
            note,
        };
        let Some((line, object)) = self.next_ready(batch).await? else {
            return Ok(Sent::Last(match outcome::delivered(self.engine, landed).await? {
                Moved::Further(_) => Next::Batch,
                Moved::Ended => Next::Ended,
                Moved::No => Next::Stop,
            }));
        };
        let moved = outcome::delivered_and_frozen(self.engine, landed, &line.row, &object, line.profile()).await?;
        Ok(match moved {
            Moved::Further(Some(batch)) => Sent::Next(Box::new(Ready {
                batch: *batch,
                object: Some(object),
                line: Some(line),
            })),
            Moved::Further(None) => Sent::Last(Next::Batch),
            Moved::Ended => Sent::Last(Next::Ended),
            Moved::No => Sent::Last(Next::Stop),
        })
    }

    /// Takes the object after a batch, if it is ready and can be sent immediately. Does not wait,
    /// so that a delivered batch is confirmed at once.
    async fn next_ready(&mut self, batch: &OpenBatch) -> Result<Option<(Box<Line>, Arc<Object>)>> {
        let ready = self.ahead.as_mut().and_then(Ahead::ready).map(Arc::clone);
        let Some(object) = ready.filter(|_| !*self.stopping.borrow()) else {
            return Ok(None);
        };
        let Some(row) = still_ours(self.engine, self.lease).await? else {
            return Ok(None);
        };
        let Ok(spec) = row.spec.get() else { return Ok(None) };
        if !object.follows(Form::of(row.account_id, spec), batch.last_sequence) {
            return Ok(None);
        }
        let Some(line) = self.free_line(&row).await? else {
            return Ok(None);
        };
        if let Some(ahead) = &mut self.ahead {
            ahead.take().await;
        }
        Ok(Some((line, object)))
    }
}
