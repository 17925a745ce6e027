//! Events of each object as bars, oldest at the left.

use auditstream_model::{Batch, BatchStatus};
use leptos::prelude::*;

use crate::components::number::{counted, grouped};
use crate::components::time::absolute;

const WIDTH: i64 = 720;
const HEIGHT: i64 = 120;
/// Bars that the chart has room for.
const BARS: i64 = 30;

/// The chart; `batches` are newest first.
#[component]
pub fn Chart(
    /// The objects.
    batches: Vec<Batch>,
) -> impl IntoView {
    let most = batches.iter().map(|batch| batch.events).max().unwrap_or(1).max(1);
    let total = batches.iter().map(|batch| batch.events).sum::<i64>();
    let label = format!(
        "{} in the latest {}, at most {} in one",
        counted(total, "event"),
        counted(i64::try_from(batches.len()).unwrap_or(BARS), "object"),
        grouped(most)
    );
    let step = WIDTH / BARS;
    let bars = batches
        .into_iter()
        .take(30)
        .enumerate()
        .map(|(back, batch)| {
            let back = i64::try_from(back).unwrap_or(BARS);
            let height = (batch.events * HEIGHT / most).max(2);
            let class = if batch.status == BatchStatus::Success {
                "bar"
            } else {
                "bar bar-open"
            };
            let title = format!(
                "No. {} · {} · {}",
                batch.number,
                counted(batch.events, "event"),
                absolute(batch.created)
            );
            view! {
                <rect
                    class=class
                    x=WIDTH - (back + 1) * step + 2
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
            <figcaption>"Events per object"</figcaption>
            <div class="chart-plot">
                <div class="chart-axis" aria-hidden="true">
                    <span>{grouped(most)}</span>
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
