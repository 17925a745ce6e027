//! A test's steps as they are taken: what follows a step that failed is skipped.

use auditstream_model::{Outcome, TestError, TestProgress, TestStep};
use futures::channel::mpsc::UnboundedSender;

use crate::aws::failure::Cause;

/// Steps in their order.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    taken: Vec<TestStep>,
    error: Option<TestError>,
    watcher: Option<UnboundedSender<TestProgress>>,
}

impl Steps {
    /// Steps that somebody is told of as they are taken.
    pub(crate) fn watched(watcher: UnboundedSender<TestProgress>) -> Self {
        Self {
            watcher: Some(watcher),
            ..Self::default()
        }
    }

    /// A step that is about to be taken.
    pub(crate) fn begin(&self, name: &str) {
        self.tell(|| TestProgress::Begun(name.to_owned()));
    }

    /// A step that works.
    pub(crate) fn pass(&mut self, name: &str, detail: impl Into<String>) {
        self.step(name, Outcome::Success, detail.into());
    }

    /// A step that does not; the first of them is the answer's error.
    pub(crate) fn fail(&mut self, name: &str, cause: &Cause) {
        self.step(name, Outcome::Failure, cause.message.clone());
        self.error.get_or_insert_with(|| TestError {
            hint: cause.hint.clone(),
            explanation: cause.explanation.to_owned(),
            message: cause.message.clone(),
        });
    }

    /// Steps that were not tried.
    pub(crate) fn skip(&mut self, names: &[&str]) {
        for name in names {
            self.step(name, Outcome::Skipped, "Not tried.".to_owned());
        }
    }

    /// Whether all that were taken work, the steps, and why the first of them failed.
    pub(crate) fn finish(self) -> (Outcome, Vec<TestStep>, Option<TestError>) {
        let status = if self.error.is_none() {
            Outcome::Success
        } else {
            Outcome::Failure
        };
        (status, self.taken, self.error)
    }

    fn step(&mut self, name: &str, status: Outcome, detail: String) {
        let step = TestStep {
            name: name.to_owned(),
            status,
            detail,
        };
        self.tell(|| TestProgress::Ended(step.clone()));
        self.taken.push(step);
    }

    fn tell(&self, progress: impl FnOnce() -> TestProgress) {
        if let Some(watcher) = &self.watcher {
            // Whoever no longer listens has dropped the test as well.
            drop(watcher.unbounded_send(progress()));
        }
    }
}
