//! Names the differences between the lines of an object and the events that it must have.

use std::collections::{BTreeSet, HashMap};

use auditstream_model::Sequence;
use serde::de::IgnoredAny;

use super::super::tree::{Hash, leaf_hash};
use super::events::ending;
use super::report::{Finding, Kind};

/// Differences of one kind in one object that are named.
const NAMED_LINES: usize = 20;

/// A line of an object.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The sequence and batch in its ending; `None` if it has none.
    ending: Option<(Sequence, Box<str>)>,
    hash: Hash,
    is_json: bool,
}

impl Line {
    pub(super) fn of(event: &[u8]) -> Self {
        Self {
            ending: ending(event).map(|ending| (ending.sequence, ending.batch_id.into())),
            hash: leaf_hash(event),
            is_json: event.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(event).is_ok(),
        }
    }
}

/// Returns the differences between the lines and the events `first` to `last`, in order of lines.
/// There is at least one.
pub(super) fn diagnose(lines: &[Line], first: Sequence, last: Sequence) -> Vec<Finding> {
    if let Some(finding) = foreign_batch(lines, first, last) {
        return vec![finding];
    }
    let sorted = Sorted::of(lines, first, last);
    let mut differences = Vec::new();
    // A line that is no event of the object is the changed form of one that is missing, as long as
    // there are any.
    let missing = sorted
        .missing
        .len()
        .max(usize::try_from(sorted.missing_count).unwrap_or(usize::MAX));
    let altered = sorted.odd.len().min(missing);
    for (line, sequence) in sorted.odd.iter().take(altered).zip(&sorted.missing) {
        differences.push((*line, Kind::EventAltered, format!("the event {sequence} was changed")));
    }
    for line in sorted.odd.iter().skip(altered) {
        differences.push((*line, Kind::EventInserted, "this is no event of the object".to_owned()));
    }
    for sequence in sorted.missing.iter().skip(altered) {
        let line = usize::try_from(sequence - first).unwrap_or(0).min(lines.len());
        differences.push((line, Kind::EventMissing, format!("the event {sequence} is missing")));
    }
    for (line, sequence, is_same) in &sorted.repeated {
        differences.push(match is_same {
            true => (
                *line,
                Kind::EventDuplicated,
                format!("the event {sequence} is there twice"),
            ),
            false => (*line, Kind::EventInserted, format!("there is another event {sequence}")),
        });
    }
    if differences.is_empty() {
        for (line, sequence) in out_of_order(lines) {
            differences.push((
                line,
                Kind::EventsReordered,
                format!("the event {sequence} is not in its place"),
            ));
        }
    }
    if differences.is_empty() {
        for (line, _) in lines.iter().enumerate().filter(|(_, line)| !line.is_json) {
            differences.push((line, Kind::EventAltered, "this is not a JSON object".to_owned()));
        }
    }
    differences.sort_by_key(|(line, ..)| *line);
    differences.truncate(NAMED_LINES);
    if differences.is_empty() {
        let message = format!(
            "at least one of the events {first}-{last} was changed; all of them have the right numbers, so that only \
             another copy shows which"
        );
        return vec![Finding::new(Kind::EventAltered, message)];
    }
    let finding =
        |(line, kind, message)| Finding::new(kind, message).on_line(u64::try_from(line).ok().map(|line| line + 1));
    differences.into_iter().map(finding).collect()
}

/// The lines by what is wrong with them. Lines count from 0.
#[derive(Default)]
struct Sorted {
    /// Without one of the object's sequences.
    odd: Vec<usize>,
    /// With a sequence that an earlier line has, and whether it is the same line.
    repeated: Vec<(usize, Sequence, bool)>,
    /// The first missing sequences.
    missing: Vec<Sequence>,
    missing_count: i64,
}

impl Sorted {
    fn of(lines: &[Line], first: Sequence, last: Sequence) -> Self {
        let batch_id = format!("{first}-{last}");
        let mut sorted = Self::default();
        let mut seen: HashMap<Sequence, Hash> = HashMap::new();
        let mut sequences = BTreeSet::new();
        for (place, line) in lines.iter().enumerate() {
            match &line.ending {
                Some((sequence, batch)) if (first..=last).contains(sequence) && **batch == *batch_id => {
                    if let Some(earlier) = seen.insert(*sequence, line.hash) {
                        sorted.repeated.push((place, *sequence, earlier == line.hash));
                    }
                    sequences.insert(*sequence);
                }
                _ => sorted.odd.push(place),
            }
        }
        let count = i64::try_from(sequences.len()).unwrap_or(i64::MAX);
        sorted.missing_count = (last - first + 1).saturating_sub(count).max(0);
        let mut next = first;
        for sequence in sequences.into_iter().chain([last + 1]) {
            let gap = next..sequence;
            let room = (2 * NAMED_LINES + sorted.odd.len()).saturating_sub(sorted.missing.len());
            sorted.missing.extend(gap.take(room));
            next = sequence + 1;
        }
        sorted
    }
}

