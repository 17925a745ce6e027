//! The connection test of a connector: running it, and showing its steps and outcome.

mod result;
mod run;

pub use result::{TestFailure, TestResult, TestSteps};
pub use run::TestRun;
