//! Queries of the index: terms and ranges of terms, combined.

use auditstream_model::{Condition, EventField, EventFilter, Network, Show, Test};

use super::terms::{BEGINNING_BYTES, Kind, address_text};
use super::words::{SearchedWords, cut};
use crate::error::Result;

/// A term, or a range of terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    Term(Vec<u8>),
    /// The terms from the first text up to, and not including, the second.
    Range(Vec<u8>, Vec<u8>),
}

/// A condition: all leaves of at least one of the lists, by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) any: Vec<Vec<usize>>,
    pub(super) is_negated: bool,
}

/// Conditions that every matching event meets, as far as the index knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(super) leaves: Vec<Leaf>,
    /// The conditions, those that are not negated first, and of these the most selective kinds.
    pub(super) clauses: Vec<Clause>,
    /// Whether every event that meets the conditions matches.
    is_exact: bool,
    /// Whether the search is for a text without words, which the index cannot find.
    has_text_without_words: bool,
}

impl Query {
    /// The conditions of a filter, apart from its times.
    pub(crate) fn of(filter: &EventFilter) -> Result<Self> {
        let mut query = Self {
            is_exact: true,
            ..Self::default()
        };
        if let Some(text) = filter.search_text()? {
            query.is_exact = false;
            match SearchedWords::of(text) {
                Some(words) => query.add_words(&words),
                None => query.has_text_without_words = true,
            }
        }
        let conditions = filter.all_conditions();
        // The fields whose values usually have the fewest events come first.
        for field in [
            EventField::Resource,
            EventField::Principal,
            EventField::Ip,
            EventField::Project,
            EventField::Org,
            EventField::ResourceType,
            EventField::Action,
            EventField::Module,
            EventField::PrincipalType,
        ] {
            query.add_field(conditions.iter().filter(|condition| condition.field == field));
        }
        for condition in conditions.iter().filter(|condition| condition.is_negated) {
            query.add_negated(condition);
        }
        match filter.show {
            Show::All => {}
            Show::NoLogin => query.exclude(Kind::Action, &["LOGIN", "LOGIN2FA", "UNSUCCESSFUL_LOGIN"]),
            Show::NoSystem => query.exclude(Kind::PrincipalType, &["SYSTEM"]),
        }
        Ok(query)
    }

    /// Whether the index can find the events that match.
    pub(crate) fn is_useful(&self) -> bool {
        !self.clauses.is_empty() && !self.has_text_without_words
    }

    /// Whether every event that the index finds matches.
    pub(crate) fn is_exact(&self) -> bool {
        self.is_exact && !self.has_text_without_words
    }

    fn leaf(&mut self, leaf: Leaf) -> usize {
        if let Some(known) = self.leaves.iter().position(|other| *other == leaf) {
            return known;
        }
        self.leaves.push(leaf);
        self.leaves.len() - 1
    }

    fn add_words(&mut self, words: &SearchedWords) {
        // The longest is usually the rarest.
        let mut whole = words.whole.clone();
        whole.sort_by_key(|word| std::cmp::Reverse(word.len()));
        let mut all: Vec<usize> = Vec::new();
        for word in whole {
            all.push(self.leaf(Leaf::Term(Kind::Word.term(&word))));
        }
        if let Some(beginning) = &words.beginning {
            all.push(self.leaf(beginning_with(Kind::Word, beginning)));
        }
        let many = self.leaf(Leaf::Term(Kind::ManyWords.term(b"")));
        self.clauses.push(Clause {
            any: vec![all, vec![many]],
            is_negated: false,
        });
    }

    fn add_field<'c>(&mut self, conditions: impl Iterator<Item = &'c Condition>) {
        let mut any = Vec::new();
        for condition in conditions.filter(|condition| !condition.is_negated) {
            let (leaf, is_exact) = leaf_of(condition);
            self.is_exact &= is_exact;
            any.push(vec![self.leaf(leaf)]);
        }
        if !any.is_empty() {
            self.clauses.push(Clause { any, is_negated: false });
        }
    }

    fn add_negated(&mut self, condition: &Condition) {
        let (leaf, is_exact) = leaf_of(condition);
        // A term that other values have too must not exclude them.
        if !is_exact {
            self.is_exact = false;
            return;
        }
        let any = vec![vec![self.leaf(leaf)]];
        self.clauses.push(Clause { any, is_negated: true });
    }

    fn exclude(&mut self, kind: Kind, values: &[&str]) {
        let any = values
            .iter()
            .map(|value| vec![self.leaf(Leaf::Term(kind.value(value).0))]);
        let any = any.collect();
        self.clauses.push(Clause { any, is_negated: true });
    }
}

