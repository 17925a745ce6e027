//! The form of an AWS connector: Overview, Credentials, AWS Backoff Strategy.

use auditstream_model::{Connector, ConnectorInput, ConnectorView, CredentialsInput, FieldErrors, Identifier};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use super::form_state::Entries;
use crate::ConsoleError;
use crate::components::focus::{first_wrong, focus_soon};
use crate::components::{CheckField, CopyButton, ProblemBox, SelectField, TextField, Wrong};
use crate::server_functions::connectors::{create_connector, external_id, replace_connector};

const CREDENTIALS: &[(&str, &str)] = &[
    ("MANUAL", "AWS access key"),
    ("INHERIT", "Inherit from the host"),
    ("IRSA", "IRSA (service account of the pod)"),
];
const BACKOFFS: &[(&str, &str)] = &[
    ("FULL_JITTER", "Full jitter"),
    ("EQUAL_JITTER", "Equal jitter"),
    ("FIXED_DELAY", "Fixed delay"),
];

/// Fields under "AWS Backoff Strategy", which opens when one of them is wrong.
const BACKOFF: [&str; 4] = [
    "spec.backoff.base_delay",
    "spec.backoff.fixed_backoff",
    "spec.backoff.max_backoff_time",
    "spec.backoff.retry_count",
];

