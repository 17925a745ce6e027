//! The objects after the batch that is being sent. Meanwhile the next one is compressed, and the
//! events after that are read and encoded, in memory that nothing else needs. No batch is frozen
//! before the batches before it are confirmed.

use std::sync::Arc;

use auditstream_model::Sequence;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::content::Content;
use super::limits::MemoryUse;
use super::objects::{Object, Objects};
use super::wanted::{Form, Wanted};
use crate::Engine;
use crate::error::{Error, Result};
use crate::trail::gaps::next_gap;

/// Objects in order. No more are built after this is dropped.
#[derive(Debug)]
pub(super) struct Ahead {
    next: Option<Arc<Object>>,
    objects: mpsc::Receiver<Arc<Object>>,
    _task: JoinSet<()>,
}

impl Ahead {
    /// Begins to build the objects after an event. It ends at the last event or at a gap, when
    /// there is no memory to spare, and at an error, which the run meets again and reports.
    pub(super) fn start(engine: &Engine, objects: &Objects, form: Form, after: Sequence, up_to: Sequence) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        let (engine, objects) = (engine.clone(), objects.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            if let Err(error) = build(&engine, &objects, form, (after, up_to), sender).await {
                tracing::debug!(%error, "a later batch could not be built ahead");
            }
        });
        Self {
            next: None,
            objects: receiver,
            _task: task,
        }
    }

    /// Returns the next object if it is ready.
    pub(super) fn ready(&mut self) -> Option<&Arc<Object>> {
        if self.next.is_none() {
            self.next = self.objects.try_recv().ok();
        }
        self.next.as_ref()
    }

    /// Takes the next object when it is ready; `None` if no more are built.
    pub(super) async fn take(&mut self) -> Option<Arc<Object>> {
        match self.next.take() {
            Some(object) => Some(object),
            None => self.objects.recv().await,
        }
    }
}

async fn build(
    engine: &Engine,
    objects: &Objects,
    form: Form,
    (mut after, up_to): (Sequence, Sequence),
    sender: mpsc::Sender<Arc<Object>>,
) -> Result<()> {
    // At most one object is compressed at a time, so that a destination occupies one core.
    let mut compressing: JoinSet<Result<Option<Arc<Object>>>> = JoinSet::new();
    loop {
        let Ok(place) = sender.reserve().await else {
            return Ok(());
        };
        let next = match next(engine, form, after, up_to).await? {
            Some(wanted) => first_step(engine, objects, wanted).await?,
            None => None,
        };
        if let Some(compressed) = compressing.join_next().await {
            let compressed = compressed.map_err(|error| Error::Broken(error.to_string()))?;
            let Some(object) = compressed? else {
                return Ok(());
            };
            place.send(object);
        }
        let Some((wanted, step)) = next else {
            return Ok(());
        };
        after = step.last_sequence();
        let objects = objects.clone();
        compressing.spawn(async move {
            match step {
                Step::Compressed(object) => Ok(Some(object)),
                Step::Encoded(content) => objects.compressed(content, wanted).await,
            }
        });
    }
}

/// Returns the range of the next object; `None` after the last event and before a gap.
async fn next(engine: &Engine, form: Form, after: Sequence, up_to: Sequence) -> Result<Option<Wanted>> {
    let gap = next_gap(engine, form.account_id, after).await?;
    let up_to = gap.map_or(up_to, |gap| up_to.min(gap.first - 1));
    Ok((after < up_to).then(|| Wanted::next(form, after, up_to)))
}

/// An object on which work has begun.
enum Step {
    Encoded(Arc<Content>),
    /// Built already, for another destination.
    Compressed(Arc<Object>),
}

impl Step {
    fn last_sequence(&self) -> Sequence {
        match self {
            Self::Encoded(content) => content.last_sequence,
            Self::Compressed(object) => object.last_sequence,
        }
    }
}

async fn first_step(engine: &Engine, objects: &Objects, wanted: Wanted) -> Result<Option<(Wanted, Step)>> {
    if let Some(object) = objects.existing(wanted).await {
        return Ok(Some((wanted, Step::Compressed(object))));
    }
    let content = objects.content(engine, wanted, MemoryUse::Spare).await?;
    Ok(content.map(|content| (wanted, Step::Encoded(content))))
}
