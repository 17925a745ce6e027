//! The top of a page: where it is, what it is, and its one primary action.

use leptos::prelude::*;
use leptos_meta::Title;

/// Breadcrumbs, title and, as children, the page's actions.
#[component]
pub fn PageHead(
    /// The page's title, also the browser tab's.
    #[prop(into)]
    title: String,
    /// The pages above this one, outermost first: label and address.
    #[prop(default = &[])]
    crumbs: &'static [(&'static str, &'static str)],
    /// The primary action.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    view! {
        <Title text=title.clone() />
        <header class="page-head">
            <nav class="breadcrumbs" aria-label="Breadcrumbs">
                <ol>
                    {crumbs
                        .iter()
                        .map(|(label, address)| view! { <li><a href=*address>{*label}</a></li> })
                        .collect_view()}
                    <li><span aria-current="page">{title.clone()}</span></li>
                </ol>
            </nav>
            <div class="page-head-row">
                <h1>{title}</h1>
                <div class="page-actions">{children.map(|children| children())}</div>
            </div>
        </header>
    }
    .into_any()
}
