//! The objects of a destination, newest first.

use auditstream_model::{Batch, BatchStatus};
use leptos::prelude::*;

use crate::components::format::{bytes, duration, grouped};
use crate::components::{Icon, Shape, TimeAgo};

/// A table of objects.
#[component]
pub fn Batches(
    /// The objects.
    batches: Vec<Batch>,
) -> impl IntoView {
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
            <tbody>{batches.into_iter().map(|batch| view! { <Line batch=batch /> }).collect_view()}</tbody>
        </table>
    }
}

#[component]
fn Line(batch: Batch) -> impl IntoView {
    let (class, shape, word) = match batch.status {
        BatchStatus::Success if batch.verified == Some(false) => {
            ("status status-warn", Shape::Warning, "Delivered, not verified")
        }
        BatchStatus::Success => ("status status-good", Shape::Check, "Delivered"),
        BatchStatus::Failed => ("status status-bad", Shape::Warning, "Failed"),
        BatchStatus::InProgress => ("status status-idle", Shape::Circle, "In progress"),
        BatchStatus::Ready => ("status status-idle", Shape::Circle, "Ready"),
    };
    let took = batch.finished.map(|finished| finished - batch.created);
    let created = batch.created;
    view! {
        <tr>
            <td><span class=class><Icon shape=shape />{word}</span></td>
            <td class="nowrap"><TimeAgo at=Signal::stored(created) /></td>
            <td class="mono key">
                {batch.key}
                {batch.error.map(|error| view! { <span class="block batch-error">{error.message}</span> })}
                {batch.remark.map(|remark| view! { <span class="block batch-remark">{remark}</span> })}
                {batch.request_id.map(|id| view! { <span class="block muted">"AWS request "{id}</span> })}
            </td>
            <td class="end nowrap">{format!("{}–{}", grouped(batch.first_sequence), grouped(batch.last_sequence))}</td>
            <td class="end">{grouped(batch.events)}</td>
            <td class="end nowrap" title=format!("{} bytes before compression", grouped(batch.bytes))>{bytes(batch.bytes)}</td>
            <td class="end">{batch.attempts}</td>
            <td class="end nowrap" title=took.map(|took| format!("{} ms", grouped(took)))>
                {took.map_or_else(|| "–".to_owned(), duration)}
            </td>
        </tr>
    }
}
