//! A destination of the table: its row, and under it the details.

use auditstream_model::{AggregateItem, ListQuery, Permission, SignedIn, Status};
use leptos::prelude::*;

use super::super::destination::Batches;
use super::super::failure::FailureBox;
use super::delete::DeleteDialog;
use super::toggle::{Said, Toggle};
use crate::components::format::{counted, grouped};
use crate::components::{Icon, Menu, MenuItem, ProblemBox, Shape, TimeAgo};
use crate::layout::denied;
use crate::server_functions::destinations::{list_batches, stream_now};

/// One destination.
#[component]
pub fn Row(
    /// The destination.
    row: Signal<AggregateItem>,
    /// Who looks.
    person: SignedIn,
    /// Loads the table again.
    refresh: Callback<()>,
    /// Told the id when it is gone.
    gone: Callback<String>,
) -> impl IntoView {
    let open = RwSignal::new(false);
    let said = RwSignal::new(None::<Said>);
    let id = row.with_untracked(|row| row.streaming_destination.identifier.to_string());
    let name = Signal::derive(move || row.with(|row| row.streaming_destination.name.to_string()));
    let details = format!("details-{id}");
    let no_edit = denied(&person, Permission::EditDestination);
    let row_id = id.clone();
    view! {
        <tbody class="destination" class:open=move || open.get()>
            <tr>
                <td>
                    <button
                        type="button"
                        class="button icon-button expander"
                        aria-expanded=move || if open.get() { "true" } else { "false" }
                        aria-controls=details.clone()
                        aria-label=move || format!("Details of {}", name.get())
                        on:click=move |_| open.update(|open| *open = !*open)
                    >
                        <Icon shape=Shape::Chevron />
                    </button>
                </td>
                <td><Toggle row=row person=person.clone() said=said refresh=refresh /></td>
                <td>
                    <a href=format!("/settings/audit-trail/streaming/{id}")><strong>{move || name.get()}</strong></a>
                    <span class="mono muted block">{id.clone()}</span>
                    <p class="said" role="status" class:said-bad=move || matches!(said.get(), Some(Said::Refused(_)))>
                        {move || {
                            said.get()
                                .map(|said| match said {
                                    Said::Done(text) | Said::Refused(text) => text,
                                })
                        }}
                    </p>
                </td>
                <td><ConnectorLink row=row /></td>
                <td><LastStreamed row=row /></td>
                <td class="end"><Actions id=id row=row person=person gone=gone /></td>
            </tr>
            <tr class="details" id=details hidden=move || !open.get()>
                <td colspan="6">
                    {move || open.get().then(|| view! { <Details id=row_id.clone() row=row refused=no_edit /> })}
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
        Some((name, id)) => view! { <a href=format!("/settings/connectors/{id}/edit")>{name}</a> }.into_any(),
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
        // Nobody is needed for what is not streamed to: its details say what went wrong last.
        if failing && !active {
            return view! {
                <span class="status status-idle"><Icon shape=Shape::Circle />"Inactive"</span>
                <span class="block muted">{time}{none}" · the last run failed"</span>
            }
            .into_any();
        }
        if failing {
            let word = if blocked { "Blocked" } else { "Failing" };
            return view! {
                <span class="status status-bad"><Icon shape=Shape::Warning />{word}</span>
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
fn Actions(id: String, row: Signal<AggregateItem>, person: SignedIn, gone: Callback<String>) -> impl IntoView {
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    let name = Signal::derive(move || row.with(|row| row.streaming_destination.name.to_string()));
    let waiting = Signal::derive(move || row.with(|row| row.streaming_details.behind));
    let may_not = denied(&person, Permission::DeleteDestination);
    let no_edit = denied(&person, Permission::EditDestination);
    let refused = Memo::new(move |_| {
        let active = row.with(|row| row.streaming_destination.status == Status::Active);
        may_not.or(active.then_some("Active destinations cannot be deleted. Set the status to Inactive first."))
    });
    let ask = Callback::new(move |()| {
        if let Some(dialog) = dialog.get_untracked() {
            drop(dialog.show_modal());
        }
    });
    let edit = format!("/settings/audit-trail/streaming/{id}/edit");
    let reason_id = format!("why-{id}");
    let gone_id = id.clone();
    let on_gone = Callback::new(move |()| gone.run(gone_id.clone()));
    view! {
        <Menu id=format!("menu-{id}") of=name>
            {match no_edit {
                None => view! { <a role="menuitem" href=edit autofocus>"Edit"</a> }.into_any(),
                Some(reason) => {
                    view! { <button type="button" role="menuitem" aria-disabled="true" title=reason>"Edit"</button> }
                        .into_any()
                }
            }}
            <MenuItem label="Delete" danger=true reason_id=reason_id refused=refused on_choose=ask />
        </Menu>
        <DeleteDialog id=id name=name waiting=waiting node=dialog on_gone=on_gone />
    }
    .into_any()
}

/// What the row has no room for: the bucket, what is wrong, and the latest objects.
#[component]
fn Details(id: String, row: Signal<AggregateItem>, refused: Option<&'static str>) -> impl IntoView {
    let batches_of = id.clone();
    let sequence =
        Memo::new(move |_| row.with(|row| (row.streaming_details.cursor, row.streaming_details.last_streamed_at)));
    // An action rather than a resource: one that loads again would put the whole table back to its fallback.
    let load = Action::new(|id: &String| {
        let newest = ListQuery {
            limit: 10,
            ..ListQuery::default()
        };
        list_batches(id.clone(), newest)
    });
    let batches = load.value();
    Effect::new(move |_| {
        sequence.track();
        load.dispatch(batches_of.clone());
    });
    let run = Action::new(|id: &String| stream_now(id.clone()));
    let active = move || row.with(|row| row.streaming_destination.status == Status::Active);
    let spec = move || row.with(|row| row.streaming_destination.spec.clone());
    view! {
        <div class="detail-grid">
            <dl class="facts">
                <dt>"Amazon S3 Bucket"</dt>
                <dd class="mono">{move || spec().bucket.as_str().to_owned()}</dd>
                <dt>"Prefix"</dt>
                <dd class="mono">{move || { let prefix = spec().prefix.as_str().to_owned(); if prefix.is_empty() { "–".to_owned() } else { prefix } }}</dd>
                <dt>"Waiting"</dt>
                <dd>{move || match row.with(|row| row.streaming_details.behind) {
                    None => "Not activated yet".to_owned(),
                    Some(events) => format!("{} behind", counted(events, "event")),
                }}</dd>
                <dt>"Streamed up to"</dt>
                <dd>{move || row.with(|row| row.streaming_details.cursor).map_or_else(|| "–".to_owned(), grouped)}</dd>
            </dl>
            <div>
                <button
                    type="button"
                    class="button"
                    disabled=move || refused.is_some() || !active() || run.pending().get()
                    title=move || refused.unwrap_or(if active() { "" } else { "Activate the destination first." })
                    on:click=move |_| {
                        run.dispatch(id.clone());
                    }
                >
                    {move || if run.pending().get() { "Starting…" } else { "Stream now" }}
                </button>
                {move || run.value().get().map(|outcome| match outcome {
                    Ok(()) => view! { <p class="said" role="status">"Run started."</p> }.into_any(),
                    Err(error) => view! { <ProblemBox error=error /> }.into_any(),
                })}
            </div>
        </div>
        <FailureBox item=row />
        {move || match batches.get() {
            None => view! { <p class="skeleton">"Loading objects…"</p> }.into_any(),
            Some(Err(error)) => view! { <ProblemBox error=error /> }.into_any(),
            Some(Ok(found)) if found.items.is_empty() => view! { <p class="muted">"No objects yet."</p> }.into_any(),
            Some(Ok(found)) => view! {
                <div class="table-frame" tabindex="0" role="region" aria-label="Latest objects">
                    <Batches batches=found.items />
                </div>
            }
            .into_any(),
        }}
    }
    .into_any()
}
