//! A connector of the list: its row, and under it its test.

use auditstream_model::{ConnectorView, Credentials};
use leptos::prelude::*;

use super::list::REASON;
use crate::components::dialog::open;
use crate::components::format::counted;
use crate::components::{ConfirmDialog, ProblemBox, TestResult, TestRun, TimeAgo};
use crate::server_functions::connectors::delete_connector;

/// One connector.
#[component]
pub(super) fn Row(
    /// The connector.
    row: ConnectorView,
    /// Why it cannot be tested, if that is so.
    no_edit: Option<&'static str>,
    /// Why it cannot be deleted by whoever looks, if that is so.
    no_delete: Option<&'static str>,
    /// Told that it is gone.
    gone: Callback<String>,
) -> impl IntoView {
    let id = row.connector.identifier.to_string();
    let name = row.connector.name.to_string();
    let uses = row.used_by.len();
    let used = row
        .used_by
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let in_use =
        (uses > 0 && no_delete.is_none()).then(|| format!("In use by {used}: select another connector there first."));
    let why = if in_use.is_some() {
        format!("why-{id}")
    } else {
        REASON.to_owned()
    };
    let kept = no_delete.is_some() || in_use.is_some();
    let test = TestRun::new();
    let tested = Memo::new(move |_| test.pending.get() || test.result.with(Option::is_some));
    let remove = Action::new(|id: &String| delete_connector(id.clone()));
    let removed = id.clone();
    Effect::new(move |_| {
        if remove.value().with(|outcome| matches!(outcome, Some(Ok(())))) {
            gone.run(removed.clone());
        }
    });
    let sure = NodeRef::<leptos::html::Dialog>::new();
    let asked = RwSignal::new(false);
    let ask = move |_| {
        if !kept && !remove.pending().get_untracked() {
            asked.set(true);
            open(sure);
        }
    };
    let title = format!("delete-{id}");
    let (test_id, removed) = (id.clone(), id.clone());
    let asked_name = name.clone();
    view! {
        <tbody class="connector">
            <tr>
                <td>
                    <a href=format!("/settings/connectors/{id}/edit")><strong>{name.clone()}</strong></a>
                    <span class="mono muted block">{id}</span>
                </td>
                <td>{told(&row.connector.spec.credentials)}</td>
                <td class="mono">{row.connector.spec.region}</td>
                <td title=used>
                    {if uses == 0 { "–".to_owned() } else { counted(i64::try_from(uses).unwrap_or(i64::MAX), "destination") }}
                </td>
                <td><TimeAgo at=Signal::stored(row.updated) /></td>
                <td class="end">
                    <div class="row-actions needs-script">
                        <button
                            type="button"
                            class="button small"
                            aria-label=format!("Test {name}")
                            aria-disabled=move || (no_edit.is_some() || test.pending.get()).to_string()
                            aria-describedby=no_edit.map(|_| REASON)
                            on:click=move |_| {
                                if no_edit.is_none() && !test.pending.get_untracked() {
                                    test.start(test_id.clone());
                                }
                            }
                        >
                            {move || if test.pending.get() { "Testing…" } else { "Test" }}
                        </button>
                        <button
                            type="button"
                            class="button small"
                            aria-haspopup="dialog"
                            aria-label=format!("Delete {name}")
                            aria-disabled=move || (kept || remove.pending().get()).to_string()
                            aria-describedby=kept.then(|| why.clone())
                            on:click=ask
                        >
                            {move || if remove.pending().get() { "Deleting…" } else { "Delete" }}
                        </button>
                    </div>
                    {in_use.map(|reason| view! { <p class="row-reason" id=why.clone()>{reason}</p> })}
                    <ConfirmDialog
                        node=sure
                        id=title
                        title="Delete connector"
                        verb="Delete"
                        danger=true
                        on_confirm=Callback::new(move |()| {
                            remove.dispatch(removed.clone());
                        })
                        on_close=Callback::new(move |()| asked.set(false))
                    >
                        <p>
                            "The connector "
                            <strong>{move || asked.get().then(|| asked_name.clone())}</strong>
                            " and its credentials are deleted. This cannot be taken back."
                        </p>
                    </ConfirmDialog>
                </td>
            </tr>
            {move || {
                tested
                    .get()
                    .then(|| {
                        view! {
                            <tr class="details">
                                <td colspan="6"><TestResult run=test /></td>
                            </tr>
                        }
                    })
            }}
            {move || {
                let error = remove.value().get().and_then(Result::err);
                error
                    .map(|error| {
                        view! {
                            <tr class="details">
                                <td colspan="6"><ProblemBox error=error /></td>
                            </tr>
                        }
                    })
            }}
        </tbody>
    }
    .into_any()
}

/// `Access key AKIA…`, `Inherited from the host`, `IRSA`
fn told(credentials: &Credentials) -> String {
    match credentials {
        Credentials::Manual { access_key } => format!("Access key {access_key}"),
        Credentials::Inherit => "Inherited from the host".to_owned(),
        Credentials::Irsa => "IRSA".to_owned(),
    }
}
