//! The tab API tokens: which programs may use the API.

use auditstream_model::{AccountName, ApiToken, CreatedApiToken, Scope};
use leptos::prelude::*;

use super::new_token::NewTokenDialog;
use super::one_time_secret::{Secret, ShownOnce};
use super::token_row::Row;
use super::{AccessHead, Rows, admins_tab, for_admins};
use crate::components::dialog::open;
use crate::components::{Icon, ProblemBox, Shape};
use crate::server_functions::access::api_tokens;

/// The tab.
#[component]
pub fn Tokens() -> impl IntoView {
    let loaded = Resource::new(|| (), |()| for_admins(api_tokens()));
    let retry = Callback::new(move |()| loaded.refetch());
    admins_tab(
        loaded,
        "Loading API tokens…",
        "API tokens are shown to account admins",
        retry,
        |person, found| {
            view! { <List found=found account=person.account /> }
        },
    )
}

#[component]
fn List(found: Vec<ApiToken>, account: AccountName) -> impl IntoView {
    let Rows { rows, stale, refresh } = Rows::new(found, api_tokens);
    let secret = RwSignal::new(None::<Secret>);
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    let button = NodeRef::<leptos::html::Button>::new();
    let made = Callback::new(move |made: CreatedApiToken| {
        secret.set(Some(secret_of(made, &account)));
        refresh.run(());
    });
    // The row that had the focus is gone.
    let gone = Callback::new(move |()| {
        if let Some(button) = button.get_untracked() {
            drop(button.focus());
        }
        refresh.run(());
    });
    view! {
        <AccessHead>
            <button
                type="button"
                class="button primary"
                aria-haspopup="dialog"
                node_ref=button
                on:click=move |_| open(dialog)
            >
                "New API token"
            </button>
        </AccessHead>
        {move || stale.get().map(|error| view! { <ProblemBox error=error retry=refresh /> })}
        <Show
            when=move || rows.with(|rows| !rows.is_empty())
            fallback=|| {
                view! {
                    <div class="empty">
                        <Icon shape=Shape::Key />
                        <h2>"No API tokens yet"</h2>
                        <p>"Your systems send audit events with a token, and read the trail or change streaming destinations with one."</p>
                    </div>
                }
            }
        >
            <div class="table-frame" tabindex="0" role="region" aria-label="API tokens">
                <table class="access-table">
                    <thead>
                        <tr>
                            <th scope="col">"Name"</th>
                            <th scope="col">"Scopes"</th>
                            <th scope="col">"Created"</th>
                            <th scope="col">"Last used"</th>
                            <th scope="col">"Ends"</th>
                            <th scope="col"><span class="hidden">"Actions"</span></th>
                        </tr>
                    </thead>
                    <tbody>
                        <For
                            each=move || rows.get()
                            key=|token| (token.id.clone(), token.last_used)
                            children=move |token| view! { <Row token=token gone=gone /> }
                        />
                    </tbody>
                </table>
            </div>
        </Show>
        <p class="muted note">
            "What a token can be used for is described in the " <a href="/docs/api" rel="external">"API reference"</a> "."
        </p>
        <NewTokenDialog node=dialog on_made=made />
        <ShownOnce secret=secret />
    }
    .into_any()
}

/// What a token is shown with. The command has it from a variable, so that it does not stay in the shell's history.
fn secret_of(made: CreatedApiToken, account: &AccountName) -> Secret {
    let CreatedApiToken { token, api_token } = made;
    let server = window().location().origin().unwrap_or_default();
    let bearer = "-H \"Authorization: Bearer $AUDITSTREAM_TOKEN\"";
    let example = if api_token.scopes.contains(&Scope::Ingest) {
        let event = serde_json::json!({
            "auditEventId": "first-event",
            "auditEventAuthor": {"principal": {"type": "USER", "identifier": "ann@example.com"}},
            "auditModule": "CORE",
            "auditResource": {"type": "PIPELINE", "identifier": "deploy"},
            "auditResourceScope": {"accountIdentifier": account},
            "auditAction": "UPDATE",
            "auditEventTime": api_token.created.to_string(),
        });
        let command = format!(
            "curl {server}/v1/audit-events \\\n  {bearer} \\\n  -H \"Content-Type: application/json\" \\\n  -d '{event}'"
        );
        ("Send a first event, with the token in AUDITSTREAM_TOKEN:", command)
    } else {
        let command = format!("curl {server}/v1/audit-events \\\n  {bearer}");
        ("Read the latest events, with the token in AUDITSTREAM_TOKEN:", command)
    };
    Secret {
        title: format!("API token {}", api_token.name),
        advice: "Copy the token to where it is used, now: it is shown only this once. Whoever has it can use it."
            .to_owned(),
        text: token,
        copy: "Copy token",
        example: Some((example.0.to_owned(), example.1)),
    }
}
