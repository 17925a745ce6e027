//! The form of an AWS connector: Overview, Credentials, AWS Backoff Strategy.

use std::collections::BTreeMap;

use auditstream_model::{
    Backoff, Connector, ConnectorInput, ConnectorKind, ConnectorSpec, ConnectorView, Credentials, CredentialsInput,
    CrossAccount, Identifier,
};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use crate::ConsoleError;
use crate::components::{CheckField, CopyButton, Field, ProblemBox, SelectField, TextField};
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
    /// Why nothing can be saved, if that is so.
    #[prop(optional_no_strip)]
    refused: Option<&'static str>,
) -> impl IntoView {
    let exists = initial.is_some();
    let old = initial.as_ref();
    let spec = old.map(|connector| &connector.spec);
    let tags: BTreeMap<String, String> = old.map(|connector| connector.tags.as_map().clone()).unwrap_or_default();
    let name = Field::new(old.map(|connector| connector.name.to_string()).unwrap_or_default());
    let id = Field::new(
        old.map(|connector| connector.identifier.to_string())
            .unwrap_or_default(),
    );
    let description = Field::new(
        old.map(|connector| connector.description.to_string())
            .unwrap_or_default(),
    );
    let (kind_word, key) = match spec.map(|spec| &spec.credentials) {
        None => ("MANUAL", String::new()),
        Some(Credentials::Manual { access_key }) => ("MANUAL", access_key.clone()),
        Some(Credentials::Inherit) => ("INHERIT", String::new()),
        Some(Credentials::Irsa) => ("IRSA", String::new()),
    };
    let kind = RwSignal::new(kind_word.to_owned());
    let access_key = Field::new(key);
    let secret_key = Field::new("");
    let session_token = Field::new("");
    let region = Field::new(spec.map_or_else(|| "us-east-1".to_owned(), |spec| spec.region.clone()));
    let endpoint = Field::new(spec.and_then(|spec| spec.endpoint.clone()).unwrap_or_default());
    let path_style = RwSignal::new(spec.is_some_and(|spec| spec.path_style));
    let role = Field::new(
        spec.and_then(|spec| spec.cross_account.as_ref())
            .map(|cross| cross.role_arn.clone())
            .unwrap_or_default(),
    );
    let (backoff_word, first, longest, retries) = match spec.map(|spec| spec.backoff).unwrap_or_default() {
        Backoff::FixedDelay {
            fixed_backoff,
            retry_count,
        } => ("FIXED_DELAY", fixed_backoff, 30_000, retry_count),
        Backoff::EqualJitter {
            base_delay,
            max_backoff_time,
            retry_count,
        } => ("EQUAL_JITTER", base_delay, max_backoff_time, retry_count),
        Backoff::FullJitter {
            base_delay,
            max_backoff_time,
            retry_count,
        } => ("FULL_JITTER", base_delay, max_backoff_time, retry_count),
    };
    let backoff = RwSignal::new(backoff_word.to_owned());
    let first = Field::new(first.to_string());
    let longest = Field::new(longest.to_string());
    let retries = Field::new(retries.to_string());

    let id_edited = RwSignal::new(exists);
    let follow = Callback::new(move |name: String| {
        if !id_edited.get_untracked() {
            id.set(&Identifier::propose(&name));
        }
    });
    let own_id = Callback::new(move |text: String| {
        id_edited.set(exists || (!text.is_empty() && text != Identifier::propose(&name.now())));
    });

    // Sentences about fields, from the rules that the server has too.
    let wrong = RwSignal::new(auditstream_model::FieldErrors::default());
    let of = move |field: &'static str| Signal::derive(move || wrong.with(|wrong| wrong.of(field).map(str::to_owned)));
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
    let other = RwSignal::new(None::<ConsoleError>);
    Effect::new(move |_| match save.value().get() {
        None => {}
        Some(Ok(saved)) => on_saved.run(saved),
        Some(Err(error)) => {
            wrong.set(auditstream_model::FieldErrors(error.0.errors.clone()));
            other.set(Some(error));
        }
    });
    let filled = move |field: Field| Some(field.now()).filter(|text| !text.trim().is_empty());
    let number = move |field: Field| field.now().trim().replace(',', "").parse::<u64>();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        event.stop_propagation();
        if save.pending().get_untracked() || refused.is_some() {
            return;
        }
        let (Ok(first), Ok(longest), Ok(retries)) =
            (number(first), number(longest), retries.now().trim().parse::<u32>())
        else {
            wrong.set(auditstream_model::FieldErrors::one(
                "spec.backoff.retry_count",
                "Enter whole numbers for waits and retries.",
            ));
            return;
        };
        let input = ConnectorInput {
            identifier: id.now(),
            name: name.now(),
            description: description.now(),
            tags: tags.clone(),
            spec: ConnectorSpec {
                kind: ConnectorKind::Aws,
                region: region.now().trim().to_owned(),
                endpoint: filled(endpoint),
                path_style: path_style.get_untracked(),
                credentials: match kind.get_untracked().as_str() {
                    "INHERIT" => CredentialsInput::Inherit,
                    "IRSA" => CredentialsInput::Irsa,
                    _ => CredentialsInput::Manual {
                        access_key: access_key.now(),
                        secret_key: filled(secret_key),
                        session_token: filled(session_token),
                    },
                },
                cross_account: filled(role).map(|role| CrossAccount {
                    role_arn: role.trim().to_owned(),
                }),
                backoff: match backoff.get_untracked().as_str() {
                    "FIXED_DELAY" => Backoff::FixedDelay {
                        fixed_backoff: first,
                        retry_count: retries,
                    },
                    "EQUAL_JITTER" => Backoff::EqualJitter {
                        base_delay: first,
                        max_backoff_time: longest,
                        retry_count: retries,
                    },
                    _ => Backoff::FullJitter {
                        base_delay: first,
                        max_backoff_time: longest,
                        retry_count: retries,
                    },
                },
            },
        };
        other.set(None);
        match input.clone().parse() {
            Err(errors) => wrong.set(errors),
            Ok((_, None)) if !exists && kind.get_untracked() == "MANUAL" => {
                wrong.set(auditstream_model::FieldErrors::one(
                    "spec.credentials.secret_key",
                    "A secret key is needed.",
                ));
            }
            Ok(_) => {
                wrong.set(auditstream_model::FieldErrors::default());
                save.dispatch(input);
            }
        }
    };
    let secret_help = if exists {
        "Leave it empty to keep the stored one. It is never shown."
    } else {
        "It is stored encrypted and never shown again."
    };
    let manual = move || kind.get() == "MANUAL";
    view! {
        // The method keeps what is typed out of the address when the form is sent before the page lives.
        <form method="dialog" class="connector-form stack" on:submit=submit novalidate>
            <fieldset>
                <legend>"Overview"</legend>
                <TextField label="Name" name="connector-name" field=name error=of("name") on_type=follow />
                <TextField
                    label="Id"
                    name="connector-id"
                    field=id
                    mono=true
                    readonly=exists
                    error=of("identifier")
                    on_type=own_id
                    help=if exists { "Fixed once saved." } else { "It follows the name until you change it; fixed once saved." }
                />
                <TextField label="Description" name="connector-description" field=description optional=true error=of("description") />
            </fieldset>
            <fieldset>
                <legend>"Credentials"</legend>
                <SelectField label="Credentials" name="credentials" value=kind options=CREDENTIALS />
                <div class="stack" hidden=move || !manual()>
                    <TextField label="Access key" name="access-key" field=access_key mono=true error=of("spec.credentials.access_key") />
                    <TextField label="Secret key" name="secret-key" kind="password" field=secret_key help=secret_help error=of("spec.credentials.secret_key") />
                    <TextField label="Session token" name="session-token" kind="password" field=session_token optional=true help="Only for temporary credentials." />
                </div>
                <TextField label="Region" name="region" field=region mono=true error=of("spec.region") />
                <TextField
                    label="Cross-account role ARN"
                    name="role-arn"
                    field=role
                    optional=true
                    mono=true
                    error=of("spec.cross_account.role_arn")
                    help="A role of another AWS account that is assumed after signing in."
                />
                <ExternalId role=role.value />
                <TextField
                    label="Endpoint"
                    name="endpoint"
                    field=endpoint
                    optional=true
                    mono=true
                    error=of("spec.endpoint")
                    help="For an S3-compatible store: https://s3.example.com:9000. Leave it empty for AWS."
                />
                <CheckField label="Bucket in the path (path style)" name="path-style" value=path_style />
            </fieldset>
            <details class="more">
                <summary>"AWS Backoff Strategy"</summary>
                <div class="stack">
                    <SelectField label="Strategy" name="backoff" value=backoff options=BACKOFFS />
                    <TextField label="First wait, ms" name="backoff-first" field=first error=of("spec.backoff.base_delay") />
                    <div hidden=move || backoff.get() == "FIXED_DELAY">
                        <TextField label="Longest wait, ms" name="backoff-longest" field=longest error=of("spec.backoff.max_backoff_time") />
                    </div>
                    <TextField label="Retries" name="backoff-retries" field=retries error=of("spec.backoff.retry_count") />
                </div>
            </details>
            {move || other.get().map(|error| view! { <ProblemBox error=error /> })}
            {refused.map(|reason| view! { <p class="muted reason">{reason}</p> })}
            <div class="form-actions">
                <button type="button" class="button" on:click=move |_| on_cancel.run(())>"Cancel"</button>
                <button type="submit" class="button primary" disabled=move || refused.is_some() || save.pending().get()>
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
