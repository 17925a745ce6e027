//! Slices that are built from random events, and merged, have exactly the terms of those events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::block::{Block, Entries, PackedBlock};
use super::build::{Builder, Built};
use super::merge::{Storage, merge};
use super::order::{PackedOrder, Place, decode};
use super::terms::{TermSet, Terms};
use crate::error::Result;
use crate::trail::fields;

type Found = BTreeMap<Vec<u8>, BTreeSet<Place>>;

/// Slices in memory: those that are merged, and the result.
#[derive(Default)]
struct Memory {
    parts: Vec<(Vec<PackedOrder>, Vec<PackedBlock>)>,
    order: Vec<PackedOrder>,
    blocks: Vec<PackedBlock>,
}

impl Storage for Memory {
    fn order(&mut self, part: usize) -> Result<Vec<PackedOrder>> {
        let rows = &mut self.parts[part].0;
        Ok(rows.drain(..rows.len().min(1)).collect())
    }

    fn blocks(&mut self, part: usize) -> Result<Vec<PackedBlock>> {
        let blocks = &mut self.parts[part].1;
        Ok(blocks.drain(..blocks.len().min(1)).collect())
    }

    fn store(&mut self, order: Vec<PackedOrder>, blocks: Vec<PackedBlock>) -> Result<bool> {
        self.order.extend(order);
        self.blocks.extend(blocks);
        Ok(true)
    }
}

fn payload(words: &[u8], principal: u8) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("word{word}")).collect();
    let event = json!({
        "auditEventId": "id",
        "auditEventAuthor": {"principal": {"type": "USER", "identifier": format!("ann{principal}")}},
        "auditModule": "CD",
        "auditResource": {"type": "T", "identifier": "Some Resource"},
        "auditResourceScope": {"accountIdentifier": "default"},
        "auditAction": "CREATE",
        "auditHttpRequestInfo": {"requestMethod": "GET", "clientIP": format!("10.0.0.{principal}")},
        "said": words.join(" "),
    });
    let text = event.to_string();
    format!(r#"{},"auditEventMetadata":{{"#, text.trim_end_matches('}'))
}

fn build(events: &[(Place, String)]) -> Built {
    let mut builder = Builder::default();
    for (place, payload) in events {
        builder.add(*place, payload);
    }
    builder.finish().unwrap()
}

/// The terms of events, and the place of the last one.
struct Expected {
    terms: Vec<Vec<u8>>,
    found: Found,
    place: Place,
}

impl TermSet for Expected {
    fn number(&mut self, term: &[u8]) -> u32 {
        self.terms.push(term.to_vec());
        u32::try_from(self.terms.len() - 1).unwrap()
    }

    fn mark(&mut self, number: u32) -> bool {
        let term = self.terms[usize::try_from(number).unwrap()].clone();
        self.found.entry(term).or_default().insert(self.place)
    }
}

fn expected(events: &[(Place, String)]) -> Found {
    let mut expected = Expected {
        terms: Vec::new(),
        found: Found::new(),
        place: Place::first_of(0),
    };
    for (place, payload) in events {
        expected.place = *place;
        // Without the values of the events before.
        Terms::default().find(payload, &fields::of(payload), &mut expected);
    }
    expected.found
}

fn found(order: &[PackedOrder], blocks: &[PackedBlock]) -> Found {
    let places: Vec<Place> = order.iter().flat_map(|row| decode(&row.content).unwrap()).collect();
    assert!(places.is_sorted());
    let mut found = Found::new();
    for block in blocks {
        let mut entries = Entries::of(Arc::new(Block::unpack(&block.content).unwrap()));
        while entries.advance().unwrap() {
            let term = found.entry(entries.term().to_vec()).or_default();
            entries
                .ranks(|rank| {
                    assert!(term.insert(places[rank as usize]), "twice");
                    Ok(())
                })
                .unwrap();
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn merged_slices_have_the_terms_of_their_events(
        parts in vec(vec((0_i64..50, vec(0_u8..40, 0..6), 0_u8..5), 0..40), 1..6)
    ) {
        let mut sequence = 0;
        let mut memory = Memory::default();
        let mut all = Vec::new();
        for part in parts {
            let events: Vec<(Place, String)> = part.iter().map(|(time, words, principal)| {
                sequence += 1;
                (Place { time: *time, sequence }, payload(words, *principal))
            }).collect();
            let built = build(&events);
            prop_assert_eq!(found(&built.order, &built.blocks), expected(&events));
            memory.parts.push((built.order, built.blocks));
            all.extend(events);
        }
        let written = merge(memory.parts.len(), &mut memory).unwrap().unwrap();
        prop_assert_eq!(written.events as usize, all.len());
        prop_assert_eq!(found(&memory.order, &memory.blocks), expected(&all));
    }
}

#[test]
fn an_event_with_very_many_words_is_marked() {
    let words: Vec<String> = (0..5_000).map(|number| format!("x{number}")).collect();
    let place = Place { time: 1, sequence: 1 };
    let built = build(&[(place, json!({"said": words.join(" ")}).to_string())]);
    let found = found(&built.order, &built.blocks);
    assert!(found.contains_key(&b"!"[..]));
    assert!(found.len() < 2_100, "{}", found.len());
}