/// Makes a connector or, given one, changes it.
#[component]
pub fn ConnectorForm(
    /// The connector to change.
    #[prop(optional)]
    initial: Option<Connector>,
    /// Told what was saved.
    on_saved: Callback<ConnectorView>,
    /// Told that nothing shall be.
    on_cancel: Callback<()>,
    /// Whether nothing can be changed.
    #[prop(optional)]
    refused: bool,
    /// Told whether something stands here that is not saved.
    typed: RwSignal<bool>,
) -> impl IntoView {
    let exists = initial.is_some();
    let entries = Entries::of(initial.as_ref());
    let (name, id) = (entries.name, entries.id);
    let id_edited = RwSignal::new(exists);
    let follow = Callback::new(move |name: String| {
        if !id_edited.get_untracked() {
            id.set(&Identifier::propose(&name));
        }
    });
    let own_id = Callback::new(move |text: String| {
        id_edited.set(exists || (!text.is_empty() && text != Identifier::propose(&name.now())));
    });

    let entered = Memo::new(move |_| entries.input());
    let start = StoredValue::new(untrack(|| entries.input()));
    Effect::new(move |_| typed.set(entered.with(|entered| start.with_value(|start| entered != start))));
    on_cleanup(move || {
        typed.try_set(false);
    });

    let wrong = Wrong::new();
    let other = RwSignal::new(None::<ConsoleError>);
    let form = NodeRef::<leptos::html::Form>::new();
    let refuse = move |errors: FieldErrors| {
        wrong.set(errors);
        focus_soon(move || first_wrong(form.get_untracked()?.as_ref()));
    };
    let more = NodeRef::<leptos::html::Details>::new();
    // It opens for what is wrong; closing it is left to people.
    Effect::new(move |_| {
        if let (true, Some(more)) = (wrong.any(&BACKOFF), more.get()) {
            more.set_open(true);
        }
    });
    let save = Action::new(move |input: &ConnectorInput| {
        let input = input.clone();
        async move {
            if exists {
                replace_connector(input).await
            } else {
                create_connector(input).await
            }
        }
    });
    Effect::new(move |_| match save.value().get() {
        None => {}
        Some(Ok(saved)) => on_saved.run(saved),
        Some(Err(error)) => {
            refuse(FieldErrors(error.0.errors.clone()));
            other.set(wrong.elsewhere(&error));
        }
    });
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        event.stop_propagation();
        if save.pending().get_untracked() || refused {
            return;
        }
        let (input, mut errors) = entered.get_untracked();
        // By the rules that the server has, too.
        errors.0.extend(input.clone().parse().err().unwrap_or_default().0);
        if !exists
            && matches!(
                input.spec.credentials,
                CredentialsInput::Manual { secret_key: None, .. }
            )
        {
            errors.add("spec.credentials.secret_key", "A secret key is required.");
        }
        other.set(None);
        if errors.is_empty() {
            wrong.set(errors);
            save.dispatch(input);
        } else {
            refuse(errors);
        }
    };
    let first_wait = (
        wrong.of("spec.backoff.base_delay", entries.first.value),
        wrong.of("spec.backoff.fixed_backoff", entries.first.value),
    );
    let first_wait = Signal::derive(move || first_wait.0.get().or_else(|| first_wait.1.get()));
    let secret_help = if exists {
        "Leave it empty to keep the stored one. It is never shown."
    } else {
        "It is stored encrypted and never shown again."
    };
    let manual = move || entries.kind.get() == "MANUAL";
    view! {
        // The method keeps what is typed out of the address when the form is sent before the page lives.
        <form method="dialog" class="connector-form stack" node_ref=form on:submit=submit novalidate>
            <fieldset disabled=refused>
                <legend>"Overview"</legend>
                <TextField label="Name" name="connector-name" field=name error=wrong.of("name", name.value) on_type=follow />
                <TextField
                    label="Id"
                    name="connector-id"
                    field=id
                    mono=true
                    readonly=exists
                    error=wrong.of("identifier", id.value)
                    on_type=own_id
                    help=if exists { "Fixed once saved." } else { "It follows the name until you change it; fixed once saved." }
                />
                <TextField label="Description" name="connector-description" field=entries.description optional=true error=wrong.of("description", entries.description.value) />
            </fieldset>
            <fieldset disabled=refused>
                <legend>"Credentials"</legend>
                <SelectField label="Credentials" name="credentials" value=entries.kind options=CREDENTIALS />
                <p class="field-error">{wrong.of("spec.credentials.type", entries.kind)}</p>
                <div class="stack" hidden=move || !manual()>
                    <TextField label="Access key" name="access-key" field=entries.access_key mono=true error=wrong.of("spec.credentials.access_key", entries.access_key.value) />
                    <TextField label="Secret key" name="secret-key" kind="password" field=entries.secret_key help=secret_help error=wrong.of("spec.credentials.secret_key", entries.secret_key.value) />
                    <TextField label="Session token" name="session-token" kind="password" field=entries.session_token optional=true help="Only for temporary credentials." error=wrong.of("spec.credentials.session_token", entries.session_token.value) />
                </div>
                <TextField label="Region" name="region" field=entries.region mono=true error=wrong.of("spec.region", entries.region.value) />
                <TextField
                    label="Cross-account role ARN"
                    name="role-arn"
                    field=entries.role
                    optional=true
                    mono=true
                    error=wrong.of("spec.cross_account.role_arn", entries.role.value)
                    help="A role of another AWS account that is assumed after signing in."
                />
                <ExternalId role=entries.role.value />
                <TextField
                    label="Endpoint"
                    name="endpoint"
                    field=entries.endpoint
                    optional=true
                    mono=true
                    error=wrong.of("spec.endpoint", entries.endpoint.value)
                    help="For an S3-compatible store: https://s3.example.com:9000. Leave it empty for AWS."
                />
                <CheckField label="Bucket in the path (path style)" name="path-style" value=entries.path_style />
            </fieldset>
            <details class="more" node_ref=more>
                <summary>"AWS Backoff Strategy"</summary>
                <fieldset disabled=refused>
                    <SelectField label="Strategy" name="backoff" value=entries.backoff options=BACKOFFS />
                    <TextField label="First wait, ms" name="backoff-first" field=entries.first error=first_wait />
                    <div hidden=move || entries.backoff.get() == "FIXED_DELAY">
                        <TextField label="Longest wait, ms" name="backoff-longest" field=entries.longest error=wrong.of("spec.backoff.max_backoff_time", entries.longest.value) />
                    </div>
                    <TextField label="Retries" name="backoff-retries" field=entries.retries error=wrong.of("spec.backoff.retry_count", entries.retries.value) />
                </fieldset>
            </details>
            {move || other.get().map(|error| view! { <ProblemBox error=error /> })}
            <div class="form-actions">
                <button type="button" class="button" on:click=move |_| on_cancel.run(())>"Cancel"</button>
                <button type="submit" class="button primary" disabled=refused aria-disabled=move || save.pending().get().to_string()>
                    {move || if save.pending().get() { "Saving…" } else { "Save connector" }}
                </button>
            </div>
        </form>
    }
    .into_any()
}

/// What the role's trust policy must ask for, as soon as a role is named.
#[component]
fn ExternalId(role: RwSignal<String>) -> impl IntoView {
    let load = Action::new(|(): &()| external_id());
    let named = Memo::new(move |_| role.with(|role| !role.trim().is_empty()));
    Effect::new(move |_| {
        if named.get() && load.value().with_untracked(Option::is_none) {
            load.dispatch(());
        }
    });
    move || {
        named.get().then(|| match load.value().get() {
            None => view! { <p class="field-note">"Loading the external id…"</p> }.into_any(),
            Some(Err(error)) => view! { <ProblemBox error=error /> }.into_any(),
            Some(Ok(id)) => {
                view! {
                    <div class="external-id">
                        <p class="field-note">
                            "The role's trust policy must require this external id, so that nobody else can have the role taken on (sts:ExternalId):"
                        </p>
                        <div class="chosen">
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
