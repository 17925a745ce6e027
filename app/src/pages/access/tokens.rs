//! The tab API tokens: the programs that may use the API.

use auditstream_model::{AccountName, ApiToken, CreatedApiToken, Scope};
use leptos::prelude::*;

use super::new_token::NewTokenDialog;
use super::one_time_secret::{OneTimeSecret, OneTimeSecretDialog};
use super::tab::{AccessHead, Rows, admins_tab, for_admins};
use super::token_row::TokenRow;
use crate::components::dialog::open;
use crate::components::{Icon, ProblemAlert, Shape};
use crate::paths;
use crate::server_functions::access::api_tokens;

/// The tab.
#[component]
pub fn Tokens() -> impl IntoView {
    let loaded = Resource::new(|| (), |()| for_admins(api_tokens()));
    let retry = Callback::new(move |()| loaded.refetch());
    admins_tab(
        loaded,
        "Loading API tokens…",
        "Only account admins can see API tokens",
        retry,
        |signed_in, tokens| {
            view! { <TokenTable first=tokens account=signed_in.account /> }
        },
    )
}

#[component]
fn TokenTable(first: Vec<ApiToken>, account: AccountName) -> impl IntoView {
    let Rows {
        rows,
        staleness,
        refresh,
    } = Rows::new(first, api_tokens);
    let secret = RwSignal::new(None::<OneTimeSecret>);
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    let button = NodeRef::<leptos::html::Button>::new();
    let created = Callback::new(move |created: CreatedApiToken| {
        secret.set(Some(secret_of(created, &account)));
        refresh.run(());
    });
    let revoked = Callback::new(move |()| {
        // The focused row is being removed.
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
        {move || staleness.error().map(|error| view! { <ProblemAlert error=error retry=refresh /> })}
        <Show when=move || rows.with(|rows| !rows.is_empty()) fallback=|| view! { <NoTokens /> }>
            <div class="table-frame" tabindex="0" role="region" aria-label="API tokens">
                <table class="access-table">
                    <thead>
                        <tr>
                            <th scope="col">"Name"</th>
                            <th scope="col">"Scopes"</th>
                            <th scope="col">"Created"</th>
                            <th scope="col">"Last used"</th>
                            <th scope="col">"Expires"</th>
                            <th scope="col"><span class="hidden">"Actions"</span></th>
                        </tr>
                    </thead>
                    <tbody>
                        <For
                            each=move || rows.get()
                            key=|token| (token.id.clone(), token.last_used)
                            children=move |token| view! { <TokenRow token=token on_revoked=revoked /> }
                        />
                    </tbody>
                </table>
            </div>
        </Show>
        <p class="muted note">
            "The " <a href=paths::API_REFERENCE rel="external">"API reference"</a> " describes what each scope permits."
        </p>
        <NewTokenDialog node=dialog on_created=created />
        <OneTimeSecretDialog secret=secret />
    }
    .into_any()
}

#[component]
fn NoTokens() -> impl IntoView {
    view! {
        <div class="empty">
            <Icon shape=Shape::Key />
            <h2>"No API tokens yet"</h2>
            <p>"With a token, your systems can send audit events, read the trail, or change streaming destinations."</p>
        </div>
    }
}

/// The example reads the token from a variable, which keeps it out of the shell's history.
fn secret_of(created: CreatedApiToken, account: &AccountName) -> OneTimeSecret {
    let CreatedApiToken { token, api_token } = created;
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
    OneTimeSecret {
        title: format!("API token {}", api_token.name),
        advice:
            "Copy the token now and store it where it is used. It is not shown again. Anyone who has the token can \
                 use it."
                .to_owned(),
        text: token,
        copy: "Copy token",
        example: Some((example.0.to_owned(), example.1)),
    }
}
