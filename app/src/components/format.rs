//! Formatting of numbers for people.

/// `1,204`
#[must_use]
pub fn with_thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// `1 event`, `1,204 events`
#[must_use]
pub fn pluralise(number: i64, one: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {one}{s}", with_thousands(number))
}

/// `940 B`, `3.2 kB`, `14.0 MB`
#[must_use]
pub fn bytes(number: i64) -> String {
    let (tenths, unit) = match number {
        ..1_000 => return format!("{number} B"),
        1_000..1_000_000 => (number / 100, "kB"),
        1_000_000..1_000_000_000 => (number / 100_000, "MB"),
        _ => (number / 100_000_000, "GB"),
    };
    format!("{}.{} {unit}", with_thousands(tenths / 10), tenths % 10)
}

/// `16 MiB`, `5,000,000 bytes`
#[must_use]
pub fn mebibytes(bytes: i64) -> String {
    if bytes > 0 && bytes % (1 << 20) == 0 {
        format!("{} MiB", with_thousands(bytes >> 20))
    } else {
        pluralise(bytes, "byte")
    }
}

/// `45 seconds`, `1 minute`, `24 hours`
#[must_use]
pub fn seconds(number: i64) -> String {
    match number {
        1.. if number % 3_600 == 0 => pluralise(number / 3_600, "hour"),
        1.. if number % 60 == 0 => pluralise(number / 60, "minute"),
        _ => pluralise(number, "second"),
    }
}

/// `80 ms`, `1.4 s`, `3 min`, `2 h`
#[must_use]
pub fn duration(millis: i64) -> String {
    match millis {
        ..1_000 => format!("{} ms", millis.max(0)),
        1_000..60_000 => format!("{} s", millis / 1_000),
        60_000..3_600_000 => format!("{} min", millis / 60_000),
        _ => format!("{} h", with_thousands(millis / 3_600_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators_and_units() {
        assert_eq!(
            [with_thousands(0), with_thousands(1_204), with_thousands(-1_000_000)],
            ["0", "1,204", "-1,000,000"]
        );
        assert_eq!([pluralise(1, "event"), pluralise(0, "event")], ["1 event", "0 events"]);
        assert_eq!(
            [bytes(999), bytes(3_250), bytes(14_000_000), bytes(2_500_000_000_000)],
            ["999 B", "3.2 kB", "14.0 MB", "2,500.0 GB"]
        );
        assert_eq!(
            [duration(80), duration(1_450), duration(190_000), duration(7_300_000)],
            ["80 ms", "1 s", "3 min", "2 h"]
        );
        assert_eq!(
            [mebibytes(64 << 20), mebibytes(1_048_577)],
            ["64 MiB", "1,048,577 bytes"]
        );
        assert_eq!(
            [seconds(1), seconds(90), seconds(60), seconds(86_400)],
            ["1 second", "90 seconds", "1 minute", "24 hours"]
        );
    }
}
