//! The results of a test's steps, in order.

use auditstream_model::{Outcome, TestError, TestProgress, TestStep};
use futures::channel::mpsc::UnboundedSender;

use crate::aws::identity::{Identified, Identity};

#[derive(Debug, Default)]
pub(crate) struct Steps {
    ended: Vec<TestStep>,
    /// Of the first step that failed.
    error: Option<TestError>,
    watcher: Option<UnboundedSender<TestProgress>>,
}

impl Steps {
    pub(crate) fn watched(watcher: UnboundedSender<TestProgress>) -> Self {
        Self {
            watcher: Some(watcher),
            ..Self::default()
        }
    }

    pub(crate) fn begin(&self, name: &str) {
        self.report(|| TestProgress::Begun(name.to_owned()));
    }

    pub(crate) fn pass(&mut self, name: &str, detail: impl Into<String>) {
        self.end(name, Outcome::Success, detail.into());
    }

    /// Ends a step with an error. The first one becomes the error of the test.
    pub(crate) fn fail(&mut self, name: &str, error: impl Into<TestError>) {
        let error = error.into();
        self.end(name, Outcome::Failure, error.message.clone());
        self.error.get_or_insert(error);
    }

    pub(crate) fn skip(&mut self, names: &[&str]) {
        for name in names {
            self.end(name, Outcome::Skipped, "Not tried.".to_owned());
        }
    }

    pub(crate) fn finish(self) -> (Outcome, Vec<TestStep>, Option<TestError>) {
        let status = if self.error.is_none() {
            Outcome::Success
        } else {
            Outcome::Failure
        };
        (status, self.ended, self.error)
    }

    fn end(&mut self, name: &str, status: Outcome, detail: String) {
        let step = TestStep {
            name: name.to_owned(),
            status,
            detail,
        };
        self.report(|| TestProgress::Ended(step.clone()));
        self.ended.push(step);
    }

    fn report(&self, progress: impl FnOnce() -> TestProgress) {
        if let Some(watcher) = &self.watcher {
            // Fails when the client has disconnected.
            drop(watcher.unbounded_send(progress()));
        }
    }
}

/// Describes whose credentials were tested. `profile_region` is the region that the connector has.
pub(super) fn describe(found: &Identified, profile_region: &str) -> String {
    let identity = match &found.identity {
        Identity::Arn(arn) => format!("Signed in as {arn}."),
        Identity::Buckets(1) => "The credentials are valid; 1 bucket is visible.".to_owned(),
        Identity::Buckets(count) => format!("The credentials are valid; {count} buckets are visible."),
        Identity::NoBucketList => {
            "The credentials are valid; they do not permit listing buckets, which streaming does not need.".to_owned()
        }
        Identity::Unproven => "Note: the store denies the list of buckets, and responds alike to a wrong key. This \
                               does not prove that the key is right; the bucket check does, by writing."
            .to_owned(),
    };
    match &found.region {
        None => identity,
        Some(region) => format!(
            "{identity} Note: the store's region is {region}, the connector's is {profile_region}. Auditstream uses \
             {region}; set the connector's region to it."
        ),
    }
}
