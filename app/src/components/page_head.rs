//! The head of a page: breadcrumbs, title and primary action.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::paths::Breadcrumbs;

/// The head of a page; the children are its actions.
#[component]
pub fn PageHead(
    /// The title of the page and of the browser tab.
    #[prop(into)]
    title: String,
    #[prop(default = &[])] crumbs: Breadcrumbs,
    #[prop(optional)] children: Option<Children>,
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
