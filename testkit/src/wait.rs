//! Waits for what a test awaits, for as long as a machine may need that stops for seconds now and
//! then. No test passes or fails by how long it takes, unless it hangs.

use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep, timeout};

/// The time after which a test counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until a condition is true. Panics with `what` if the test hangs.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    until_ok(what, async || condition().await.then_some(()).ok_or("not yet")).await;
}

/// Waits until there is a value, and returns it. Panics with `what` if the test hangs.
pub async fn until_some<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    until_ok(what, async || look().await.ok_or("not yet")).await
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

/// Waits for the end of something that no other part of the test can end. Panics with `what` if the
/// test hangs.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let ended = timeout(PATIENCE, future).await;
    ended.unwrap_or_else(|_| panic!("awaited in vain: {what}"))
}

/// Returns an interval none of whose ticks, its multiples since 1970, is near.
#[must_use]
pub fn interval_without_a_tick() -> Duration {
    let now = seconds();
    let is_far = |interval: &u64| (1_000..interval - 1_000).contains(&(now % interval));
    Duration::from_secs((40_000..80_000).find(is_far).unwrap())
}

/// Waits until midnight (UTC) has passed, if it is near: for tests that belong to one day or month.
pub async fn clear_of_midnight() {
    let left = 86_400 - seconds() % 86_400;
    if left < 120 {
        sleep(Duration::from_secs(left + 1)).await;
    }
}

fn seconds() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}
