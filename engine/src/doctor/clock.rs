//! Comparing this host's clock with others.

use std::time::Duration;

use auditstream_model::EpochMillis;

use super::Finding;

const NOTICEABLE: Duration = Duration::from_secs(5);
/// AWS refuses requests at 15 minutes.
const HARMFUL: Duration = Duration::from_secs(5 * 60);

/// Compares this host's time with that of another clock, which was read while this host's clock
/// went from `before` to `after`; all in epoch ms. `precision` is that of the other clock.
pub(super) fn compare(
    whose: &str,
    theirs: EpochMillis,
    (before, after): (EpochMillis, EpochMillis),
    precision: Duration,
) -> Finding {
    let precision = i64::try_from(precision.as_millis()).unwrap_or(0);
    // The other clock may have been read at any time in between.
    let ahead = before - (theirs + precision);
    let behind = theirs - after;
    let (distance, direction) = if ahead > behind {
        (ahead, "ahead of")
    } else {
        (behind, "behind")
    };
    let distance = Duration::from_millis(u64::try_from(distance).unwrap_or(0));
    let subject = format!("clock, against {whose}");
    let detail = format!("this host's clock is {} s {direction} it", distance.as_secs());
    let advice = "Let a time service such as chrony set the clocks of both hosts";
    if distance < NOTICEABLE {
        Finding::good(subject, "it agrees")
    } else if distance < HARMFUL {
        Finding::warning(subject, format!("{detail}. {advice}."))
    } else {
        let harm = "requests to AWS are refused, and events get false times";
        Finding::failed(subject, format!("{detail}: {harm}. {advice}."))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[test]
    fn a_clock_is_compared_within_the_time_that_reading_took() {
        let now = 1_800_000_000_000;
        let precision = Duration::from_secs(1);
        for (theirs, severity, words) in [
            (now, Severity::Good, "agrees"),
            (now - 3_000, Severity::Good, "agrees"),
            (now + 10_000, Severity::Good, "agrees"),
            (now + 40_000, Severity::Warning, "30 s behind it"),
            (now - 61_000, Severity::Warning, "60 s ahead of it"),
            (now + 3_600_000, Severity::Failed, "behind it"),
            (0, Severity::Failed, "ahead of it"),
        ] {
            let found = compare("S3", theirs, (now, now + 10_000), precision);
            assert_eq!(found.severity, severity, "{found}");
            assert!(found.detail.contains(words), "{found}");
        }
    }
}
