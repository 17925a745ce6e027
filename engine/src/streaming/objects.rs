//! The objects of batches, which are compressed contents. Each is built once for all destinations
//! of an account that want the same bytes at about the same time. No destination waits for another
//! one's PUT.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use auditstream_model::{Compression, Sequence};
use bytes::Bytes;

use super::content::{Content, find, memory_for, on_blocking_thread};
use super::encode;
use super::limits::{MemoryBudget, MemoryGrant, MemoryUse};
use super::single_flight::SingleFlight;
use super::wanted::{Form, Wanted};
use crate::Engine;
use crate::error::{Error, Result};

/// Bytes of objects that are kept for destinations that lag some batches.
const KEPT_BYTES: usize = 16 << 20;

#[derive(Debug)]
pub(super) struct Object {
    pub(super) wanted: Wanted,
    pub(super) first_sequence: Sequence,
    pub(super) last_sequence: Sequence,
    /// Of the content before compression.
    pub(super) content_bytes: usize,
    /// Of the content before compression.
    pub(super) content_sha256: [u8; 32],
    pub(super) body: Bytes,
    pub(super) body_sha256: [u8; 32],
    _grant: MemoryGrant,
}

impl Object {
    /// Whether this is the next object of a destination with this form and cursor.
    pub(super) fn follows(&self, form: Form, cursor: Sequence) -> bool {
        self.wanted.form == form && self.first_sequence == cursor + 1
    }

    async fn compress(content: Arc<Content>, wanted: Wanted) -> Result<Self> {
        on_blocking_thread(move || {
            let Form { compression, level, .. } = wanted.form;
            let body = match compression {
                Compression::None => content.text.clone(),
                _ => Bytes::from(encode::compress(&content.text, compression, level)?),
            };
            Ok(Self {
                wanted,
                first_sequence: content.first_sequence,
                last_sequence: content.last_sequence,
                content_bytes: content.text.len(),
                content_sha256: content.sha256,
                body_sha256: encode::sha256(&body),
                _grant: content.split_grant(body.len()),
                body,
            })
        })
        .await
    }
}

/// The objects of the runs of this server. Those of failing destinations are separate, since they
/// may wait longer for memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Objects(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    memory: MemoryBudget,
    contents: SingleFlight<(Wanted, bool), Content>,
    objects: SingleFlight<(Wanted, bool), Object>,
    kept: Mutex<Kept>,
}

/// The newest objects, for the other runs of the same form.
#[derive(Debug, Default)]
struct Kept {
    runs: HashMap<Form, usize>,
    objects: VecDeque<Arc<Object>>,
    bytes: usize,
}

impl Objects {
    /// Returns the wanted object, and waits for the memory to build it.
    pub(super) async fn get(&self, engine: &Engine, wanted: Wanted, failing: bool) -> Result<Arc<Object>> {
        let memory_use = if failing {
            MemoryUse::Failing
        } else {
            MemoryUse::Healthy
        };
        let build = async {
            let Some(content) = self.content(engine, wanted, memory_use).await? else {
                return Ok(None);
            };
            Object::compress(content, wanted).await.map(Some)
        };
        let object = self.0.objects.get(key(wanted, memory_use), build).await?;
        // Only a request for spare memory can be refused.
        let object = object.ok_or_else(|| Error::Broken("there is no memory for a batch".to_owned()))?;
        self.keep(&object);
        Ok(object)
    }

    /// Returns the wanted object if it exists or is being built.
    pub(super) async fn existing(&self, wanted: Wanted) -> Option<Arc<Object>> {
        self.0.objects.existing(&key(wanted, MemoryUse::Spare)).await
    }

    /// Returns the wanted content; `None` if there is no memory to spare.
    pub(super) async fn content(
        &self,
        engine: &Engine,
        wanted: Wanted,
        memory_use: MemoryUse,
    ) -> Result<Option<Arc<Content>>> {
        let content = wanted.content();
        let build = self.build_content(engine, content, memory_use);
        self.0.contents.get(key(content, memory_use), build).await
    }

    /// Reads and encodes the wanted events; a missing event is an [`Error::Broken`]. Returns `None`
    /// if there is no memory to spare.
    async fn build_content(&self, engine: &Engine, wanted: Wanted, memory_use: MemoryUse) -> Result<Option<Content>> {
        let range = find(engine, wanted).await?;
        let Some(grant) = self.acquire(memory_for(range), memory_use).await? else {
            return Ok(None);
        };
        Content::read(engine, wanted, range, grant).await.map(Some)
    }

    /// Returns the object of a content that was built with memory to spare.
    pub(super) async fn compressed(&self, content: Arc<Content>, wanted: Wanted) -> Result<Option<Arc<Object>>> {
        let build = async { Object::compress(content, wanted).await.map(Some) };
        let object = self.0.objects.get(key(wanted, MemoryUse::Spare), build).await?;
        Ok(object.inspect(|object| self.keep(object)))
    }

    /// Reserves memory; `None` if it cannot be spared.
    async fn acquire(&self, bytes: usize, memory_use: MemoryUse) -> Result<Option<MemoryGrant>> {
        if memory_use != MemoryUse::Spare && self.0.memory.available() < bytes {
            let mut kept = self.kept();
            kept.objects.clear();
            kept.bytes = 0;
        }
        self.0.memory.acquire(bytes, memory_use).await
    }

    /// Joins the runs with a form. Its objects are kept while it has several runs. The run leaves
    /// when the result is dropped.
    pub(super) fn join(&self, form: Form) -> Member {
        *self.kept().runs.entry(form).or_default() += 1;
        Member {
            objects: self.clone(),
            form,
        }
    }

    fn keep(&self, object: &Arc<Object>) {
        let mut kept = self.kept();
        let is_shared = kept.runs.get(&object.wanted.form).is_some_and(|runs| *runs > 1);
        let is_kept = kept.objects.iter().any(|other| Arc::ptr_eq(other, object));
        if !is_shared || is_kept || self.0.memory.available() < MemoryBudget::RESERVE {
            return;
        }
        kept.bytes += object.body.len();
        kept.objects.push_back(Arc::clone(object));
        while kept.bytes > KEPT_BYTES
            && let Some(oldest) = kept.objects.pop_front()
        {
            kept.bytes -= oldest.body.len();
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(wanted: Wanted, memory_use: MemoryUse) -> (Wanted, bool) {
    (wanted, memory_use == MemoryUse::Failing)
}

/// A run that can share objects with others of its form.
#[derive(Debug)]
pub(super) struct Member {
    objects: Objects,
    form: Form,
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut kept = self.objects.kept();
        let runs = kept.runs.get(&self.form).map_or(0, |runs| runs.saturating_sub(1));
        if runs == 0 {
            kept.runs.remove(&self.form);
        } else {
            kept.runs.insert(self.form, runs);
        }
        if runs < 2 {
            let form = self.form;
            kept.objects.retain(|object| object.wanted.form != form);
            kept.bytes = kept.objects.iter().map(|object| object.body.len()).sum();
        }
    }
}
