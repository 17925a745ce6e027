//! Pages of lists: the rows as an array, the totals in headers.

use auditstream_model::{ListQuery, Listing};
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

/// The query parameters of a list whose rows have no status, for OpenAPI.
#[derive(Debug)]
pub struct WithoutStatus;

impl IntoParams for WithoutStatus {
    fn into_params(within: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        parameters(&["page", "limit", "sort", "order", "search_term"], within)
    }
}

/// The query parameters of a list with a fixed order, for OpenAPI.
#[derive(Debug)]
pub struct PageOnly;

impl IntoParams for PageOnly {
    fn into_params(within: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        parameters(&["page", "limit"], within)
    }
}

fn parameters(names: &[&str], within: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
    let all = ListQuery::into_params(within);
    all.into_iter()
        .filter(|parameter| names.contains(&parameter.name.as_str()))
        .collect()
}

/// The response with a page of rows.
#[derive(Debug)]
pub struct Rows<T>(pub Listing<T>);

impl<T: Serialize> IntoResponse for Rows<T> {
    fn into_response(self) -> Response {
        let Listing {
            items,
            total,
            page,
            limit,
        } = self.0;
        let totals = [
            ("x-total-elements", total.to_string()),
            ("x-page-number", page.to_string()),
            ("x-page-size", limit.to_string()),
        ];
        (totals, Json(items)).into_response()
    }
}
