//! The table of a destination's objects.

use auditstream_model::{Batch, BatchStatus};
use leptos::prelude::*;

use crate::components::format::{bytes, duration, with_thousands};
use crate::components::{Icon, Shape, TimeAgo};

/// The table of a destination's objects, newest first.
#[component]
pub fn Batches(batches: Vec<Batch>) -> impl IntoView {
    view! {
        <table class="batches">
            <thead>
                <tr>
                    <th scope="col">"Status"</th>
                    <th scope="col">"Frozen"</th>
                    <th scope="col">"Key"</th>
                    <th scope="col" class="end">"Sequences"</th>
                    <th scope="col" class="end">"Events"</th>
                    <th scope="col" class="end">"Size"</th>
                    <th scope="col" class="end">"Attempts"</th>
                    <th scope="col" class="end">"Duration"</th>
                </tr>
            </thead>
            <tbody>{batches.into_iter().map(|batch| view! { <BatchRow batch=batch /> }).collect_view()}</tbody>
        </table>
    }
}

#[component]
fn BatchRow(batch: Batch) -> impl IntoView {
    let (class, shape, label) = match batch.status {
        BatchStatus::Success if batch.verified == Some(false) => {
            ("status status-warn", Shape::Warning, "Delivered, not verified")
        }
        BatchStatus::Success => ("status status-good", Shape::Check, "Delivered"),
        BatchStatus::Failed => ("status status-bad", Shape::Warning, "Failed"),
        BatchStatus::InProgress => ("status status-idle", Shape::Circle, "In progress"),
        BatchStatus::Ready => ("status status-idle", Shape::Circle, "Ready"),
    };
    let duration_ms = batch.finished.map(|finished| finished - batch.created);
    let created = batch.created;
    view! {
        <tr>
            <td><span class=class><Icon shape=shape />{label}</span></td>
            <td class="nowrap"><TimeAgo at=Signal::stored(created) /></td>
            <td class="mono key">
                {batch.key}
                {batch.error.map(|error| view! { <span class="block batch-error">{error.message}</span> })}
                {batch.remark.map(|remark| view! { <span class="block batch-note">{remark}</span> })}
                {(!batch.may_be_at.is_empty())
                    .then(|| view! { <span class="block batch-note">{format!("May also be at {}", batch.may_be_at.join(", "))}</span> })}
                {batch.request_id.map(|id| view! { <span class="block muted">"AWS request "{id}</span> })}
            </td>
            <td class="end nowrap">{format!("{}–{}", with_thousands(batch.first_sequence), with_thousands(batch.last_sequence))}</td>
            <td class="end">{with_thousands(batch.events)}</td>
            <td class="end nowrap" title=format!("{} bytes before compression", with_thousands(batch.bytes))>{bytes(batch.bytes)}</td>
            <td class="end">{batch.attempts}</td>
            <td class="end nowrap" title=duration_ms.map(|millis| format!("{} ms", with_thousands(millis)))>
                {duration_ms.map_or_else(|| "–".to_owned(), duration)}
            </td>
        </tr>
    }
}
