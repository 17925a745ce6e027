//! Places at which a test can stop a process for good, or have it panic, to see what becomes of its work: before and after
//! every change of state. With the feature `failpoints`, which the engine's own tests alone ask for, a process stops at the
//! place that its environment names; without it nothing of this is compiled.

/// Has the name of the place at which this process stops; `name:3` is the third time that it is there, and at `name!` it
/// panics, each time.
#[cfg(feature = "failpoints")]
const VARIABLE: &str = "AUDITSTREAM_FAILPOINT";

/// Goes on at once, or, at the place that the environment names, says so on standard output and never goes on.
///
/// # Panics
/// Where the environment says so.
#[cfg(feature = "failpoints")]
pub(crate) async fn reached(point: &'static str) {
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// The place, and the time; none panics.
    static STOP: OnceLock<Option<(String, Option<usize>)>> = OnceLock::new();
    static TIMES: AtomicUsize = AtomicUsize::new(0);
    let stop = STOP.get_or_init(|| {
        let told = std::env::var(VARIABLE).ok()?;
        if let Some(name) = told.strip_suffix('!') {
            return Some((name.to_owned(), None));
        }
        let (name, time) = told.split_once(':').unwrap_or((&told, "1"));
        Some((name.to_owned(), Some(time.parse().ok()?)))
    });
    let Some((_, time)) = stop.as_ref().filter(|(name, _)| name == point) else {
        return;
    };
    let Some(time) = time else { panic!("failpoint {point}") };
    if TIMES.fetch_add(1, Ordering::SeqCst) + 1 != *time {
        return;
    }
    let mut out = std::io::stdout();
    // Whoever no longer listens has ended the test.
    let _ = writeln!(out, "\nfailpoint {point}").and_then(|()| out.flush());
    std::future::pending::<()>().await;
}

/// Goes on at once.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn reached(_: &'static str) -> std::future::Ready<()> {
    std::future::ready(())
}
