//! The order of a slice: its events by time and sequence. The number of an event in that order is
//! its rank. Terms refer to events by rank, so that the newest events of a term are its last ranks.

use auditstream_model::{EpochMillis, Sequence};

use super::Damaged;
use super::packing::{Packer, unpack};
use super::varint::{Numbers, push, push_signed};
use crate::error::Result;

/// Events whose places are stored in one row.
pub(super) const ROW_EVENTS: usize = 4_096;

/// The place of an event in the order of the trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) time: EpochMillis,
    pub(crate) sequence: Sequence,
}

impl Place {
    /// The place before every event of a time.
    pub(crate) fn first_of(time: EpochMillis) -> Self {
        Self {
            time,
            sequence: Sequence::MIN,
        }
    }
}

/// The places from a rank on.
#[derive(Clone, Debug)]
pub(super) struct PackedOrder {
    pub(super) first_rank: u32,
    pub(super) content: Vec<u8>,
}

/// Writes the places of a slice in their order.
pub(super) struct OrderWriter {
    packer: Packer,
    row: Vec<Place>,
    rows: Vec<PackedOrder>,
    /// The first place of each row.
    marks: Vec<Place>,
    events: u32,
    last: Option<Place>,
}

/// The order of a slice, apart from its rows.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) events: u32,
    /// The first and the last place; `None` if the slice has no events.
    pub(super) ends: Option<(Place, Place)>,
    pub(super) marks: Vec<u8>,
}

impl OrderWriter {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            packer: Packer::new()?,
            row: Vec::with_capacity(ROW_EVENTS),
            rows: Vec::new(),
            marks: Vec::new(),
            events: 0,
            last: None,
        })
    }

    pub(super) fn push(&mut self, place: Place) -> Result<()> {
        if self.row.is_empty() {
            self.marks.push(place);
        }
        self.row.push(place);
        self.last = Some(place);
        self.events += 1;
        if self.row.len() == ROW_EVENTS {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let length = u32::try_from(self.row.len()).unwrap_or(u32::MAX);
        self.rows.push(PackedOrder {
            first_rank: self.events - length,
            content: self.packer.pack(&encode(&self.row))?,
        });
        self.row.clear();
        Ok(())
    }

    /// Returns the rows that are complete.
    pub(super) fn take(&mut self) -> Vec<PackedOrder> {
        std::mem::take(&mut self.rows)
    }

    pub(super) fn finish(mut self) -> Result<(Vec<PackedOrder>, Written)> {
        if !self.row.is_empty() {
            self.flush()?;
        }
        let written = Written {
            events: self.events,
            ends: self.marks.first().copied().zip(self.last),
            marks: self.packer.pack(&encode(&self.marks))?,
        };
        Ok((self.rows, written))
    }
}

/// Encodes the number of places, the times, then the sequences.
fn encode(places: &[Place]) -> Vec<u8> {
    let mut out = Vec::with_capacity(places.len() * 4 + 10);
    push(&mut out, places.len() as u64);
    let columns: [fn(&Place) -> i64; 2] = [|place| place.time, |place| place.sequence];
    for column in columns {
        let mut last = 0;
        for number in places.iter().map(column) {
            push_signed(&mut out, number.wrapping_sub(last));
            last = number;
        }
    }
    out
}

/// Returns the places of a row, or the marks of a slice.
pub(super) fn decode(content: &[u8]) -> Result<Vec<Place>, Damaged> {
    let bytes = unpack(content)?;
    let mut numbers = Numbers(&bytes);
    let length = numbers.next_len()?;
    // Each place has at least a byte.
    if length > bytes.len() {
        return Err(Damaged);
    }
    let mut places = Vec::with_capacity(length);
    let mut last = 0_i64;
    for _ in 0..length {
        last = last.wrapping_add(numbers.next_signed()?);
        places.push(Place::first_of(last));
    }
    last = 0;
    for place in &mut places {
        last = last.wrapping_add(numbers.next_signed()?);
        place.sequence = last;
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_row_by_row() {
        let place = |number: i64| Place {
            time: 1_700_000_000_000 + number / 3,
            sequence: 10_000_000_000 + number,
        };
        let mut writer = OrderWriter::new().unwrap();
        for number in 0..10_000 {
            writer.push(place(number)).unwrap();
        }
        let (rows, written) = writer.finish().unwrap();
        assert_eq!((rows.len(), written.events), (3, 10_000));
        assert_eq!(written.ends, Some((place(0), place(9_999))));
        let all: Vec<Place> = rows.iter().flat_map(|row| decode(&row.content).unwrap()).collect();
        assert_eq!(all, (0..10_000).map(place).collect::<Vec<_>>());
        assert_eq!(
            decode(&written.marks).unwrap(),
            rows.iter().map(|row| place(row.first_rank.into())).collect::<Vec<_>>()
        );
        let mut damaged = rows[0].content.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        assert_eq!(decode(&damaged), Err(Damaged));
    }

    #[test]
    fn a_slice_can_have_no_event() {
        let (rows, written) = OrderWriter::new().unwrap().finish().unwrap();
        assert!(rows.is_empty() && written.ends.is_none());
        assert_eq!(decode(&written.marks).unwrap(), []);
    }
}
