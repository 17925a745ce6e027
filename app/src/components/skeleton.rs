//! What stands in place of a table while it is loaded.

use leptos::prelude::*;

/// Rows without words; seen when loading takes longer than a second.
#[component]
pub fn TableSkeleton(
    /// What is loaded, for those who do not see it.
    label: &'static str,
) -> impl IntoView {
    view! {
        <div class="table-frame table-skeleton" role="status">
            <p class="hidden">{label}</p>
            {(0..5).map(|_| view! { <div class="table-skeleton-row"><span></span><span></span><span></span></div> }).collect_view()}
        </div>
    }
}
