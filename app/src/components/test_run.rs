//! A connection test as it runs: the server tells each step, and pages show it.

use auditstream_model::{Code, ConnectionTest, Outcome, Problem, TestProgress};
use futures::StreamExt;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::error::ConsoleError;
use crate::server_functions::connectors::test_connector;

/// How far a step has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Its turn has not come.
    Waiting,
    /// It is being taken.
    Running,
    /// The connection broke off while it was being taken.
    Unknown,
    /// How it ended, and what was found.
    Ended(Outcome, String),
}

/// The latest test of a page.
#[derive(Clone, Copy, Debug)]
pub struct TestRun {
    /// Whether it runs.
    pub pending: RwSignal<bool>,
    /// Its steps by name, as far as they have come.
    pub steps: RwSignal<Vec<(String, StepState)>>,
    /// How it went.
    pub result: RwSignal<Option<Result<ConnectionTest, ConsoleError>>>,
    /// Which connector, and how many tests there were: what an older one tells is no longer of interest.
    latest: StoredValue<(String, u32)>,
}

impl TestRun {
    /// None that has run yet.
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
        let turn = self.latest.with_value(|(_, turn)| turn + 1);
        self.latest.set_value((id.clone(), turn));
        self.steps.set(Vec::new());
        self.result.set(None);
        self.pending.set(true);
        spawn_local(async move {
            let is_latest = || self.latest.try_with_value(|(_, latest)| *latest == turn) == Some(true);
            let tell = |progress| {
                if is_latest() {
                    self.steps.try_update(|steps| advance(steps, progress));
                }
            };
            let outcome = follow(id, tell).await;
            if is_latest() {
                self.steps.try_update(|steps| break_off(steps));
                self.result.try_set(Some(outcome));
                self.pending.try_set(false);
            }
        });
    }

    /// Tests the same connector again.
    pub fn again(self) {
        self.start(self.latest.with_value(|(id, _)| id.clone()));
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

/// Nothing more will be told of a step that has not ended.
fn break_off(steps: &mut [(String, StepState)]) {
    for (_, state) in steps {
        if *state == StepState::Running {
            *state = StepState::Unknown;
        }
    }
}

/// Reads what the server tells, line by line, up to the answer.
async fn follow(id: String, tell: impl Fn(TestProgress)) -> Result<ConnectionTest, ConsoleError> {
    let mut chunks = test_connector(id).await?.into_inner();
    let mut unread = Vec::new();
    while let Some(chunk) = chunks.next().await {
        unread.extend_from_slice(&chunk.map_err(|_| broken_off())?);
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(TestProgress::Done(answer)) => return Ok(answer),
                Ok(progress) => tell(progress),
                Err(_) => return Err(broken_off()),
            }
        }
    }
    Err(broken_off())
}

fn broken_off() -> ConsoleError {
    ConsoleError(Problem::new(
        Code::Unavailable,
        "The connection to the server broke off before the test had ended. Try again.",
    ))
}

#[cfg(test)]
mod tests {
    use auditstream_model::TestStep;

    use super::*;

    #[test]
    fn each_step_goes_from_waiting_to_running_to_its_end() {
        let mut steps = Vec::new();
        advance(&mut steps, TestProgress::Planned(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(steps[1], ("b".to_owned(), StepState::Waiting));
        advance(&mut steps, TestProgress::Begun("a".to_owned()));
        assert_eq!(steps[0].1, StepState::Running);
        let mut broken = steps.clone();
        break_off(&mut broken);
        assert_eq!((&broken[0].1, &broken[1].1), (&StepState::Unknown, &StepState::Waiting));
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
