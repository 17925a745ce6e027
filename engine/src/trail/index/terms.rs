//! Terms, by which the index finds events. A term is a kind and a text. It contains no U+0000,
//! since no event does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use auditstream_model::EventField;
use sha2::{Digest as _, Sha256};

use super::known_values::KnownValues;
use super::words::{cut, each_value, of_value};
use crate::trail::fields::Fields;

/// The most different words of an event in the index. An event with more is a candidate of every
/// search for words.
pub(super) const WORDS: usize = 2_000;
/// The most bytes of a value in the index. A longer value is indexed by its beginning and a hash.
const VALUE_BYTES: usize = 128;
const LONG_VALUE_BYTES: usize = 120;
/// Of any value with at least this many bytes, the index has these first ones.
pub(super) const BEGINNING_BYTES: usize = LONG_VALUE_BYTES - 3;

/// The kind of a term: its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The event has more than [`WORDS`] words.
    ManyWords,
    Word,
    Principal,
    PrincipalType,
    Action,
    Module,
    ResourceType,
    Resource,
    Org,
    Project,
    /// The client's IP address.
    Address,
}

impl Kind {
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::ManyWords => b'!',
            Self::Word => b'w',
            Self::Principal => b'p',
            Self::PrincipalType => b't',
            Self::Action => b'a',
            Self::Module => b'm',
            Self::ResourceType => b'y',
            Self::Resource => b'r',
            Self::Org => b'o',
            Self::Project => b'j',
            Self::Address => b'i',
        }
    }

    /// Replaces `out` with the term of a text.
    fn write(self, text: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.push(self.byte());
        out.extend_from_slice(text);
    }

    /// The term of a text as it is.
    pub(super) fn term(self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 1);
        self.write(text, &mut out);
        out
    }

    /// Replaces `out` with the term of a value.
    fn write_value(self, value: &str, out: &mut Vec<u8>) {
        if value.len() <= VALUE_BYTES {
            self.write(value.as_bytes(), out);
            return;
        }
        self.write(cut(value.as_bytes(), LONG_VALUE_BYTES), out);
        out.push(1);
        for byte in Sha256::digest(value.as_bytes()).iter().take(8) {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 15)]);
        }
    }

    /// The term of a value, and whether no other value has it.
    pub(super) fn value(self, value: &str) -> (Vec<u8>, bool) {
        let mut out = Vec::new();
        self.write_value(value, &mut out);
        (out, value.len() <= VALUE_BYTES)
    }
}

/// The text of an address by which networks are ranges of terms.
pub(super) fn address_text(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("4{:08x}", address.to_bits()),
        IpAddr::V6(address) => format!("6{:032x}", address.to_bits()),
    }
}

/// The value of a term of a field; `None` if the term has only its beginning.
pub(super) fn value_of_term(field: EventField, term: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(term.get(1..)?).ok()?;
    if field != EventField::Ip {
        return (text.len() <= VALUE_BYTES).then(|| text.to_owned());
    }
    match text.split_at_checked(1)? {
        ("4", digits) => Some(Ipv4Addr::from_bits(u32::from_str_radix(digits, 16).ok()?).to_string()),
        (_, digits) => Some(Ipv6Addr::from_bits(u128::from_str_radix(digits, 16).ok()?).to_string()),
    }
}

/// A set of terms, in which each has a number, and the terms of one event among them.
pub(super) trait TermSet {
    /// Returns the number of a term. Adds the term if the set lacks it.
    fn number(&mut self, term: &[u8]) -> u32;
    /// Gives the event the term with a number. Returns whether it did not have it before.
    fn mark(&mut self, number: u32) -> bool;
}

/// Finds the terms of events. All of them go to one set.
#[derive(Debug, Default)]
pub(super) struct Terms {
    known: KnownValues,
    unescaped: String,
    folded: String,
    term: Vec<u8>,
}

impl Terms {
    /// Gives an event, whose stored payload this is, its terms.
    pub(super) fn find(&mut self, payload: &str, fields: &Fields<'_>, set: &mut impl TermSet) {
        let values = [
            (Kind::Principal, Some(&fields.principal)),
            (Kind::PrincipalType, Some(&fields.principal_type)),
            (Kind::Action, Some(&fields.action)),
            (Kind::Module, Some(&fields.module)),
            (Kind::ResourceType, Some(&fields.resource_type)),
            (Kind::Resource, Some(&fields.resource)),
            (Kind::Org, fields.org.as_ref()),
            (Kind::Project, fields.project.as_ref()),
        ];
        for (kind, value) in values {
            if let Some(value) = value {
                kind.write_value(value, &mut self.term);
                self.mark(set);
            }
        }
        let address = fields.client_ip.as_ref().and_then(|text| text.parse::<IpAddr>().ok());
        if let Some(address) = address {
            Kind::Address.write(address_text(address).as_bytes(), &mut self.term);
            self.mark(set);
        }
        if self.words(payload, set) >= WORDS {
            Kind::ManyWords.write(b"", &mut self.term);
            self.mark(set);
        }
    }

    fn mark(&self, set: &mut impl TermSet) {
        let number = set.number(&self.term);
        set.mark(number);
    }

    /// Gives an event its words, at most [`WORDS`]. Returns the number of different ones.
    fn words(&mut self, payload: &str, set: &mut impl TermSet) -> usize {
        let Self {
            known,
            unescaped,
            folded,
            term,
        } = self;
        let mut different = 0;
        each_value(payload, unescaped, |value| {
            let numbers = known.words(value, |found| {
                of_value(value, folded, |word| {
                    Kind::Word.write(word, term);
                    found.push(set.number(term));
                });
            });
            for number in numbers {
                if different < WORDS {
                    different += usize::from(set.mark(*number));
                }
            }
        });
        different
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_has_a_term_that_no_short_one_has() {
        let long = |end: &str| "é".repeat(100) + end;
        let (one, is_exact) = Kind::Resource.value(&long("a"));
        assert!(!is_exact);
        assert!(one.len() > VALUE_BYTES + 1, "no short value has the same term");
        assert_ne!(one, Kind::Resource.value(&long("b")).0);
        assert!(one.starts_with(&Kind::Resource.term(cut(long("").as_bytes(), BEGINNING_BYTES))));
        assert_eq!(Kind::Resource.value("r"), (b"rr".to_vec(), true));
    }

    #[test]
    fn addresses_are_in_the_order_of_their_networks() {
        let text = |address: &str| address_text(address.parse().unwrap());
        assert_eq!(text("10.0.0.1"), "40a000001");
        assert_eq!(text("::ffff:10.0.0.1"), text("10.0.0.1"));
        assert!(text("10.255.0.1") < text("11.0.0.0"));
        assert_eq!(text("2001:db8::1").len(), 33);
        for address in ["10.0.0.1", "2001:db8::1"] {
            let term = Kind::Address.term(text(address).as_bytes());
            assert_eq!(value_of_term(EventField::Ip, &term).unwrap(), address);
        }
    }
}