/// The kind of a field's terms.
pub(super) fn kind(field: EventField) -> Kind {
    match field {
        EventField::Principal => Kind::Principal,
        EventField::PrincipalType => Kind::PrincipalType,
        EventField::Action => Kind::Action,
        EventField::Module => Kind::Module,
        EventField::ResourceType => Kind::ResourceType,
        EventField::Resource => Kind::Resource,
        EventField::Org => Kind::Org,
        EventField::Project => Kind::Project,
        EventField::Ip => Kind::Address,
    }
}

/// The leaf of a condition as if it were not negated, and whether it has exactly its events.
fn leaf_of(condition: &Condition) -> (Leaf, bool) {
    let kind = kind(condition.field);
    if condition.field == EventField::Ip {
        let Some(network) = Network::parse(&condition.value) else {
            // Refused earlier. No term begins with it.
            return (Leaf::Term(kind.term(b"-")), false);
        };
        let first = kind.term(address_text(network.first).as_bytes());
        let mut end = kind.term(address_text(network.last).as_bytes());
        end.push(1);
        return (Leaf::Range(first, end), true);
    }
    match condition.test {
        Test::Is => {
            let (term, is_exact) = kind.value(&condition.value);
            (Leaf::Term(term), is_exact)
        }
        Test::Begins => {
            let beginning = cut(condition.value.as_bytes(), BEGINNING_BYTES);
            (
                beginning_with(kind, beginning),
                beginning.len() == condition.value.len(),
            )
        }
    }
}

/// The terms of a kind that begin with a text.
pub(super) fn beginning_with(kind: Kind, text: &[u8]) -> Leaf {
    let first = kind.term(text);
    let mut end = first.clone();
    if let Some(last) = end.last_mut() {
        // The last byte of a kind or of a text in UTF-8 is never 255.
        *last = last.saturating_add(1);
    }
    Leaf::Range(first, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_becomes_terms_and_ranges() {
        let filter = EventFilter {
            principal: Some("ann".into()),
            q: Some("Deploy prod".into()),
            show: Show::NoSystem,
            conditions: vec![
                Condition::is(EventField::Principal, "ben"),
                Condition::of_parameter("not_resource_prefix", "test").unwrap(),
                Condition::is(EventField::Ip, "10.0.0.0/8"),
            ],
            ..EventFilter::default()
        };
        let query = Query::of(&filter).unwrap();
        assert!(query.is_useful() && !query.is_exact());
        let show = |clause: &Clause| -> Vec<Vec<Leaf>> {
            let leaves = |list: &Vec<usize>| list.iter().map(|leaf| query.leaves[*leaf].clone()).collect();
            clause.any.iter().map(leaves).collect()
        };
        let term = |text: &str| Leaf::Term(text.as_bytes().to_vec());
        let range = |first: &str, end: &str| Leaf::Range(first.as_bytes().to_vec(), end.as_bytes().to_vec());
        let shown: Vec<_> = query
            .clauses
            .iter()
            .map(|clause| (clause.is_negated, show(clause)))
            .collect();
        assert_eq!(
            shown,
            [
                (
                    false,
                    vec![vec![term("wdeploy"), range("wprod", "wproe")], vec![term("!")]]
                ),
                (false, vec![vec![term("pann")], vec![term("pben")]]),
                (false, vec![vec![range("i40a000000", "i40affffff\u{1}")]]),
                (true, vec![vec![range("rtest", "rtesu")]]),
                (true, vec![vec![term("tSYSTEM")]]),
            ]
        );
    }

    #[test]
    fn texts_without_words_and_filters_without_conditions_are_left_to_the_scan() {
        let of = |q: &str| {
            Query::of(&EventFilter {
                q: Some(q.into()),
                ..EventFilter::default()
            })
            .unwrap()
        };
        assert!(!of("").is_useful() && of("").is_exact());
        assert!(!of("--").is_useful() && !of("--").is_exact());
        assert!(of("-a-").is_useful());
    }
}
