//! Finds the end of a range of events before any of them is read.

use auditstream_model::Sequence;

use super::missing;
use super::range::Range;
use super::read::{Bounds, Segments};
use super::rows::{Head, Row, decompress};
use crate::database::Database;
use crate::error::Result;

/// Finds the events after `after`, up to `up_to` or as many as the bounds allow; at least one.
///
/// # Errors
/// [`Error::Broken`](crate::Error::Broken) if an event is missing or a segment is damaged.
pub(crate) async fn find(
    database: &Database,
    account_id: i64,
    after: Sequence,
    up_to: Sequence,
    bounds: Bounds,
) -> Result<Range> {
    loop {
        let mut finder = Finder {
            segments: Segments::of(database, account_id),
            after,
            up_to,
            bounds,
            last: after,
            bytes: 0,
            partial: None,
        };
        if finder.run().await? == Step::Changed {
            continue;
        }
        if finder.last == after {
            return Err(missing(after + 1));
        }
        return Ok(Range {
            account_id,
            first_sequence: after + 1,
            last_sequence: finder.last,
            bytes: finder.bytes,
        });
    }
}

struct Finder<'a> {
    segments: Segments<'a>,
    after: Sequence,
    up_to: Sequence,
    bounds: Bounds,
    /// The last event that belongs to the range.
    last: Sequence,
    /// The bytes of the payloads so far.
    bytes: usize,
    /// The first segment, if the range begins inside of it and all of its bytes count so far.
    partial: Option<Head>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Next,
    /// No further event belongs to the range.
    Full,
    /// A segment was merged with others since its place was read.
    Changed,
}

impl Finder<'_> {
    async fn run(&mut self) -> Result<Step> {
        loop {
            let heads = self.segments.heads(self.last, self.up_to).await?;
            if heads.is_empty() {
                return Ok(Step::Full);
            }
            for head in heads {
                if head.first_sequence > self.last + 1 {
                    return Err(missing(self.last + 1));
                }
                let step = self.add(head).await?;
                if step != Step::Next {
                    return Ok(step);
                }
            }
        }
    }

    /// Adds the events of the next segment. The sizes of its events are read only if all of its
    /// bytes would be too many.
    async fn add(&mut self, head: Head) -> Result<Step> {
        let most = i64::try_from(self.bounds.events).unwrap_or(i64::MAX);
        let end = head
            .last_sequence
            .min(self.up_to)
            .min(self.after.saturating_add(most.max(1)));
        let all = self.bytes.saturating_add(head.size());
        if self.has_room(all, end) {
            if head.first_sequence <= self.after {
                self.partial = Some(head);
            }
            (self.bytes, self.last) = (all, end);
        } else {
            if let Some(partial) = self.partial.take() {
                let Some(ends) = self.ends(partial).await? else {
                    return Ok(Step::Changed);
                };
                self.bytes -= end_of(&ends, partial, self.after);
            }
            let Some(ends) = self.ends(head).await? else {
                return Ok(Step::Changed);
            };
            let skipped = end_of(&ends, head, self.last);
            let bytes_until = |sequence| self.bytes + end_of(&ends, head, sequence) - skipped;
            let fits =
                |sequence: &Sequence| *sequence == self.after + 1 || self.has_room(bytes_until(*sequence), *sequence);
            let last = (self.last + 1..=end).take_while(fits).last().unwrap_or(self.last);
            (self.bytes, self.last) = (bytes_until(last), last);
            if last < end {
                return Ok(Step::Full);
            }
        }
        let is_full = self.last >= self.up_to || self.last - self.after >= most;
        Ok(if is_full { Step::Full } else { Step::Next })
    }

    /// Whether the bounds allow payloads of `bytes` up to an event.
    fn has_room(&self, bytes: usize, last: Sequence) -> bool {
        let events = usize::try_from(last - self.after).unwrap_or(usize::MAX);
        bytes.saturating_add(events.saturating_mul(self.bounds.closing)) <= self.bounds.bytes
    }

    /// Returns the end of each payload in a segment; `None` if it was merged.
    async fn ends(&mut self, head: Head) -> Result<Option<Vec<usize>>> {
        let last = head.last_sequence;
        let rows = self.segments.rows(last - 1, last).await?;
        let is_it = |row: &Row| row.first_sequence == head.first_sequence;
        let Some(row) = rows.into_iter().find(is_it) else {
            return Ok(None);
        };
        decompress(row.size(), move |zstd| Ok(Some(row.decode(zstd)?.ends))).await
    }
}

