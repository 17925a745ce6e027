//! Placeholders while data is loading.

use leptos::prelude::*;

/// Empty rows, visible once loading has taken a second.
#[component]
pub fn TableSkeleton(
    /// The text for screen readers.
    label: &'static str,
) -> impl IntoView {
    view! {
        <div class="table-frame table-skeleton" role="status">
            <p class="hidden">{label}</p>
            {(0..5).map(|_| view! { <div class="table-skeleton-row"><span></span><span></span><span></span></div> }).collect_view()}
        </div>
    }
}
