//! Consecutive events of the trail, in one buffer.

use auditstream_model::{EpochMillis, Sequence};

use super::codec::Decoded;

/// Consecutive events of the trail.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// The sequence of the first event, or the one after which the reading began.
    first_sequence: Sequence,
    /// The payloads, one after another.
    text: String,
    /// The end of each payload in the text.
    ends: Vec<usize>,
    times: Vec<EpochMillis>,
}

impl Events {
    pub(super) fn after(after: Sequence) -> Self {
        Self {
            first_sequence: after + 1,
            ..Self::default()
        }
    }

    /// Reserves memory for further payloads, so that the buffer does not grow by copying.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.text.reserve_exact(bytes);
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of the payloads.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The sequence of the last event; without events the one before the first.
    pub(crate) fn last_sequence(&self) -> Sequence {
        self.first_sequence + i64::try_from(self.len()).unwrap_or(0) - 1
    }

    /// Returns the payload of an event; beyond the end it is empty.
    pub(crate) fn payload(&self, index: usize) -> &str {
        payload(&self.text, &self.ends, index)
    }

    /// Returns the `auditEventTime` of an event; beyond the end it is 0.
    pub(crate) fn time(&self, index: usize) -> EpochMillis {
        self.times.get(index).copied().unwrap_or_default()
    }

    /// Returns the sequence and the payload of each event.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (Sequence, &str)> + Clone {
        (0..self.len()).map(|index| {
            let sequence = self.first_sequence + i64::try_from(index).unwrap_or(0);
            (sequence, self.payload(index))
        })
    }

    /// Appends events `from..to` of a segment.
    pub(super) fn append(&mut self, segment: &Decoded, from: usize, to: usize) {
        let start = |index: usize| index.checked_sub(1).and_then(|at| segment.ends.get(at)).copied();
        let (begin, end) = (start(from).unwrap_or(0), start(to).unwrap_or(0));
        let base = self.text.len();
        self.text.push_str(segment.text.get(begin..end).unwrap_or_default());
        let ends = segment.ends.get(from..to).unwrap_or_default();
        self.ends.extend(ends.iter().map(|end| base + end - begin));
        let times = segment.times.get(from..to).unwrap_or_default();
        self.times.extend_from_slice(times);
    }
}

pub(super) fn payload<'t>(text: &'t str, ends: &[usize], index: usize) -> &'t str {
    let begin = index.checked_sub(1).map_or(Some(0), |before| ends.get(before).copied());
    let range = begin.zip(ends.get(index).copied());
    range.and_then(|(begin, end)| text.get(begin..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_segments_follow_each_other() {
        let segment = |payloads: &[&str], time: EpochMillis| {
            let mut end = 0;
            Decoded {
                text: payloads.concat(),
                ends: payloads
                    .iter()
                    .map(|payload| {
                        end += payload.len();
                        end
                    })
                    .collect(),
                times: vec![time; payloads.len()],
            }
        };
        let mut events = Events::after(4);
        assert_eq!((events.len(), events.last_sequence(), events.payload(0)), (0, 4, ""));
        events.append(&segment(&["a", "bb", "ccc"], 7), 1, 3);
        events.append(&segment(&["dddd", "", "e"], 8), 0, 2);
        let all: Vec<_> = events.iter().collect();
        assert_eq!(all, [(5, "bb"), (6, "ccc"), (7, "dddd"), (8, "")]);
        assert_eq!(
            (events.first_sequence, events.last_sequence(), events.bytes()),
            (5, 8, 9)
        );
        assert_eq!([1, 2].map(|index| events.time(index)), [7, 8]);
    }
}
