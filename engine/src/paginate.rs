//! Search, order and pages of short lists: all rows are read, and one page is returned.

use std::cmp::Ordering;

use auditstream_model::{ListQuery, Listing, Order, Sort};

pub(crate) trait Listed {
    fn identifier(&self) -> &str;
    fn name(&self) -> &str;
    fn created(&self) -> i64;
    fn updated(&self) -> i64;
}

/// Orders equal rows by identifier, so that no row is on two pages or on none.
pub(crate) fn page<R: Listed>(mut rows: Vec<R>, query: &ListQuery) -> Listing<R> {
    let term = query.search_term.as_deref().unwrap_or_default().to_lowercase();
    rows.retain(|row| row.name().to_lowercase().contains(&term) || row.identifier().to_lowercase().contains(&term));
    rows.sort_by(|a, b| {
        let order = by(query.sort, a, b).then_with(|| a.identifier().cmp(b.identifier()));
        match query.order {
            Order::Ascending => order,
            Order::Descending => order.reverse(),
        }
    });
    Listing::paginate(rows, query)
}

fn by<R: Listed>(sort: Sort, a: &R, b: &R) -> Ordering {
    match sort {
        Sort::Identifier => a.identifier().cmp(b.identifier()),
        Sort::Name => a.name().cmp(b.name()),
        Sort::Created => a.created().cmp(&b.created()),
        Sort::Updated => a.updated().cmp(&b.updated()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row(&'static str, &'static str, i64);

    impl Listed for Row {
        fn identifier(&self) -> &str {
            self.0
        }
        fn name(&self) -> &str {
            self.1
        }
        fn created(&self) -> i64 {
            -self.2
        }
        fn updated(&self) -> i64 {
            self.2
        }
    }

    fn found(query: &ListQuery) -> (Vec<&'static str>, u32) {
        let rows = vec![
            Row("siem", "Alerts", 3),
            Row("b", "Ärzte", 1),
            Row("a", "Archive", 1),
            Row("lake", "SIEM of the EU", 2),
        ];
        let page = page(rows, query);
        (page.items.iter().map(|row| row.0).collect(), page.total)
    }

    #[test]
    fn pages_are_parts_of_one_order_even_among_equals() {
        let of = |page, sort, order| {
            let query = ListQuery {
                page,
                limit: 2,
                sort,
                order,
                ..ListQuery::default()
            };
            found(&query)
        };
        assert_eq!(of(0, Sort::Updated, Order::Descending), (vec!["siem", "lake"], 4));
        assert_eq!(of(1, Sort::Updated, Order::Descending), (vec!["b", "a"], 4));
        assert_eq!(of(0, Sort::Updated, Order::Ascending), (vec!["a", "b"], 4));
        assert_eq!(of(0, Sort::Created, Order::Ascending), (vec!["siem", "lake"], 4));
        assert_eq!(of(0, Sort::Identifier, Order::Ascending), (vec!["a", "b"], 4));
        assert_eq!(of(1, Sort::Name, Order::Ascending), (vec!["lake", "b"], 4));
        assert_eq!(of(u32::MAX, Sort::Name, Order::Ascending), (vec![], 4));
    }

    #[test]
    fn a_search_finds_parts_of_names_and_identifiers_in_either_case() {
        let of = |term: &str| {
            found(&ListQuery {
                search_term: Some(term.to_owned()),
                ..ListQuery::default()
            })
        };
        assert_eq!(of("SiEm"), (vec!["siem", "lake"], 2));
        assert_eq!(of("ÄRZ"), (vec!["b"], 1));
        assert_eq!(of("nothing"), (vec![], 0));
    }
}
