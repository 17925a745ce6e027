//! Parses the values of flags and variables. An error describes the expected form.

use std::time::Duration;

use auditstream_model::{AccountName, Condition, EpochMillis, EventKey, Role, Scope, Show};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// `https://audit.example.com`
pub(super) fn public_url(text: &str) -> Result<String, String> {
    let trimmed = text.trim_end_matches('/');
    let authority = trimmed
        .strip_prefix("https://")
        .or_else(|| trimmed.strip_prefix("http://"));
    match authority {
        Some(authority) if !authority.is_empty() && !authority.contains(['/', '?', '#', ' ']) => Ok(trimmed.to_owned()),
        _ => Err("it must look like https://audit.example.com, without a path".to_owned()),
    }
}

pub(super) fn account_name(text: &str) -> Result<AccountName, String> {
    AccountName::parse(text).map_err(|error| error.to_string())
}

pub(super) fn role(text: &str) -> Result<Role, String> {
    text.parse()
        .map_err(|_| "a role is account_admin or account_viewer".to_owned())
}

pub(super) fn scope(text: &str) -> Result<Scope, String> {
    text.trim()
        .parse()
        .map_err(|_| "a scope is ingest, read or admin".to_owned())
}

pub(super) fn show(text: &str) -> Result<Show, String> {
    text.parse().map_err(|_| "it is all, no_login or no_system".to_owned())
}

pub(super) fn event_key(text: &str) -> Result<EventKey, String> {
    text.parse().map_err(|_| "it is sequence or id".to_owned())
}

/// A condition as a parameter of the API: `not_action=LOGIN`.
pub(super) fn condition(text: &str) -> Result<Condition, String> {
    let condition = text
        .split_once('=')
        .and_then(|(name, value)| Condition::of_parameter(name, value))
        .ok_or_else(|| {
            "it must look like principal=ann, not_action=LOGIN, org_prefix=eu or ip=10.0.0.0/8".to_owned()
        })?;
    match condition.validate() {
        Ok(()) => Ok(condition),
        Err(errors) => Err(errors.0.first().map_or_else(String::new, |error| error.message.clone())),
    }
}

/// A date or time with its offset, epoch milliseconds, or an age such as `24h`.
pub(super) fn moment(text: &str) -> Result<EpochMillis, String> {
    let text = text.trim();
    if let Ok(millis) = text.parse() {
        return Ok(millis);
    }
    if let Some(age) = seconds(text).and_then(|age| i64::try_from(age).ok()) {
        let now = Timestamp::now().as_millisecond();
        return Ok(now.saturating_sub(age.saturating_mul(1_000)));
    }
    // A date parses from the beginning of a date and time, too.
    let date = || (text.len() == 10).then(|| text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok())?;
    let time = text.parse::<Timestamp>().ok();
    let time = time.or_else(|| date().map(|date| date.timestamp()));
    time.map(Timestamp::as_millisecond)
        .ok_or_else(|| "it must look like 2026-11-27, 2026-11-27T10:00:00Z, 1764237600000, 24h or 7d".to_owned())
}

/// `730d` or `8760h`, from a day to a hundred years.
pub(super) fn retention(text: &str) -> Result<Duration, String> {
    const DAY: u64 = 86_400;
    let refused = || "it must look like 730d or 8760h".to_owned();
    if !text.trim().ends_with(['d', 'h']) {
        return Err(refused());
    }
    match seconds(text) {
        Some(seconds) if (DAY..=36_500 * DAY).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err("it must be between 1d and 36500d".to_owned()),
        None => Err(refused()),
    }
}

/// Parses a number and a unit as seconds.
fn seconds(text: &str) -> Option<u64> {
    let split = text.trim().find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.trim().split_at(split.unwrap_or(text.trim().len()));
    let seconds_in = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds_in)
}

/// `10s`, `5m`, `1h` or `1d`, from a second to a day.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match seconds(text) {
        Some(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err("it must be between 1s and 24h".to_owned()),
        None => Err("it must look like 10s, 5m or 1h".to_owned()),
    }
}

/// A number, or `None` for `default`. The engine checks its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrDefault(pub Option<i64>);

/// `10000` or `default`.
pub(super) fn number_or_default(text: &str) -> Result<OrDefault, String> {
    match text.trim() {
        "default" => Ok(OrDefault(None)),
        number => number
            .parse()
            .map(|number| OrDefault(Some(number)))
            .map_err(|_| "it must be a number or “default”".to_owned()),
    }
}

/// `10s`, `5m`, `1h` or `default`, in seconds.
pub(super) fn interval_or_default(text: &str) -> Result<OrDefault, String> {
    if text.trim() == "default" {
        return Ok(OrDefault(None));
    }
    let seconds = seconds(text).and_then(|seconds| i64::try_from(seconds).ok());
    seconds
        .map(|seconds| OrDefault(Some(seconds)))
        .ok_or_else(|| "it must look like 10s, 5m or 24h, or be “default”".to_owned())
}

/// `10s`, `1m`, or a number of seconds, up to ten minutes.
pub(super) fn drain(text: &str) -> Result<Duration, String> {
    let bare = text.trim().parse().ok();
    match bare.or_else(|| seconds(text)) {
        Some(seconds @ 0..=600) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err("it must be between 0s and 10m".to_owned()),
        None => Err("it must look like 10s or 1m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_with_a_unit() {
        for (text, seconds) in [
            ("10s", 10),
            ("5m", 300),
            ("1h", 3_600),
            ("24h", 86_400),
            (" 30m ", 1_800),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "0s",
            "25h",
            "5 m",
            "-1s",
            "1.5h",
            "99999999999999999999h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_is_a_date_a_time_a_number_or_an_age() {
        for (text, millis) in [
            ("1700000000000", 1_700_000_000_000),
            ("2023-11-14", 1_699_920_000_000),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2023-11-14T23:13:20.5+01:00", 1_700_000_000_500),
        ] {
            assert_eq!(moment(text), Ok(millis), "{text}");
        }
        let day = moment("24h").unwrap() - moment("2d").unwrap();
        assert!((86_400_000..86_401_000).contains(&day), "{day}");
        for text in ["", "yesterday", "2023-11-14T22:13:20", "2023-13-01", "7w"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_retention_is_at_least_a_day() {
        for (text, hours) in [("730d", 17_520), ("24h", 24), ("1d", 24)] {
            assert_eq!(retention(text), Ok(Duration::from_secs(hours * 3_600)), "{text}");
        }
        for text in ["", "23h", "0d", "730", "90000s", "d", "36501d", "99999999999999999999d"] {
            assert!(retention(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_drain_has_seconds_or_a_unit() {
        for (text, seconds) in [("0", 0), ("0s", 0), ("15", 15), ("10s", 10), ("10m", 600)] {
            assert_eq!(drain(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "-1", "11m", "601", "s", "1.5s"] {
            assert!(drain(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_public_url_is_an_origin() {
        assert_eq!(
            public_url("https://audit.example.com/"),
            Ok("https://audit.example.com".to_owned())
        );
        for text in [
            "audit.example.com",
            "https://",
            "https://a.example/audit",
            "ftp://a.example",
        ] {
            assert!(public_url(text).is_err(), "{text}");
        }
    }
}
