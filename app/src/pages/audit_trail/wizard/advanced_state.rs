//! The entries of "Advanced": the size of objects, the interval, and the level of compression.

use std::borrow::Cow;

use auditstream_model::limits::{BATCH_BYTES, BATCH_EVENTS};
use auditstream_model::{Compression, DestinationSpec, SpecInput};
use leptos::prelude::*;

use crate::choice::Choice;
use crate::components::Field;
use crate::components::format::{mebibytes, seconds};

/// A number with its label. The wizard offers some numbers, and keeps any other that was set
/// through the API.
macro_rules! numbers {
    ($(#[$attribute:meta])* $name:ident, $format:ident, [$($value:literal: $label:literal,)*]) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(super) struct $name {
            value: Cow<'static, str>,
            label: Cow<'static, str>,
        }

        impl Choice for $name {
            const ALL: &'static [Self] = &[$(Self {
                value: Cow::Borrowed($value),
                label: Cow::Borrowed($label),
            }),*];

            fn value(&self) -> &str {
                &self.value
            }

            fn label(&self) -> &str {
                &self.label
            }

            fn from_value(value: &str) -> Option<Self> {
                let offered = Self::ALL.iter().find(|choice| choice.value == value);
                let other = || {
                    let number = value.parse().ok()?;
                    Some(Self {
                        value: value.to_owned().into(),
                        label: $format(number).into(),
                    })
                };
                offered.cloned().or_else(other)
            }
        }
    };
}

numbers! {
    /// Most bytes of an object before compression.
    ObjectBytes, mebibytes, [
        "1048576": "1 MiB",
        "2097152": "2 MiB",
        "4194304": "4 MiB",
        "8388608": "8 MiB",
        "16777216": "16 MiB",
        "33554432": "32 MiB",
        "67108864": "64 MiB",
    ]
}

numbers! {
    /// Seconds between two runs; empty for the interval of the server.
    Interval, seconds, [
        "": "Default of the server",
        "10": "10 seconds",
        "30": "30 seconds",
        "60": "1 minute",
        "300": "5 minutes",
        "600": "10 minutes",
        "900": "15 minutes",
        "1800": "30 minutes",
        "3600": "1 hour",
        "21600": "6 hours",
        "86400": "24 hours",
    ]
}

#[derive(Clone, Copy)]
pub(super) struct AdvancedEntries {
    pub events: Field,
    pub bytes: RwSignal<ObjectBytes>,
    pub interval: RwSignal<Interval>,
    /// Empty for the default.
    pub level: Field,
}

impl AdvancedEntries {
    pub(super) fn new(spec: Option<&DestinationSpec>) -> Self {
        let bytes = spec.map_or(BATCH_BYTES, |spec| spec.batch_bytes).to_string();
        let interval = spec.and_then(|spec| spec.interval_seconds);
        let interval = interval.map(|seconds| seconds.to_string()).unwrap_or_default();
        let level = spec.and_then(|spec| spec.compression_level);
        Self {
            events: Field::new(spec.map_or(BATCH_EVENTS, |spec| spec.batch_events).to_string()),
            bytes: RwSignal::new(ObjectBytes::from_value(&bytes).unwrap_or(ObjectBytes::ALL[0].clone())),
            interval: RwSignal::new(Interval::from_value(&interval).unwrap_or(Interval::ALL[0].clone())),
            level: Field::new(level.map(|level| level.to_string()).unwrap_or_default()),
        }
    }

    /// Returns `spec` with these entries.
    pub(super) fn add_to(self, spec: SpecInput, compression: Compression) -> SpecInput {
        let level = number(&self.level.value.get());
        SpecInput {
            batch_events: Some(number(&self.events.value.get())),
            batch_bytes: Some(number(self.bytes.get().value())),
            interval_seconds: Some(number(self.interval.get().value())),
            compression_level: Some(level.filter(|_| compression != Compression::None)),
            ..spec
        }
    }

    /// Returns whether an entry differs from its default.
    pub(super) fn has_options(self) -> bool {
        let defaults = Self::new(None);
        self.events.now() != defaults.events.now()
            || self.bytes.get_untracked() != defaults.bytes.get_untracked()
            || self.interval.get_untracked() != defaults.interval.get_untracked()
            || !self.level.now().trim().is_empty()
    }
}

/// Returns `None` for an empty text, and 0, which is never valid, for one that is not a number.
fn number(text: &str) -> Option<i64> {
    let digits = text.trim().replace(',', "");
    (!digits.is_empty()).then(|| digits.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(entries: AdvancedEntries, compression: Compression) -> SpecInput {
        entries.add_to(SpecInput::defaults("logs"), compression)
    }

    #[test]
    fn labels_are_those_of_other_numbers() {
        for choice in ObjectBytes::ALL {
            assert_eq!(choice.label(), mebibytes(choice.value().parse().unwrap()));
        }
        for choice in &Interval::ALL[1..] {
            assert_eq!(choice.label(), seconds(choice.value().parse().unwrap()));
        }
        assert_eq!(Interval::from_value("45").unwrap().label(), "45 seconds");
        assert_eq!(ObjectBytes::from_value("5000000").unwrap().label(), "5,000,000 bytes");
        assert_eq!(Interval::from_value("soon"), None);
    }

    #[test]
    fn entries_that_are_not_numbers_are_reported_and_empty_ones_are_the_default() {
        let owner = Owner::new();
        owner.set();
        let entries = AdvancedEntries::new(None);
        assert!(!entries.has_options());
        entries.events.value.set("many".to_owned());
        entries.level.value.set("best".to_owned());
        assert!(entries.has_options());
        let sent = added(entries, Compression::Gzip);
        assert_eq!(
            (sent.batch_events, sent.compression_level),
            (Some(Some(0)), Some(Some(0)))
        );
        assert_eq!(added(entries, Compression::None).compression_level, Some(None));
        entries.events.value.set(" 100,000 ".to_owned());
        entries.level.value.set(String::new());
        let sent = added(entries, Compression::Gzip);
        assert_eq!(
            (sent.batch_events, sent.compression_level),
            (Some(Some(100_000)), Some(None))
        );
        assert_eq!(
            (sent.batch_bytes, sent.interval_seconds),
            (Some(Some(16 << 20)), Some(None))
        );
    }
}
