//! Waits for what a test awaits, for as long as a machine may need that stops for seconds now and
//! then. No test passes or fails by how long it takes, unless it hangs.

use std::fmt::Debug;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The time after which a test counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until a condition is true. Panics with `what` if the test hangs.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    until_ok(what, async || condition().await.then_some(()).ok_or("not yet")).await;
}

/// Waits until a call succeeds, and returns its result. Panics with `what` and the last error if
/// the test hangs.
pub async fn until_ok<T, E: Debug>(what: &str, mut call: impl AsyncFnMut() -> Result<T, E>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match call().await {
            Ok(found) => return found,
            Err(error) => assert!(Instant::now() < end, "awaited in vain: {what}: {error:?}"),
        }
        sleep(PAUSE).await;
    }
}