/// Returns the bytes of the payloads of a segment up to an event, including it.
fn end_of(ends: &[usize], head: Head, sequence: Sequence) -> usize {
    let index = usize::try_from(sequence - head.first_sequence).ok();
    index.and_then(|index| ends.get(index)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::super::codec::Encoder;
    use super::super::range::fold;
    use super::super::read::read;
    use super::super::write::{Place, write};
    use super::*;
    use crate::database::{DatabaseUrl, Limits};

    /// Stores events of random sizes in segments of random lengths. Returns the last sequence.
    async fn store(database: &Database, account_id: i64, random: &mut SmallRng) -> Sequence {
        let (mut segments, mut last) = (Vec::new(), 0);
        for _ in 0..random.random_range(1..8) {
            let mut encoder = Encoder::new().unwrap();
            let first = last + 1;
            last += random.random_range(1..12);
            for sequence in first..=last {
                let payload = format!("{sequence}").repeat(random.random_range(0..10));
                encoder.push(sequence, &payload);
            }
            segments.push(encoder.finish().unwrap());
        }
        let place = Place {
            first_sequence: 1,
            received: 0,
            bytes_before: 0,
            month: 0,
        };
        let mut tx = database.write().await.unwrap();
        write(&mut tx, account_id, place, &segments, 1..=last).await.unwrap();
        tx.commit().await.unwrap();
        last
    }

    async fn folded(database: &Database, range: Range) -> Result<Vec<String>> {
        fold(database, range, Vec::new(), |all, payload| all.push(payload.to_owned())).await
    }

    #[tokio::test]
    async fn a_range_has_the_events_that_are_read_within_the_same_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("auditstream.db"));
        let database = Database::open(&url, &Limits::default()).await.unwrap();
        let mut random = SmallRng::seed_from_u64(7);
        for account_id in 1..40 {
            let last = store(&database, account_id, &mut random).await;
            for _ in 0..10 {
                let after = random.random_range(0..last);
                let up_to = random.random_range(after + 1..last + 3);
                let bounds = Bounds {
                    events: random.random_range(1..40),
                    bytes: random.random_range(1..500),
                    closing: random.random_range(0..5),
                };
                let events = read(&database, account_id, after, up_to, bounds).await.unwrap();
                let range = find(&database, account_id, after, up_to, bounds).await.unwrap();
                let found = (range.first_sequence, range.last_sequence);
                assert_eq!(found, (after + 1, events.last_sequence()), "{after} {up_to} {bounds:?}");
                assert!(range.bytes >= events.bytes());
                let payloads: Vec<_> = (0..events.len()).map(|index| events.payload(index)).collect();
                assert_eq!(folded(&database, range).await.unwrap(), payloads);
            }
        }
    }

    #[tokio::test]
    async fn a_missing_event_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("auditstream.db"));
        let database = Database::open(&url, &Limits::default()).await.unwrap();
        let last = store(&database, 1, &mut SmallRng::seed_from_u64(1)).await;
        let bounds = Bounds {
            events: usize::MAX,
            bytes: usize::MAX,
            closing: 0,
        };
        let all = find(&database, 1, 0, last + 1, bounds).await.unwrap();
        assert_eq!((all.first_sequence, all.last_sequence), (1, last));
        let error = find(&database, 1, last, last + 1, bounds).await.unwrap_err();
        assert!(
            error.to_string().contains(&format!("event {} is missing", last + 1)),
            "{error}"
        );
        let mut tx = database.write().await.unwrap();
        sqlx::query("DELETE FROM audit_segment WHERE first_sequence = 1")
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        for error in [
            find(&database, 1, 0, last, bounds).await.unwrap_err(),
            folded(&database, all).await.unwrap_err(),
        ] {
            assert!(error.to_string().contains("event 1 is missing"), "{error}");
        }
    }
}
