//! The sequences that no slice has.

use auditstream_model::Sequence;

use super::rows::SliceRow;

/// Returns the ranges of a trail that no slice has, in their order; slices are given in theirs.
pub(super) fn gaps(slices: &[SliceRow], first: Sequence, last: Sequence) -> Vec<(Sequence, Sequence)> {
    let mut gaps = Vec::new();
    let mut next = first;
    for slice in slices {
        if slice.first_sequence > next {
            gaps.push((next, (slice.first_sequence - 1).min(last)));
        }
        next = next.max(slice.last_sequence + 1);
    }
    if next <= last {
        gaps.push((next, last));
    }
    gaps.retain(|(first, last)| first <= last);
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(first_sequence: Sequence, last_sequence: Sequence) -> SliceRow {
        SliceRow {
            slice: first_sequence,
            first_sequence,
            last_sequence,
            events: last_sequence - first_sequence + 1,
            min_time: 0,
            max_time: 0,
        }
    }

    #[test]
    fn gaps_are_before_between_and_after_the_slices() {
        assert_eq!(gaps(&[], 1, 0), []);
        assert_eq!(gaps(&[], 1, 9), [(1, 9)]);
        let slices = [slice(11, 20), slice(21, 30), slice(41, 50)];
        assert_eq!(gaps(&slices, 1, 60), [(1, 10), (31, 40), (51, 60)]);
        assert_eq!(gaps(&slices, 15, 50), [(31, 40)]);
        assert_eq!(
            gaps(&slices, 15, 35),
            [(31, 35)],
            "the trail as it was before the last slice"
        );
        assert_eq!(gaps(&slices, 51, 50), []);
    }
}
