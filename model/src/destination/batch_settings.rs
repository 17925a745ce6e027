//! The settings of a destination's batches: their size, the interval of its runs, and the level of
//! the compression.

use std::ops::RangeInclusive;

use super::compression::Compression;
use crate::FieldErrors;
use crate::limits::{BATCH_BYTES, BATCH_EVENTS, INTERVAL_SECONDS, MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MIN_BATCH_BYTES};

/// A number as a client sends it: `None` if it is omitted, `Some(None)` for the default.
pub(super) type Sent = Option<Option<i64>>;

pub(super) const fn default_events() -> u32 {
    BATCH_EVENTS
}

pub(super) const fn default_bytes() -> u32 {
    BATCH_BYTES
}

pub(super) fn events(sent: Sent, errors: &mut FieldErrors) -> u32 {
    let message = "Enter a number of events from 1 to 100,000.";
    number("spec.batch_events", sent, &(1..=MAX_BATCH_EVENTS), message, errors).unwrap_or(BATCH_EVENTS)
}

pub(super) fn bytes(sent: Sent, errors: &mut FieldErrors) -> u32 {
    let message = "Enter a number of bytes from 1,048,576 (1 MiB) to 67,108,864 (64 MiB).";
    let range = MIN_BATCH_BYTES..=MAX_BATCH_BYTES;
    number("spec.batch_bytes", sent, &range, message, errors).unwrap_or(BATCH_BYTES)
}

pub(super) fn interval_seconds(sent: Sent, errors: &mut FieldErrors) -> Option<u32> {
    let message = "Enter a number of seconds from 10 to 86,400 (a day).";
    number("spec.interval_seconds", sent, &INTERVAL_SECONDS, message, errors)
}

pub(super) fn level(sent: Sent, compression: Compression, errors: &mut FieldErrors) -> Option<u8> {
    const FIELD: &str = "spec.compression_level";
    let Some(levels) = compression.levels() else {
        if sent.flatten().is_some() {
            errors.add(FIELD, "An object that is not compressed has no level.");
        }
        return None;
    };
    let message = format!(
        "The levels of {compression} are the whole numbers from {} to {}.",
        levels.start(),
        levels.end()
    );
    number(FIELD, sent, &levels, &message, errors)
}

/// Returns `None` for the default, and after adding an error.
fn number<T: TryFrom<i64> + PartialOrd>(
    field: &str,
    sent: Sent,
    range: &RangeInclusive<T>,
    message: &str,
    errors: &mut FieldErrors,
) -> Option<T> {
    let number = T::try_from(sent.flatten()?)
        .ok()
        .filter(|number| range.contains(number));
    if number.is_none() {
        errors.add(field, message);
    }
    number
}
