//! The row of a destination, with its details below.

use auditstream_model::{AggregateItem, Permission, SignedIn, Status};
use leptos::prelude::*;

use super::super::toggle::{Toggle, ToggleNote, use_toggle};
use super::delete_dialog::DeleteDialog;
use super::destination_details::DestinationDetails;
use crate::components::dialog::open;
use crate::components::{Icon, Menu, MenuItem, Shape, TimeAgo};
use crate::paths;
use crate::session::denied;

#[component]
pub(super) fn DestinationRow(
    row: Signal<AggregateItem>,
    user: SignedIn,
    refresh: Callback<()>,
    on_deleted: Callback<String>,
) -> impl IntoView {
    let is_open = RwSignal::new(false);
    let toggle = use_toggle(row);
    let id = row.with_untracked(|row| row.streaming_destination.identifier.to_string());
    let name = Signal::derive(move || row.with(|row| row.streaming_destination.name.to_string()));
    let details_id = format!("details-{id}");
    let no_edit = denied(&user, Permission::EditDestination);
    let row_id = id.clone();
    view! {
        <tbody class="destination" class:open=move || is_open.get()>
            <tr>
                <td>
                    <button
                        type="button"
                        class="button icon-button expander"
                        aria-expanded=move || if is_open.get() { "true" } else { "false" }
                        aria-controls=details_id.clone()
                        aria-label=move || format!("Details of {}", name.get())
                        on:click=move |_| is_open.update(|is_open| *is_open = !*is_open)
                    >
                        <Icon shape=Shape::Chevron />
                    </button>
                </td>
                <td><Toggle item=row user=user.clone() state=toggle refresh=refresh /></td>
                <td>
                    <a href=paths::destination(&id)><strong>{move || name.get()}</strong></a>
                    <span class="mono muted block">{id.clone()}</span>
                    <ToggleNote state=toggle />
                </td>
                <td><ConnectorLink row=row /></td>
                <td><LastStreamed row=row /></td>
                <td class="end"><DestinationMenu id=id row=row user=user on_deleted=on_deleted /></td>
            </tr>
            <tr class="details" id=details_id hidden=move || !is_open.get()>
                <td colspan="6">
                    {move || is_open.get().then(|| view! { <DestinationDetails id=row_id.clone() row=row refused=no_edit /> })}
                </td>
            </tr>
        </tbody>
    }
    .into_any()
}

#[component]
fn ConnectorLink(row: Signal<AggregateItem>) -> impl IntoView {
    let connector = Memo::new(move |_| {
        row.with(|row| {
            row.connector_info
                .as_ref()
                .map(|info| (info.name.to_string(), info.identifier.to_string()))
        })
    });
    move || match connector.get() {
        Some((name, id)) => view! { <a href=paths::edit_connector(&id)>{name}</a> }.into_any(),
        None => view! { <span class="status status-bad"><Icon shape=Shape::Warning />"None"</span> }.into_any(),
    }
}

#[component]
fn LastStreamed(row: Signal<AggregateItem>) -> impl IntoView {
    let state = Memo::new(move |_| {
        row.with(|row| {
            let details = &row.streaming_details;
            (
                details.last_streamed_at,
                details.error_message.is_some(),
                details.failure.as_ref().is_some_and(|failure| failure.blocked),
                row.streaming_destination.status == Status::Active,
            )
        })
    });
    move || {
        let (at, failing, blocked, active) = state.get();
        let time = at.map(|at| view! { <TimeAgo at=Signal::stored(at) /> });
        let none = at.is_none().then_some("Not streamed yet");
        // A failure of an inactive destination needs no attention; the details show it.
        if failing && !active {
            return view! {
                <span class="status status-idle"><Icon shape=Shape::Circle />"Inactive"</span>
                <span class="block muted">{time}{none}" · the last run failed"</span>
            }
            .into_any();
        }
        if failing {
            let label = if blocked { "Blocked" } else { "Failing" };
            return view! {
                <span class="status status-bad"><Icon shape=Shape::Warning />{label}</span>
                <span class="block muted">{time}{none}</span>
            }
            .into_any();
        }
        match at {
            Some(_) => view! { <span class="status status-good"><Icon shape=Shape::Check />{time}</span> }.into_any(),
            None => view! { <span class="status status-idle"><Icon shape=Shape::Circle />"Not streamed yet"</span> }
                .into_any(),
        }
    }
}

#[component]
fn DestinationMenu(
    id: String,
    row: Signal<AggregateItem>,
    user: SignedIn,
    on_deleted: Callback<String>,
) -> impl IntoView {
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    let name = Signal::derive(move || row.with(|row| row.streaming_destination.name.to_string()));
    let waiting = Signal::derive(move || row.with(|row| row.streaming_details.behind));
    let no_delete = denied(&user, Permission::DeleteDestination);
    let no_edit = denied(&user, Permission::EditDestination);
    let refused = Memo::new(move |_| {
        let active = row.with(|row| row.streaming_destination.status == Status::Active);
        no_delete.or(active.then_some("Active destinations cannot be deleted. Set the status to Inactive first."))
    });
    let edit = paths::edit_destination(&id);
    let reason_id = format!("why-{id}");
    let deleted_id = id.clone();
    let deleted = Callback::new(move |()| on_deleted.run(deleted_id.clone()));
    view! {
        <Menu id=format!("menu-{id}") of=name>
            {match no_edit {
                None => view! { <a role="menuitem" href=edit autofocus>"Edit"</a> }.into_any(),
                Some(reason) => {
                    view! { <button type="button" role="menuitem" aria-disabled="true" title=reason>"Edit"</button> }
                        .into_any()
                }
            }}
            <MenuItem label="Delete" danger=true reason_id=reason_id refused=refused on_choose=Callback::new(move |()| open(dialog)) />
        </Menu>
        <DeleteDialog id=id name=name waiting=waiting node=dialog on_deleted=deleted />
    }
    .into_any()
}
