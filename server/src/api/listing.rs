//! A page of a list: the rows as an array, the totals in headers.

use auditstream_model::Listing;
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A page on its way out.
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
