//! Places at which a test can stop a process for good, or make it panic: before and after every
//! change of state. Compiled only with the feature `failpoints`.

/// The point at which this process stops: `name`, or `name:3` for the third time that it is
/// reached. At `name!` the process panics, each time; at `name!3`, the third time only. At `name*`
/// whatever reaches it stops there.
#[cfg(feature = "failpoints")]
const VARIABLE: &str = "AUDITSTREAM_FAILPOINT";

/// Prints the name of the point and never returns, if the environment names it.
#[cfg(feature = "failpoints")]
pub(crate) async fn reached(point: &str) {
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Setting {
        point: String,
        panics: bool,
        /// `None` for each time.
        time: Option<usize>,
    }

    static SETTING: OnceLock<Option<Setting>> = OnceLock::new();
    static TIMES: AtomicUsize = AtomicUsize::new(0);
    let setting = SETTING.get_or_init(|| {
        let text = std::env::var(VARIABLE).ok()?;
        let panics = text.contains('!');
        let text = text.strip_suffix('*').map_or(text.clone(), |point| format!("{point}:"));
        let (point, time) = text.split_once(['!', ':']).unwrap_or((&text, "1"));
        let time = if time.is_empty() {
            None
        } else {
            Some(time.parse().ok()?)
        };
        let point = point.to_owned();
        Some(Setting { point, panics, time })
    });
    let Some(setting) = setting.as_ref().filter(|setting| setting.point == point) else {
        return;
    };
    let time = TIMES.fetch_add(1, Ordering::SeqCst) + 1;
    if setting.time.is_some_and(|wanted| wanted != time) {
        return;
    }
    assert!(!setting.panics, "failpoint {point}");
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
