//! Creating an API token.

use auditstream_model::{ApiTokenInput, CreatedApiToken, Scope};
use leptos::prelude::*;

use crate::choice::Choice;
use crate::components::dialog::close;
use crate::components::{CheckField, Field, FormDialog, FormErrors, SelectField, TextField};
use crate::server_functions::access::create_api_token;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    Month,
    Quarter,
    Year,
    Unlimited,
}

impl Choice for Lifetime {
    const ALL: &'static [Self] = &[Self::Month, Self::Quarter, Self::Year, Self::Unlimited];

    fn value(&self) -> &str {
        match self {
            Self::Month => "30",
            Self::Quarter => "90",
            Self::Year => "365",
            Self::Unlimited => "",
        }
    }

    fn label(&self) -> &str {
        match self {
            Self::Month => "In 30 days",
            Self::Quarter => "In 90 days",
            Self::Year => "In 1 year",
            Self::Unlimited => "Never",
        }
    }
}

#[component]
pub(super) fn NewTokenDialog(
    node: NodeRef<leptos::html::Dialog>,
    on_created: Callback<CreatedApiToken>,
) -> impl IntoView {
    let name = Field::new("");
    let [ingest, read, admin] = [(); 3].map(|()| RwSignal::new(false));
    let scopes = [(Scope::Ingest, ingest), (Scope::Read, read), (Scope::Admin, admin)];
    let chosen_scopes = Signal::derive(move || {
        let chosen = scopes.into_iter().filter(|(_, chosen)| chosen.get());
        chosen.map(|(scope, _)| scope).collect::<Vec<_>>()
    });
    let lifetime = RwSignal::new(Lifetime::Quarter);
    let errors = FormErrors::new();
    let act = Action::new(|input: &ApiTokenInput| create_api_token(input.clone()));
    Effect::new(move |_| {
        let Some(outcome) = act.value().get() else { return };
        // The token is shown once and not kept here.
        act.value().set(None);
        match outcome {
            Ok(created) => {
                close(node);
                name.set("");
                for (_, chosen) in scopes {
                    chosen.set(false);
                }
                on_created.run(created);
            }
            Err(error) => errors.refuse(&error),
        }
    });
    let submit = Callback::new(move |()| {
        errors.clear();
        let input = ApiTokenInput {
            name: name.now(),
            scopes: chosen_scopes.get_untracked(),
            expires_in_days: lifetime.get_untracked().value().parse().ok(),
        };
        match input.parse() {
            Err(invalid) => errors.set(invalid),
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
            problem=errors.problem()
            on_submit=submit
            on_close=Callback::new(move |()| errors.clear())
        >
            <TextField
                label="Name"
                name="token-name"
                field=name
                error=errors.field("name", name.value)
                help="Describes the purpose of the token. Audit events show it."
            />
            <fieldset class="scope-choices">
                <legend class="label">"Scopes"</legend>
                <CheckField label="ingest" name="scope-ingest" value=ingest help="Send audit events." />
                <CheckField label="read" name="scope-read" value=read help="Read the trail, connectors and streaming destinations." />
                <CheckField
                    label="admin"
                    name="scope-admin"
                    value=admin
                    help="Everything an account admin can do, including managing access. Cannot send events."
                />
                <p class="field-error" aria-live="polite">{errors.field("scopes", chosen_scopes)}</p>
            </fieldset>
            <SelectField label="Expires" name="token-ends" value=lifetime help="From then on, requests with the token are refused." />
        </FormDialog>
    }
    .into_any()
}
