//! Audit Logs: the trail as a table. The address of the page has the filters.

mod drawer;
mod event_table;
mod filters;
mod json_text;
mod new_events;
mod query;
mod search_notice;

use auditstream_model::AuditEvent;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use self::drawer::Drawer;
use self::event_table::Events;
use self::filters::Filters;
use self::query::{export_address, filter_of, range_of};
use super::tabs::Tabs;
use crate::components::{Icon, PageHead, ProblemAlert, Shape};
use crate::paths;
use crate::server_functions::trail::search_events;

/// The tab.
#[component]
pub fn Logs() -> impl IntoView {
    let query = use_query_map();
    let page = Resource::new(
        move || query.get(),
        |query| async move { search_events(filter_of(&query), range_of(&query)).await },
    );
    let selected = RwSignal::new(None::<AuditEvent>);
    let retry = Callback::new(move |()| page.refetch());
    view! {
        <PageHead title="Audit Trail" crumbs=paths::UNDER_SETTINGS>
            <a class="button" href=move || export_address(&query.read()) rel="external" download>
                <Icon shape=Shape::Download />
                "Export"
            </a>
        </PageHead>
        <Tabs />
        <Filters />
        <Transition fallback=|| view! { <p class="skeleton">"Loading events…"</p> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(found) => view! { <Events found=found selected=selected reload=retry /> }.into_any(),
                    Err(error) => view! { <ProblemAlert error=error retry=retry /> }.into_any(),
                }
            })}
        </Transition>
        <Drawer selected=selected />
    }
    .into_any()
}
