//! Notices of searches that found nothing, or have not looked at everything yet.

use auditstream_model::{EpochMillis, TimeRange};
use leptos::prelude::*;
use leptos_router::params::ParamsMap;

use super::query::{address_with, range_of};
use crate::components::format::with_thousands;
use crate::components::time::absolute;
use crate::paths;

/// The notice that a search has looked at a limited number of events, with the way to continue.
#[component]
pub(super) fn SearchedUntil(
    /// The time down to which it has looked.
    until: EpochMillis,
    /// Whether it has found nothing.
    is_empty: bool,
    /// The page that continues there.
    address: String,
) -> impl IntoView {
    let until = absolute(until);
    let text = if is_empty {
        format!("Nothing found since {until}.")
    } else {
        format!("Nothing else found since {until}.")
    };
    view! {
        <p class="searched-until" role="status">
            {text}
            <a class="button" href=address>"Keep looking"</a>
        </p>
    }
}

/// The notice of events that are dated in the future, and are therefore not on the page.
#[component]
pub(super) fn FutureEvents(count: i64, query: ParamsMap) -> impl IntoView {
    let text = match count {
        1 => "1 matching event is dated in the future. A clock may be wrong.".to_owned(),
        many @ 1_000.. => format!(
            "{} or more matching events are dated in the future. A clock may be wrong.",
            with_thousands(many)
        ),
        many => format!(
            "{} matching events are dated in the future. A clock may be wrong.",
            with_thousands(many)
        ),
    };
    view! {
        <p class="banner banner-warning">
            {text}
            <a href=address_with(&query, "range", TimeRange::Future.as_str())>"Show them"</a>
        </p>
    }
}

#[component]
pub(super) fn NoEvents(outside: i64, query: ParamsMap) -> impl IntoView {
    let all = address_with(&query, "range", "all");
    let is_all = range_of(&query) == TimeRange::All;
    if outside > 0 {
        let text = match outside {
            1 => "1 matching event is outside this time range.".to_owned(),
            many @ 1_000.. => format!(
                "{} or more matching events are outside this time range.",
                with_thousands(many)
            ),
            many => format!("{} matching events are outside this time range.", with_thousands(many)),
        };
        return view! {
            <div class="empty">
                <h2>"No events in this time range"</h2>
                <p>{text}</p>
                <a class="button primary" href=all>"Show all time"</a>
            </div>
        }
        .into_any();
    }
    view! {
        <div class="empty">
            <h2>"No events match"</h2>
            <p>"Events that your systems send to the API appear here, and so does every change made in this console."</p>
            {(!is_all).then(|| view! { <a class="button primary" href=all>"Search all time"</a> })}
            <a class="button" href=format!("{}?range=all", paths::LOGS)>"Clear filters"</a>
        </div>
    }
    .into_any()
}
