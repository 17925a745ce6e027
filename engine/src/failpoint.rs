//! Places at which a test can stop a process for good, or make it panic: before and after every
//! change of state. Compiled only with the feature `failpoints`.

/// The point at which this process stops: `name`, or `name:3` for the third time that it is
/// reached. At `name!` the process panics, each time; at `name*` whatever reaches it stops there.
#[cfg(feature = "failpoints")]
const VARIABLE: &str = "AUDITSTREAM_FAILPOINT";

/// Prints the name of the point and never returns, if the environment names it.
#[cfg(feature = "failpoints")]
pub(crate) async fn reached(point: &str) {
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// The point, and at which time to stop there; `None` panics, and 0 stops each time.
    static STOP: OnceLock<Option<(String, Option<usize>)>> = OnceLock::new();
    static TIMES: AtomicUsize = AtomicUsize::new(0);
    let stop = STOP.get_or_init(|| {
        let setting = std::env::var(VARIABLE).ok()?;
        if let Some(name) = setting.strip_suffix('!') {
            return Some((name.to_owned(), None));
        }
        if let Some(name) = setting.strip_suffix('*') {
            return Some((name.to_owned(), Some(0)));
        }
        let (name, time) = setting.split_once(':').unwrap_or((&setting, "1"));
        Some((name.to_owned(), Some(time.parse().ok()?)))
    });
    let Some((_, time)) = stop.as_ref().filter(|(name, _)| name == point) else {
        return;
    };
    let Some(time) = time else { panic!("failpoint {point}") };
    if TIMES.fetch_add(1, Ordering::SeqCst) + 1 != *time && *time != 0 {
        return;
    }
    let mut out = std::io::stdout();
    // Writing fails only when the test has ended.
    let _ = writeln!(out, "\nfailpoint {point}").and_then(|()| out.flush());
    std::future::pending::<()>().await;
}

#[cfg(feature = "failpoints")]
pub(crate) async fn committing(transaction: &str) {
    reached(&format!("{transaction}.committing")).await;
}

#[cfg(feature = "failpoints")]
pub(crate) async fn committed(transaction: &str) {
    reached(&format!("{transaction}.committed")).await;
}

#[cfg(not(feature = "failpoints"))]
pub(crate) fn reached(_: &str) -> std::future::Ready<()> {
    std::future::ready(())
}

#[cfg(not(feature = "failpoints"))]
pub(crate) use {reached as committed, reached as committing};