/// Returns a finding if most lines are of one other batch.
fn foreign_batch(lines: &[Line], first: Sequence, last: Sequence) -> Option<Finding> {
    let own = format!("{first}-{last}");
    let mut batches: HashMap<&str, usize> = HashMap::new();
    for (_, batch) in lines.iter().filter_map(|line| line.ending.as_ref()) {
        *batches.entry(batch).or_default() += 1;
    }
    let (batch, count) = batches.into_iter().max_by_key(|(batch, count)| (*count, *batch))?;
    (batch != own && 2 * count > lines.len()).then(|| {
        let message = format!("the object has the events of the batch {batch} instead of {own}");
        Finding::new(Kind::ObjectReplaced, message)
    })
}

/// Returns the lines that are not in the order of their sequences.
fn out_of_order(lines: &[Line]) -> Vec<(usize, Sequence)> {
    let sequences: Vec<_> = lines.iter().filter_map(|line| Some(line.ending.as_ref()?.0)).collect();
    let mut sorted = sequences.clone();
    sorted.sort_unstable();
    let moved = sequences.into_iter().enumerate().zip(sorted);
    moved
        .filter(|((_, is), should)| is != should)
        .map(|(moved, _)| moved)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(body: &str, sequence: i64) -> String {
        format!(r#"{{"a":"{body}","auditEventMetadata":{{"sequence":{sequence},"batchId":"5-8"}}}}"#)
    }

    fn named(lines: &[String]) -> Vec<(Kind, Option<u64>)> {
        let lines: Vec<_> = lines.iter().map(|line| Line::of(line.as_bytes())).collect();
        let found = diagnose(&lines, 5, 8);
        found.into_iter().map(|finding| (finding.kind, finding.line)).collect()
    }

    #[test]
    fn one_change_of_a_line_is_named() {
        let [a, b, c, d] = [line("a", 5), line("b", 6), line("c", 7), line("d", 8)];
        let of = |lines: &[&String]| named(&lines.iter().map(|line| (*line).clone()).collect::<Vec<_>>());
        let foreign = line("x", 99);
        let torn = c[..c.len() - 1].to_owned();
        let broken = c.replacen('{', "", 1);
        assert_eq!(of(&[&a, &c, &d]), [(Kind::EventMissing, Some(2))]);
        assert_eq!(of(&[&a, &b, &c]), [(Kind::EventMissing, Some(4))]);
        assert_eq!(of(&[&a, &b, &b, &c, &d]), [(Kind::EventDuplicated, Some(3))]);
        assert_eq!(of(&[&a, &b, &line("y", 6), &c, &d]), [(Kind::EventInserted, Some(3))]);
        assert_eq!(of(&[&a, &foreign, &b, &c, &d]), [(Kind::EventInserted, Some(2))]);
        assert_eq!(
            of(&[&a, &c, &b, &d]),
            [(Kind::EventsReordered, Some(2)), (Kind::EventsReordered, Some(3))]
        );
        assert_eq!(of(&[&a, &b, &torn, &d]), [(Kind::EventAltered, Some(3))]);
        assert_eq!(of(&[&a, &b, &broken, &d]), [(Kind::EventAltered, Some(3))]);
        assert_eq!(of(&[&a, &b, &line("y", 7), &d]), [(Kind::EventAltered, None)]);
        assert_eq!(
            of(&[&a, &b, &b, &d]),
            [(Kind::EventMissing, Some(3)), (Kind::EventDuplicated, Some(3))]
        );
    }

    #[test]
    fn an_object_with_the_events_of_another_batch_is_recognised() {
        let lines: Vec<_> = (1..=3).map(|n| line("a", n).replace("5-8", "1-3")).collect();
        assert_eq!(named(&lines), [(Kind::ObjectReplaced, None)]);
    }
}
