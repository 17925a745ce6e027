//! The sections of the connector form: Overview, Credentials, AWS Backoff Strategy.

use leptos::prelude::*;

use super::form_state::{BackoffKind, ConnectorEntries, CredentialsKind};
use crate::components::{CheckField, CopyButton, FormErrors, ProblemAlert, SelectField, TextField};
use crate::server_functions::connectors::external_id;

const BACKOFF_FIELDS: [&str; 4] = [
    "spec.backoff.base_delay",
    "spec.backoff.fixed_backoff",
    "spec.backoff.max_backoff_time",
    "spec.backoff.retry_count",
];

#[component]
pub(super) fn OverviewSection(entries: ConnectorEntries, errors: FormErrors, disabled: bool) -> impl IntoView {
    let ConnectorEntries {
        name, id, description, ..
    } = entries;
    let exists = entries.exists();
    view! {
        <fieldset disabled=disabled>
            <legend>"Overview"</legend>
            <TextField
                label="Name"
                name="connector-name"
                field=name
                error=errors.field("name", name.value)
                on_type=Callback::new(move |text: String| entries.name_typed(&text))
            />
            <TextField
                label="Id"
                name="connector-id"
                field=id
                mono=true
                readonly=exists
                error=errors.field("identifier", id.value)
                on_type=Callback::new(move |text: String| entries.id_typed(&text))
                help=if exists { "Cannot be changed after saving." } else { "Follows the name until you change it. Cannot be changed after saving." }
            />
            <TextField
                label="Description"
                name="connector-description"
                field=description
                optional=true
                error=errors.field("description", description.value)
            />
        </fieldset>
    }
    .into_any()
}

#[component]
pub(super) fn CredentialsSection(entries: ConnectorEntries, errors: FormErrors, disabled: bool) -> impl IntoView {
    let ConnectorEntries {
        credentials,
        region,
        role,
        endpoint,
        ..
    } = entries;
    view! {
        <fieldset disabled=disabled>
            <legend>"Credentials"</legend>
            <SelectField label="Credentials" name="credentials" value=credentials />
            <p class="field-error">{errors.field("spec.credentials.type", credentials)}</p>
            <div class="stack" hidden=move || credentials.get() != CredentialsKind::Manual>
                <AccessKeyFields entries=entries errors=errors />
            </div>
            <TextField label="Region" name="region" field=region mono=true error=errors.field("spec.region", region.value) />
            <TextField
                label="Cross-account role ARN"
                name="role-arn"
                field=role
                optional=true
                mono=true
                error=errors.field("spec.cross_account.role_arn", role.value)
                help="A role of another AWS account, which is assumed after signing in."
            />
            <ExternalId role=role.value />
            <TextField
                label="Endpoint"
                name="endpoint"
                field=endpoint
                optional=true
                mono=true
                error=errors.field("spec.endpoint", endpoint.value)
                help="For an S3-compatible store: https://s3.example.com:9000, with a path if its S3 API has one. Leave it empty for AWS."
            />
            <CheckField label="Bucket in the path (path style)" name="path-style" value=entries.path_style />
        </fieldset>
    }
    .into_any()
}

#[component]
fn AccessKeyFields(entries: ConnectorEntries, errors: FormErrors) -> impl IntoView {
    let ConnectorEntries {
        access_key,
        secret_key,
        session_token,
        ..
    } = entries;
    let secret_help = if entries.exists() {
        "Leave it empty to keep the stored key, which is never shown."
    } else {
        "Stored encrypted and never shown again."
    };
    view! {
        <TextField
            label="Access key"
            name="access-key"
            field=access_key
            mono=true
            error=errors.field("spec.credentials.access_key", access_key.value)
        />
        <TextField
            label="Secret key"
            name="secret-key"
            kind="password"
            field=secret_key
            help=secret_help
            error=errors.field("spec.credentials.secret_key", secret_key.value)
        />
        <TextField
            label="Session token"
            name="session-token"
            kind="password"
            field=session_token
            optional=true
            help="Only for temporary credentials."
            error=errors.field("spec.credentials.session_token", session_token.value)
        />
    }
}

#[component]
pub(super) fn BackoffSection(entries: ConnectorEntries, errors: FormErrors, disabled: bool) -> impl IntoView {
    let ConnectorEntries {
        backoff,
        first_wait,
        longest_wait,
        retries,
        ..
    } = entries;
    let section = NodeRef::<leptos::html::Details>::new();
    // Opens if one of its fields is invalid. Only people close it.
    Effect::new(move |_| {
        if let (true, Some(section)) = (errors.has_any(&BACKOFF_FIELDS), section.get()) {
            section.set_open(true);
        }
    });
    let first_wait_errors = [
        errors.field("spec.backoff.base_delay", first_wait.value),
        errors.field("spec.backoff.fixed_backoff", first_wait.value),
    ];
    let first_wait_error = Signal::derive(move || first_wait_errors.into_iter().find_map(|error| error.get()));
    view! {
        <details class="disclosure" node_ref=section>
            <summary>"AWS Backoff Strategy"</summary>
            <fieldset disabled=disabled>
                <SelectField label="Strategy" name="backoff" value=backoff />
                <TextField label="First wait, ms" name="backoff-first" field=first_wait error=first_wait_error />
                <div hidden=move || backoff.get() == BackoffKind::FixedDelay>
                    <TextField
                        label="Longest wait, ms"
                        name="backoff-longest"
                        field=longest_wait
                        error=errors.field("spec.backoff.max_backoff_time", longest_wait.value)
                    />
                </div>
                <TextField
                    label="Retries"
                    name="backoff-retries"
                    field=retries
                    error=errors.field("spec.backoff.retry_count", retries.value)
                />
            </fieldset>
        </details>
    }
    .into_any()
}

/// The external id for the trust policy of a role, once a role is entered.
#[component]
fn ExternalId(role: RwSignal<String>) -> impl IntoView {
    let load = Action::new(|(): &()| external_id());
    let has_role = Memo::new(move |_| role.with(|role| !role.trim().is_empty()));
    Effect::new(move |_| {
        if has_role.get() && load.value().with_untracked(Option::is_none) {
            load.dispatch(());
        }
    });
    move || {
        has_role.get().then(|| match load.value().get() {
            None => view! { <p class="field-note">"Loading the external id…"</p> }.into_any(),
            Some(Err(error)) => view! { <ProblemAlert error=error /> }.into_any(),
            Some(Ok(id)) => {
                view! {
                    <div class="external-id">
                        <p class="field-note">
                            "The role's trust policy must require this external id (sts:ExternalId), so that no other account can have Auditstream assume this role:"
                        </p>
                        <div class="selection">
                            <span class="mono">{id.clone()}</span>
                            <CopyButton text=Signal::stored(id) label="Copy" />
                        </div>
                    </div>
                }
                    .into_any()
            }
        })
    }
}
