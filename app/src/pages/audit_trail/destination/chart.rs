//! The events of each object as bars, oldest on the left.

use auditstream_model::{Batch, BatchStatus};
use leptos::prelude::*;

use crate::components::format::{pluralise, with_thousands};
use crate::components::time::absolute;

const WIDTH: i64 = 720;
const HEIGHT: i64 = 120;
const MAX_BARS: usize = 30;
/// The number of bars for which space is reserved, which limits the width of a few.
const MIN_BARS: usize = 12;

/// The chart. `batches` are newest first.
#[component]
pub fn Chart(batches: Vec<Batch>) -> impl IntoView {
    let batches: Vec<Batch> = batches.into_iter().take(MAX_BARS).rev().collect();
    let most = batches.iter().map(|batch| batch.events).max().unwrap_or(1).max(1);
    let total = batches.iter().map(|batch| batch.events).sum::<i64>();
    let label = format!(
        "{} in the latest {}, at most {} in one",
        pluralise(total, "event"),
        pluralise(whole(batches.len()), "object"),
        with_thousands(most)
    );
    let span = match batches.as_slice() {
        [] => String::new(),
        [one] => format!(", {}", absolute(one.created)),
        [first, .., last] => format!(", from {} to {}", absolute(first.created), absolute(last.created)),
    };
    let step = WIDTH / whole(batches.len().max(MIN_BARS));
    let bars = batches
        .into_iter()
        .enumerate()
        .map(|(index, batch)| {
            let height = (batch.events * HEIGHT / most).max(2);
            let class = if batch.status == BatchStatus::Success {
                "bar"
            } else {
                "bar bar-open"
            };
            let title = format!(
                "No. {} · {} · {}",
                batch.number,
                pluralise(batch.events, "event"),
                absolute(batch.created)
            );
            view! {
                <rect
                    class=class
                    x=whole(index) * step + 2
                    y=HEIGHT - height
                    width=step - 4
                    height=height
                    rx="2"
                >
                    <title>{title}</title>
                </rect>
            }
        })
        .collect_view();
    view! {
        <figure class="chart">
            <figcaption>"Events per object"{span}</figcaption>
            <div class="chart-plot">
                <div class="chart-axis" aria-hidden="true">
                    <span>{with_thousands(most)}</span>
                    <span>"0"</span>
                </div>
                <svg viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none" role="img" aria-label=label>
                    <line class="chart-line" x1="0" x2=WIDTH y1="0.5" y2="0.5"></line>
                    <line class="chart-line" x1="0" x2=WIDTH y1=HEIGHT y2=HEIGHT></line>
                    {bars}
                </svg>
            </div>
        </figure>
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
