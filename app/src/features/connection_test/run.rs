//! A connection test as it runs.

use auditstream_model::{Code, ConnectionTest, Outcome, Problem, TestProgress};
use futures::StreamExt;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::error::ConsoleError;
use crate::server_functions::connectors::test_connector;

/// The progress of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    Waiting,
    Running,
    /// The connection to the server was lost while the step was running.
    Interrupted,
    /// The outcome and its detail.
    Ended(Outcome, String),
}

/// The latest test on a page.
#[derive(Clone, Copy, Debug)]
pub struct TestRun {
    pub pending: RwSignal<bool>,
    /// The steps by name, in order.
    pub steps: RwSignal<Vec<(String, StepState)>>,
    pub result: RwSignal<Option<Result<ConnectionTest, ConsoleError>>>,
    /// The connector and the number of tests so far. Progress of an earlier test is ignored.
    latest: StoredValue<(String, u32)>,
}

impl TestRun {
    /// Creates a test that has not run yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            pending: RwSignal::new(false),
            steps: RwSignal::new(Vec::new()),
            result: RwSignal::new(None),
            latest: StoredValue::new((String::new(), 0)),
        }
    }

    /// Tests a connector.
    pub fn start(self, id: String) {
        let number = self.latest.with_value(|(_, number)| number + 1);
        self.latest.set_value((id.clone(), number));
        self.steps.set(Vec::new());
        self.result.set(None);
        self.pending.set(true);
        spawn_local(async move {
            let is_latest = || self.latest.try_with_value(|(_, latest)| *latest == number) == Some(true);
            let show = |progress| {
                if is_latest() {
                    self.steps.try_update(|steps| advance(steps, progress));
                }
            };
            let outcome = follow(id, show).await;
            if is_latest() {
                self.steps.try_update(|steps| interrupt(steps));
                self.result.try_set(Some(outcome));
                self.pending.try_set(false);
            }
        });
    }

    /// Tests the same connector again.
    pub fn again(self) {
        self.start(self.latest.with_value(|(id, _)| id.clone()));
    }

    /// Returns whether the latest test has succeeded.
    #[must_use]
    pub fn has_passed(self) -> bool {
        let is_success = |test: &ConnectionTest| test.status == Outcome::Success;
        !self.pending.get()
            && self
                .result
                .with(|result| matches!(result, Some(Ok(test)) if is_success(test)))
    }
}

impl Default for TestRun {
    fn default() -> Self {
        Self::new()
    }
}

fn advance(steps: &mut Vec<(String, StepState)>, progress: TestProgress) {
    let (name, state) = match progress {
        TestProgress::Planned(names) => {
            *steps = names.into_iter().map(|name| (name, StepState::Waiting)).collect();
            return;
        }
        TestProgress::Begun(name) => (name, StepState::Running),
        TestProgress::Ended(step) => (step.name, StepState::Ended(step.status, step.detail)),
        TestProgress::Done(_) => return,
    };
    if let Some(step) = steps.iter_mut().find(|(known, _)| *known == name) {
        step.1 = state;
    }
}

fn interrupt(steps: &mut [(String, StepState)]) {
    for (_, state) in steps {
        if *state == StepState::Running {
            *state = StepState::Interrupted;
        }
    }
}

async fn follow(id: String, show: impl Fn(TestProgress)) -> Result<ConnectionTest, ConsoleError> {
    let mut chunks = test_connector(id).await?.into_inner();
    let mut unread = Vec::new();
    while let Some(chunk) = chunks.next().await {
        unread.extend_from_slice(&chunk.map_err(|_| connection_lost())?);
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(TestProgress::Done(outcome)) => return Ok(outcome),
                Ok(progress) => show(progress),
                Err(_) => return Err(connection_lost()),
            }
        }
    }
    Err(connection_lost())
}

fn connection_lost() -> ConsoleError {
    ConsoleError(Problem::new(
        Code::Unavailable,
        "The connection to the server was lost before the test ended. Try again.",
    ))
}

#[cfg(test)]
mod tests {
    use auditstream_model::TestStep;

    use super::*;

    #[test]
    fn a_step_waits_then_runs_then_ends() {
        let mut steps = Vec::new();
        advance(&mut steps, TestProgress::Planned(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(steps[1], ("b".to_owned(), StepState::Waiting));
        advance(&mut steps, TestProgress::Begun("a".to_owned()));
        assert_eq!(steps[0].1, StepState::Running);
        let mut interrupted = steps.clone();
        interrupt(&mut interrupted);
        assert_eq!(
            (&interrupted[0].1, &interrupted[1].1),
            (&StepState::Interrupted, &StepState::Waiting)
        );
        let ended = TestStep {
            name: "a".to_owned(),
            status: Outcome::Failure,
            detail: "no".to_owned(),
        };
        advance(&mut steps, TestProgress::Ended(ended));
        assert_eq!(steps[0].1, StepState::Ended(Outcome::Failure, "no".to_owned()));
        assert_eq!(steps[1].1, StepState::Waiting);
    }
}
