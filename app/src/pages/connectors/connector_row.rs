//! The row of a connector, with its test below.

use auditstream_model::{ConnectorView, Credentials};
use leptos::prelude::*;

use crate::components::dialog::open;
use crate::components::format::pluralise;
use crate::components::{ConfirmDialog, ProblemAlert, TimeAgo};
use crate::features::connection_test::{TestResult, TestRun};
use crate::paths;
use crate::server_functions::connectors::delete_connector;

/// The element id of the reason why the user may not change connectors.
pub(super) const CANNOT_CHANGE_ID: &str = "why-no-connector";

#[component]
pub(super) fn ConnectorRow(
    row: ConnectorView,
    no_edit: Option<&'static str>,
    no_delete: Option<&'static str>,
    on_deleted: Callback<String>,
) -> impl IntoView {
    let id = row.connector.identifier.to_string();
    let name = row.connector.name.to_string();
    let used_by: Vec<_> = row.used_by.iter().map(ToString::to_string).collect();
    let uses = i64::try_from(used_by.len()).unwrap_or(i64::MAX);
    let used_by = used_by.join(", ");
    let in_use = (uses > 0).then(|| format!("In use by {used_by}. Point it to another connector first."));
    let test = TestRun::new();
    let remove = Action::new(|id: &String| delete_connector(id.clone()));
    let removed = id.clone();
    Effect::new(move |_| {
        if remove.value().with(|outcome| matches!(outcome, Some(Ok(())))) {
            on_deleted.run(removed.clone());
        }
    });
    view! {
        <tbody class="connector">
            <tr>
                <td>
                    <a href=paths::edit_connector(&id)><strong>{name.clone()}</strong></a>
                    <span class="mono muted block">{id.clone()}</span>
                </td>
                <td>{summary(&row.connector.spec.credentials)}</td>
                <td class="mono">{row.connector.spec.region}</td>
                <td title=used_by>{if uses == 0 { "–".to_owned() } else { pluralise(uses, "destination") }}</td>
                <td><TimeAgo at=Signal::stored(row.updated) /></td>
                <td class="end">
                    <div class="row-actions needs-script">
                        <TestButton id=id.clone() name=name.clone() test=test refused=no_edit.is_some() />
                        <DeleteButton id=id.clone() name=name no_delete=no_delete in_use=in_use.is_some() remove=remove />
                    </div>
                    {in_use
                        .filter(|_| no_delete.is_none())
                        .map(|reason| view! { <p class="row-reason" id=in_use_id(&id)>{reason}</p> })}
                </td>
            </tr>
            <TestRow test=test />
            {move || {
                let error = remove.value().get().and_then(Result::err);
                error
                    .map(|error| {
                        view! {
                            <tr class="details">
                                <td colspan="6"><ProblemAlert error=error /></td>
                            </tr>
                        }
                    })
            }}
        </tbody>
    }
    .into_any()
}

fn in_use_id(id: &str) -> String {
    format!("why-{id}")
}

#[component]
fn TestButton(id: String, name: String, test: TestRun, refused: bool) -> impl IntoView {
    view! {
        <button
            type="button"
            class="button small"
            aria-label=format!("Test {name}")
            aria-disabled=move || (refused || test.pending.get()).to_string()
            aria-describedby=refused.then_some(CANNOT_CHANGE_ID)
            on:click=move |_| {
                if !refused && !test.pending.get_untracked() {
                    test.start(id.clone());
                }
            }
        >
            {move || if test.pending.get() { "Testing…" } else { "Test" }}
        </button>
    }
}

#[component]
fn DeleteButton(
    id: String,
    name: String,
    no_delete: Option<&'static str>,
    in_use: bool,
    remove: Action<String, Result<(), crate::error::ConsoleError>>,
) -> impl IntoView {
    let reason_id = if no_delete.is_some() {
        Some(CANNOT_CHANGE_ID.to_owned())
    } else {
        in_use.then(|| in_use_id(&id))
    };
    let refused = reason_id.is_some();
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    // Keeps the name out of the page until the dialog opens.
    let is_open = RwSignal::new(false);
    let confirm = move |_| {
        if !refused && !remove.pending().get_untracked() {
            is_open.set(true);
            open(dialog);
        }
    };
    let title = format!("delete-{id}");
    let label = format!("Delete {name}");
    view! {
        <button
            type="button"
            class="button small"
            aria-haspopup="dialog"
            aria-label=label
            aria-disabled=move || (refused || remove.pending().get()).to_string()
            aria-describedby=reason_id
            on:click=confirm
        >
            {move || if remove.pending().get() { "Deleting…" } else { "Delete" }}
        </button>
        <ConfirmDialog
            node=dialog
            id=title
            title="Delete connector"
            verb="Delete"
            danger=true
            on_confirm=Callback::new(move |()| {
                remove.dispatch(id.clone());
            })
            on_close=Callback::new(move |()| is_open.set(false))
        >
            <p>
                "The connector " <strong>{move || is_open.get().then(|| name.clone())}</strong>
                " and its credentials are deleted. This cannot be undone."
            </p>
        </ConfirmDialog>
    }
}

#[component]
fn TestRow(test: TestRun) -> impl IntoView {
    let is_tested = Memo::new(move |_| test.pending.get() || test.result.with(Option::is_some));
    move || {
        is_tested.get().then(|| {
            view! {
                <tr class="details">
                    <td colspan="6"><TestResult run=test /></td>
                </tr>
            }
        })
    }
}

/// Returns `Access key AKIA…`, `Inherited from the host` or `IRSA`.
fn summary(credentials: &Credentials) -> String {
    match credentials {
        Credentials::Manual { access_key } => format!("Access key {access_key}"),
        Credentials::Inherit => "Inherited from the host".to_owned(),
        Credentials::Irsa => "IRSA".to_owned(),
    }
}
