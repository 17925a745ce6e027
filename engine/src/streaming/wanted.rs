//! The bytes that a destination wants: a range of events in one form. Destinations of an account
//! that want equal bytes share them.

use auditstream_model::{Compression, DestinationSpec, Format, Sequence};

/// The most bytes that encoding adds to a payload: batch id, sequence and their members' names.
pub(super) const CLOSING_BYTES: usize = 100;

/// The most that a batch contains, at least one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cut {
    pub(super) events: usize,
    /// Bytes of the content.
    pub(super) bytes: usize,
}

impl Cut {
    /// No limit, for a batch that is frozen.
    const NONE: Self = Self {
        events: usize::MAX,
        bytes: usize::MAX,
    };

    /// Returns the size of the next batch of a destination.
    pub(super) fn of(spec: &DestinationSpec) -> Self {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            events: size(spec.batch_events),
            bytes: size(spec.batch_bytes),
        }
    }

    /// Returns the last event that a batch after `after` can have. Batches end at multiples of
    /// `events`, so that destinations with equal settings have equal batches after different
    /// starts.
    fn end(self, after: Sequence, up_to: Sequence) -> Sequence {
        let events = i64::try_from(self.events).unwrap_or(i64::MAX).max(1);
        (after / events).saturating_add(1).saturating_mul(events).min(up_to)
    }
}

/// The form of a destination's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Form {
    pub(super) account_id: i64,
    pub(super) cut: Cut,
    pub(super) format: Format,
    pub(super) compression: Compression,
    /// The compression level; `None` for the default.
    pub(super) level: Option<u8>,
}

impl Form {
    /// Returns the form of the next objects of a destination.
    pub(super) fn of(account_id: i64, spec: &DestinationSpec) -> Self {
        Self {
            account_id,
            cut: Cut::of(spec),
            format: spec.format,
            compression: spec.compression,
            level: spec.level(),
        }
    }
}

/// A range of events in one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub(super) form: Form,
    pub(super) after: Sequence,
    /// The last event, unless the bytes of the form end it earlier.
    pub(super) up_to: Sequence,
}

impl Wanted {
    /// The batch after an event.
    pub(super) fn next(form: Form, after: Sequence, up_to: Sequence) -> Self {
        let up_to = form.cut.end(after, up_to);
        Self { form, after, up_to }
    }

    /// The frozen batch from `first` to `last`.
    pub(super) fn frozen(form: Form, first: Sequence, last: Sequence) -> Self {
        let form = Form { cut: Cut::NONE, ..form };
        let (after, up_to) = (first - 1, last);
        Self { form, after, up_to }
    }

    /// The content, which is the same for every compression.
    pub(super) fn content(mut self) -> Self {
        (self.form.compression, self.form.level) = (Compression::None, None);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_end_at_the_same_events_wherever_a_destination_began() {
        let cut = Cut {
            events: 100,
            bytes: usize::MAX,
        };
        let ends = |mut after: Sequence| {
            let mut ends = Vec::new();
            while after < 350 {
                after = cut.end(after, 350);
                ends.push(after);
            }
            ends
        };
        assert_eq!(ends(0), [100, 200, 300, 350]);
        assert_eq!(ends(99), ends(0));
        assert_eq!(ends(100), ends(101));
        assert_eq!(ends(349), [350]);
        assert_eq!(Cut::NONE.end(7, i64::MAX), i64::MAX);
    }
}
