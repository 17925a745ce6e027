//! The objects of a destination, page by page.

use auditstream_model::{Batch, Listing};
use leptos::prelude::*;

use super::super::batches::Batches;
use super::chart::Chart;
use crate::components::format::with_thousands;

/// The chart and the table of one page of objects.
#[component]
pub fn Objects(objects: Signal<Listing<Batch>>) -> impl IntoView {
    move || {
        let objects = objects.get();
        if objects.items.is_empty() {
            return view! {
                <div class="empty">
                    <h2>"No objects yet"</h2>
                    <p>"The first one is written as soon as the destination is active."</p>
                </div>
            }
            .into_any();
        }
        view! { <ObjectsPage objects=objects /> }.into_any()
    }
}

#[component]
fn ObjectsPage(objects: Listing<Batch>) -> impl IntoView {
    let first = u64::from(objects.page) * u64::from(objects.limit) + 1;
    let last = (first - 1) + objects.items.len() as u64;
    let newer = (objects.page > 0).then(|| format!("?page={}", objects.page - 1));
    let older = (last < u64::from(objects.total)).then(|| format!("?page={}", objects.page + 1));
    let total = i64::from(objects.total);
    view! {
        <Chart batches=objects.items.clone() />
        <h2 class="section">"Objects"</h2>
        <div class="table-frame" tabindex="0" role="region" aria-label="Objects">
            <Batches batches=objects.items />
        </div>
        <nav class="paging" aria-label="Pages">
            <span class="muted">{format!("{first}–{last} of {}", with_thousands(total))}</span>
            {newer.map(|address| view! { <a class="button" href=address>"Newer"</a> })}
            {older.map(|address| view! { <a class="button" href=address>"Older"</a> })}
        </nav>
    }
}
