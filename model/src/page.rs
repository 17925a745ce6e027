//! Paging, sorting and search of lists.

use serde::{Deserialize, Serialize};

use crate::field::FieldErrors;
use crate::limits::{MAX_PAGE_ROWS, PAGE_ROWS};

/// What a list is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// The identifier.
    Identifier,
    /// The name.
    Name,
    /// When it was made.
    Created,
    /// When it was last changed.
    #[default]
    Updated,
}

/// Which end of a list comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Order {
    /// Smallest first.
    #[serde(rename = "ASC")]
    Ascending,
    /// Largest first.
    #[default]
    #[serde(rename = "DESC")]
    Descending,
}

/// Which rows of a list are wanted: last changed first unless asked otherwise.
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
    /// What to sort by.
    pub sort: Sort,
    /// Which end comes first.
    pub order: Order,
    /// Part of a name or identifier, in either case.
    #[cfg_attr(feature = "openapi", param(pattern = r"^[^\x00]*$"))]
    pub search_term: Option<String>,
    /// Only destinations of this status.
    pub status: Option<crate::destination::Status>,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self {
            page: 0,
            limit: PAGE_ROWS,
            sort: Sort::default(),
            order: Order::default(),
            search_term: None,
            status: None,
        }
    }
}

impl ListQuery {
    /// # Errors
    /// The fields that are out of range.
    pub fn checked(self) -> Result<Self, FieldErrors> {
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
    /// Rows of all pages.
    pub total: u32,
    /// This page, from 0.
    pub page: u32,
    /// Rows that a page can have.
    pub limit: u32,
}

impl<T> Listing<T> {
    /// The page that was asked for of all rows, which are in their order.
    #[must_use]
    pub fn page_of(all: Vec<T>, query: &ListQuery) -> Self {
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

    /// The same page with other rows in place of its own.
    pub fn with<U>(&self, items: Vec<U>) -> Listing<U> {
        Listing {
            items,
            total: self.total,
            page: self.page,
            limit: self.limit,
        }
    }
}
