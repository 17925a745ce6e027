//! Paging, sorting and search of lists.

use serde::{Deserialize, Serialize};

use crate::limits::{DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS};
use crate::wire_names::wire_names;
use crate::{FieldErrors, Status};

wire_names! {
    /// The sort key of a list.
    #[derive(Default)]
    pub enum Sort {
        /// The identifier.
        Identifier = "identifier",
        /// The name.
        Name = "name",
        /// The time of creation.
        Created = "created",
        /// The time of the last change.
        #[default]
        Updated = "updated",
    }
}

wire_names! {
    /// The direction of a list.
    #[derive(Default)]
    pub enum Order {
        /// Smallest first.
        Ascending = "ASC",
        /// Largest first.
        #[default]
        Descending = "DESC",
    }
}

/// A page of a list to return: by default the first, last changed first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(default)]
pub struct ListQuery {
    /// The page, from 0.
    #[cfg_attr(feature = "openapi", param(maximum = 4_294_967_295_i64, default = 0))]
    pub page: u32,
    /// Rows of a page, 1 to 100.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 100, default = 30))]
    pub limit: u32,
    /// The sort key.
    pub sort: Sort,
    /// The direction.
    pub order: Order,
    /// Part of a name or identifier, ignoring case.
    #[cfg_attr(feature = "openapi", param(pattern = r"^[^\x00]*$"))]
    pub search_term: Option<String>,
    /// The status of the destinations to return; all of them by default.
    pub status: Option<Status>,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self {
            page: 0,
            limit: DEFAULT_PAGE_ROWS,
            sort: Sort::default(),
            order: Order::default(),
            search_term: None,
            status: None,
        }
    }
}

impl ListQuery {
    /// Validates the query.
    pub fn validated(self) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        if !(1..=MAX_PAGE_ROWS).contains(&self.limit) {
            errors.add("limit", format!("A page has 1 to {MAX_PAGE_ROWS} rows."));
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing<T> {
    /// The rows of this page.
    pub items: Vec<T>,
    /// The number of rows on all pages.
    pub total: u32,
    /// This page, from 0.
    pub page: u32,
    /// The most rows that a page can have.
    pub limit: u32,
}

impl<T> Listing<T> {
    /// Takes the requested page from all rows, which are already filtered and sorted.
    #[must_use]
    pub fn paginate(all: Vec<T>, query: &ListQuery) -> Self {
        let total = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let (page, limit) = (query.page, query.limit);
        let first = (page as usize).saturating_mul(limit as usize);
        let items = all.into_iter().skip(first).take(limit as usize).collect();
        Self {
            items,
            total,
            page,
            limit,
        }
    }

    /// Returns the same page with other rows.
    pub fn with_items<U>(&self, items: Vec<U>) -> Listing<U> {
        Listing {
            items,
            total: self.total,
            page: self.page,
            limit: self.limit,
        }
    }
}
