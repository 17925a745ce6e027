//! Making an API token.

use auditstream_model::{ApiTokenInput, CreatedApiToken, FieldErrors, Scope};
use leptos::prelude::*;

use crate::ConsoleError;
use crate::components::dialog::close;
use crate::components::{CheckField, Field, FormDialog, SelectField, TextField};
use crate::server_functions::access::create_api_token;

/// Days until it ends; none for never.
const ENDS: &[(&str, &str)] = &[
    ("30", "In 30 days"),
    ("90", "In 90 days"),
    ("365", "In 1 year"),
    ("", "Never"),
];

/// The dialog that asks for what; whoever holds `node` opens it.
#[component]
pub(super) fn NewTokenDialog(
    /// The dialog.
    node: NodeRef<leptos::html::Dialog>,
    /// Told of the token.
    on_made: Callback<CreatedApiToken>,
) -> impl IntoView {
    let name = Field::new("");
    let [ingest, read, admin] = [(); 3].map(|()| RwSignal::new(false));
    let ends = RwSignal::new("90".to_owned());
    let wrong = RwSignal::new(FieldErrors::default());
    let problem = RwSignal::new(None::<ConsoleError>);
    let of = move |field: &'static str| Signal::derive(move || wrong.with(|wrong| wrong.of(field).map(str::to_owned)));
    let act = Action::new(|input: &ApiTokenInput| create_api_token(input.clone()));
    let forget = move || {
        wrong.set(FieldErrors::default());
        problem.set(None);
    };
    Effect::new(move |_| {
        let Some(outcome) = act.value().get() else { return };
        // A token is shown once and not kept here.
        act.value().set(None);
        match outcome {
            Ok(made) => {
                close(node);
                name.set("");
                for scope in [ingest, read, admin] {
                    scope.set(false);
                }
                on_made.run(made);
            }
            Err(error) if !error.0.errors.is_empty() => wrong.set(FieldErrors(error.0.errors)),
            Err(error) => problem.set(Some(error)),
        }
    });
    let submit = Callback::new(move |()| {
        forget();
        let scopes = [(Scope::Ingest, ingest), (Scope::Read, read), (Scope::Admin, admin)];
        let input = ApiTokenInput {
            name: name.now(),
            scopes: scopes
                .into_iter()
                .filter(|(_, wanted)| wanted.get_untracked())
                .map(|(scope, _)| scope)
                .collect(),
            expires_in_days: ends.get_untracked().parse().ok(),
        };
        match input.parse() {
            Err(errors) => wrong.set(errors),
            Ok(_) => {
                act.dispatch(input);
            }
        }
    });
    view! {
        <FormDialog
            node=node
            id="new-token-title".to_owned()
            title="New API token"
            verb="Create token"
            running="Creating…"
            pending=act.pending()
            problem=problem
            on_submit=submit
            on_close=Callback::new(move |()| forget())
        >
            <TextField
                label="Name"
                name="token-name"
                field=name
                error=of("name")
                help="What it is for. Audit events call it by this name."
            />
            <fieldset class="scope-choices">
                <legend class="label">"Scopes"</legend>
                <CheckField label="ingest" name="scope-ingest" value=ingest help="Send audit events in." />
                <CheckField label="read" name="scope-read" value=read help="Read the trail, connectors and streaming destinations." />
                <CheckField
                    label="admin"
                    name="scope-admin"
                    value=admin
                    help="All that an account admin may, access included; it cannot send events."
                />
                <p class="field-error" aria-live="polite">{of("scopes")}</p>
            </fieldset>
            <SelectField label="Ends" name="token-ends" value=ends options=ENDS help="From then on it is refused." />
        </FormDialog>
    }
    .into_any()
}
