//! Times: absolute UTC from the server, relative after hydration.

use auditstream_model::EpochMillis;
use auditstream_model::limits::FUTURE_AFTER_MS;
use leptos::prelude::*;

/// The browser's clock, epoch ms, updated every few seconds. `None` until hydration, so that server
/// and browser render the same.
#[derive(Clone, Copy, Debug)]
pub struct Now(pub RwSignal<Option<EpochMillis>>);

/// Provides [`Now`] as a context and keeps it up to date.
pub fn provide_now() {
    let now = RwSignal::new(None);
    provide_context(Now(now));
    Effect::new(move |_| {
        now.set(Some(browser_clock()));
        let tick = move || now.set(Some(browser_clock()));
        if let Ok(handle) = set_interval_with_handle(tick, std::time::Duration::from_secs(5)) {
            on_cleanup(move || handle.clear());
        }
    });
}

#[expect(clippy::cast_possible_truncation, reason = "the clock is far below 2^53 ms")]
pub(crate) fn browser_clock() -> EpochMillis {
    web_sys::js_sys::Date::now() as EpochMillis
}

/// `2026-11-24 02:20:40 UTC`; after hydration `3 minutes ago`, with UTC and local time on hover.
#[component]
pub fn TimeAgo(
    #[prop(into)] at: Signal<EpochMillis>,
    /// Whether it is expected to be in the future. Without it, a time a little ahead of the
    /// browser's clock, which is read every few seconds, counts as now, and one far ahead is
    /// marked.
    #[prop(optional)]
    ahead: bool,
) -> impl IntoView {
    let now = use_context::<Now>();
    let is_ahead = move || {
        !ahead
            && now
                .and_then(|now| now.0.get())
                .is_some_and(|now| is_future(at.get(), now))
    };
    let text = move || match now.and_then(|now| now.0.get()) {
        Some(now) => relative(if ahead { at.get() } else { past(at.get(), now) }, now),
        None => absolute(at.get()),
    };
    let title = move || match now.and_then(|now| now.0.get()) {
        Some(_) => format!("{} · {}", absolute(at.get()), local(at.get())),
        None => absolute(at.get()),
    };
    view! {
        <time datetime=move || iso(at.get()) title=title class:future=is_ahead>
            {text}
            {move || is_ahead().then(|| view! { <span class="future-mark">"Future"</span> })}
        </time>
    }
}

/// Whether a time is so far ahead that a clock must be wrong.
fn is_future(at: EpochMillis, now: EpochMillis) -> bool {
    at > now.saturating_add(FUTURE_AFTER_MS)
}

/// Returns a time of the past: one that is a little ahead of the clock counts as now, but one that
/// is far ahead stays as it is.
fn past(at: EpochMillis, now: EpochMillis) -> EpochMillis {
    if is_future(at, now) { at } else { at.min(now) }
}

#[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 ms")]
fn local(at: EpochMillis) -> String {
    let date = web_sys::js_sys::Date::new(&wasm_bindgen::JsValue::from_f64(at as f64));
    String::from(date.to_string())
}

/// Returns `just now`, `3 minutes ago`, `in 5 minutes` or `2 days ago`, and the date after a month.
fn relative(at: EpochMillis, now: EpochMillis) -> String {
    let seconds = (now - at) / 1000;
    let size = seconds.abs();
    let (count, unit) = match size {
        0..10 if seconds < 0 => return "in a moment".to_owned(),
        0..10 => return "just now".to_owned(),
        10..60 => (size, "second"),
        60..3600 => (size / 60, "minute"),
        3600..86_400 => (size / 3600, "hour"),
        86_400..2_592_000 => (size / 86_400, "day"),
        _ => return absolute(at),
    };
    let s = if count == 1 { "" } else { "s" };
    if seconds < 0 {
        format!("in {count} {unit}{s}")
    } else {
        format!("{count} {unit}{s} ago")
    }
}

/// `2026-11-24 02:20:40 UTC`
#[must_use]
pub fn absolute(at: EpochMillis) -> String {
    let (year, month, day, hour, minute, second) = parts(at);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// `14:30 UTC`
#[must_use]
pub fn clock(at: EpochMillis) -> String {
    let (_, _, _, hour, minute, _) = parts(at);
    format!("{hour:02}:{minute:02} UTC")
}

fn iso(at: EpochMillis) -> String {
    let (year, month, day, hour, minute, second) = parts(at);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        at.rem_euclid(1000)
    )
}

/// Returns year, month, day, hour, minute and second in UTC, by Howard Hinnant's `civil_from_days`.
fn parts(at: EpochMillis) -> (i64, i64, i64, i64, i64, i64) {
    let seconds = at.div_euclid(1000);
    let of_day = seconds.rem_euclid(86_400);
    let days = seconds.div_euclid(86_400) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day, of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(absolute(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(iso(1_709_210_096_007), "2024-02-29T12:34:56.007Z");
        assert_eq!(absolute(-1), "1969-12-31 23:59:59 UTC");
    }

    #[test]
    fn relative_times_use_the_largest_unit() {
        assert_eq!(relative(0, 9_000), "just now");
        assert_eq!(relative(9_000, 0), "in a moment");
        assert_eq!(relative(0, 60_000), "1 minute ago");
        assert_eq!(relative(7_200_000, 0), "in 2 hours");
    }

    #[test]
    fn a_time_of_the_past_that_is_far_ahead_is_not_just_now() {
        const DAY: EpochMillis = 86_400_000;
        assert_eq!(relative(past(3 * DAY, 0), 0), "in 3 days");
        assert_eq!(relative(past(60_000, 0), 0), "just now");
        assert_eq!(relative(past(0, DAY), DAY), "1 day ago");
    }
}
