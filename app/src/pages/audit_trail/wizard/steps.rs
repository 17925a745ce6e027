//! The three steps. All stay in the page, so that nothing typed is lost by going back.

use auditstream_model::Outcome;
use auditstream_model::destination::{DestinationKind, ServerSideEncryption};
use auditstream_model::{
    AggregateItem, Code, Compression, Description, DestinationInput, FieldErrors, Format, Identifier, Name, SpecInput,
    StartAt, Status, Tags,
};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;

use super::picker::Picker;
use crate::ConsoleError;
use crate::components::tags::add_typed;
use crate::components::{
    BucketAccess, Field, Icon, ProblemBox, SelectField, Shape, TagsField, TestResult, TestRun, TextField,
};
use crate::server_functions::destinations::{create_destination, destination_id_is_unique, replace_destination};

const STEPS: [&str; 3] = ["Overview", "Streaming Connector", "Connection Test"];
const FORMATS: &[(&str, &str)] = &[("ndjson", "NDJSON: one event a line"), ("json_array", "JSON array")];
const COMPRESSIONS: &[(&str, &str)] = &[("gzip", "gzip"), ("zstd", "Zstandard"), ("none", "None")];
const ENCRYPTIONS: &[(&str, &str)] = &[
    ("none", "As the bucket has it"),
    ("AES256", "Keys of S3 (AES256)"),
    ("kms", "A key of AWS KMS"),
];
const CLASSES: &[(&str, &str)] = &[
    ("", "As the store has it"),
    ("STANDARD_IA", "Standard, infrequent access"),
    ("ONEZONE_IA", "One zone, infrequent access"),
    ("INTELLIGENT_TIERING", "Intelligent tiering"),
    ("GLACIER_IR", "Glacier, instant retrieval"),
    ("GLACIER", "Glacier, flexible retrieval"),
    ("DEEP_ARCHIVE", "Glacier, deep archive"),
];
/// Fields under "More options", which opens when one of them is wrong.
const OPTIONS: [&str; 4] = [
    "spec.prefix",
    "spec.sse.kms_key_id",
    "spec.storage_class",
    "spec.expected_bucket_owner",
];
const STARTS: &[(&str, &str)] = &[
    ("now", "Now: what happens from then on"),
    ("oldest", "The oldest event of the trail"),
];

/// The wizard.
#[component]
pub fn Wizard(
    /// The destination to change.
    initial: Option<AggregateItem>,
) -> impl IntoView {
    let old = initial.as_ref().map(|item| &item.streaming_destination);
    // Where it starts is resolved by the first activation.
    let started = initial
        .as_ref()
        .is_some_and(|item| item.streaming_details.cursor.is_some());
    let status = old.map_or(Status::Inactive, |old| old.status);
    let spec = old.map(|old| old.spec.clone());
    let text = |text: Option<String>| Field::new(text.unwrap_or_default());
    let name = text(old.map(|old| old.name.to_string()));
    let id = text(old.map(|old| old.identifier.to_string()));
    let description = text(old.map(|old| old.description.to_string()));
    let tags = RwSignal::new(old.map(|old| old.tags.as_map().clone()).unwrap_or_default());
    let typed_tag = Field::new("");
    let connector = RwSignal::new(
        initial
            .as_ref()
            .and_then(|item| item.connector_info.as_ref())
            .map(|info| (info.identifier.to_string(), info.name.to_string())),
    );
    let bucket = text(spec.as_ref().map(|spec| spec.bucket.as_str().to_owned()));
    let prefix = text(spec.as_ref().map(|spec| spec.prefix.as_str().to_owned()));
    let format = RwSignal::new(word(spec.as_ref().map(|spec| spec.format).unwrap_or_default()));
    let compression = RwSignal::new(word(spec.as_ref().map(|spec| spec.compression).unwrap_or_default()));
    let start_at = RwSignal::new(word(spec.as_ref().map(|spec| spec.start_at).unwrap_or_default()));

    let (sse_word, key) = match spec.as_ref().map(|spec| &spec.sse) {
        None | Some(ServerSideEncryption::None) => ("none", None),
        Some(ServerSideEncryption::Aes256) => ("AES256", None),
        Some(ServerSideEncryption::Kms { kms_key_id }) => ("kms", Some(kms_key_id.clone())),
    };
    let sse = RwSignal::new(sse_word.to_owned());
    let kms_key = text(key);
    let storage_class = RwSignal::new(
        spec.as_ref()
            .and_then(|spec| spec.storage_class.clone())
            .unwrap_or_default(),
    );
    let owner = text(spec.as_ref().and_then(|spec| spec.expected_bucket_owner.clone()));

    let exists = initial.is_some();
    let step = RwSignal::new(0_usize);
    let saved = RwSignal::new(exists);
    let id_edited = RwSignal::new(exists);
    let wrong = RwSignal::new(FieldErrors::default());
    let problem = RwSignal::new(None::<ConsoleError>);
    let of = move |field: &'static str| Signal::derive(move || wrong.with(|wrong| wrong.of(field).map(str::to_owned)));

    let follow = Callback::new(move |name: String| {
        if !id_edited.get_untracked() {
            id.set(&Identifier::propose(&name));
        }
    });
    let own_id = Callback::new(move |text: String| {
        id_edited.set(!text.is_empty() && text != Identifier::propose(&name.now()));
    });

    // Overview → Streaming Connector.
    let check = Action::new(|id: &String| destination_id_is_unique(id.clone()));
    Effect::new(move |_| match check.value().get() {
        None => {}
        Some(Ok(true)) => step.set(1),
        Some(Ok(false)) => wrong.update(|wrong| {
            wrong.add(
                "identifier",
                format!(
                    "There is already a destination with the id “{}”. Choose another.",
                    id.now()
                ),
            );
        }),
        Some(Err(error)) => problem.set(Some(error)),
    });
    let go_on = move |event: SubmitEvent| {
        event.prevent_default();
        add_typed(tags, typed_tag);
        let mut errors = FieldErrors::default();
        errors.take("name", Name::parse(&name.now()));
        errors.take("identifier", Identifier::parse(&id.now()));
        errors.take("description", Description::parse(&description.now()));
        errors.take("tags", Tags::parse(tags.get_untracked()));
        let fits = errors.is_empty();
        wrong.set(errors);
        problem.set(None);
        if !fits || check.pending().get_untracked() {
            return;
        }
        if saved.get_untracked() {
            step.set(1);
        } else {
            check.dispatch(id.now());
        }
    };

    // Streaming Connector → Connection Test.
    let test = TestRun::new();
    let save = Action::new(move |(exists, input): &(bool, DestinationInput)| {
        let (exists, input) = (*exists, input.clone());
        async move {
            if exists {
                replace_destination(input).await
            } else {
                create_destination(input).await
            }
        }
    });
    Effect::new(move |_| match save.value().get() {
        None => {}
        Some(Ok(view)) => {
            saved.set(true);
            step.set(2);
            test.start(view.streaming_destination.connector_ref.to_string());
        }
        Some(Err(error)) => {
            wrong.set(FieldErrors(error.0.errors.clone()));
            let overview = ["identifier", "name", "description", "tags"];
            if error.0.code == Code::DuplicateField
                || error
                    .0
                    .errors
                    .iter()
                    .any(|wrong| overview.contains(&wrong.field.as_str()))
            {
                step.set(0);
            }
            problem.set(Some(error));
        }
    });
    let keep = move |event: SubmitEvent| {
        event.prevent_default();
        let connector_ref = connector.get_untracked().map(|(id, _)| id).unwrap_or_default();
        let input = DestinationInput {
            identifier: id.now(),
            name: name.now(),
            description: description.now(),
            tags: tags.get_untracked(),
            status,
            connector_ref,
            spec: SpecInput {
                kind: DestinationKind::AwsS3,
                bucket: bucket.now().trim().to_owned(),
                prefix: Some(prefix.now().trim().to_owned()),
                format: parsed::<Format>(format),
                compression: parsed::<Compression>(compression),
                start_at: parsed::<StartAt>(start_at),
                sse: Some(match sse.get_untracked().as_str() {
                    "AES256" => ServerSideEncryption::Aes256,
                    "kms" => ServerSideEncryption::Kms {
                        kms_key_id: kms_key.now().trim().to_owned(),
                    },
                    _ => ServerSideEncryption::None,
                }),
                storage_class: Some(storage_class.get_untracked()),
                expected_bucket_owner: Some(owner.now().trim().to_owned()),
            },
        };
        problem.set(None);
        // By the rules that the server has, too.
        match input.clone().parse(None) {
            Err(errors) => wrong.set(errors),
            Ok(_) if save.pending().get_untracked() => {}
            Ok(_) => {
                wrong.set(FieldErrors::default());
                save.dispatch((saved.get_untracked(), input));
            }
        }
    };

    // Connection Test → the table.
    let passed = move || {
        !test.pending.get()
            && test
                .result
                .with(|outcome| matches!(outcome, Some(Ok(test)) if test.status == Outcome::Success))
    };
    let navigate = use_navigate();
    let finish = move |_| navigate("/settings/audit-trail/streaming", NavigateOptions::default());
    let picker = NodeRef::<leptos::html::Dialog>::new();
    let picker_opened = RwSignal::new(false);
    let pick = move |_| {
        picker_opened.set(true);
        if let Some(dialog) = picker.get_untracked() {
            drop(dialog.show_modal());
        }
    };
    let applied = Callback::new(move |chosen| {
        connector.set(Some(chosen));
        wrong.update(|wrong| wrong.0.retain(|wrong| wrong.field != "connector_ref"));
    });
    let shown_problem = move || {
        // What stands beside a field is not said twice.
        problem
            .get()
            .filter(|error| error.0.errors.is_empty())
            .map(|error| view! { <ProblemBox error=error /> })
    };
    view! {
        <div class="wizard">
            <StepList step=step />
            <div class="wizard-body">
                {shown_problem}
                <form method="dialog" class="stack" hidden=move || step.get() != 0 on:submit=go_on novalidate>
                    <h2>"Overview"</h2>
                    <TextField label="Name" name="name" field=name error=of("name") on_type=follow />
                    <TextField
                        label="Id"
                        name="identifier"
                        field=id
                        mono=true
                        readonly=saved
                        error=of("identifier")
                        on_type=own_id
                        help=if exists { "Fixed once saved." } else { "It follows the name until you change it, and is fixed once saved." }
                    />
                    <TextField label="Description" name="description" field=description optional=true error=of("description") />
                    <TagsField tags=tags typed=typed_tag />
                    <p class="field-error">{of("tags")}</p>
                    <div class="form-actions">
                        <a class="button" href="/settings/audit-trail/streaming">"Cancel"</a>
                        <button type="submit" class="button primary" disabled=move || check.pending().get()>
                            {move || if check.pending().get() { "Checking…" } else { "Continue" }}
                        </button>
                    </div>
                </form>
                <form method="dialog" class="stack" hidden=move || step.get() != 1 on:submit=keep novalidate>
                    <h2>"Streaming Connector"</h2>
                    <div class="kinds" role="group" aria-label="Where to stream">
                        <button type="button" class="kind" aria-pressed="true">
                            <Icon shape=Shape::Bucket />
                            "Amazon S3"
                        </button>
                    </div>
                    <div class="field" class:field-wrong=move || of("connector_ref").get().is_some()>
                        <span class="label" id="connector-label">"Connector"</span>
                        <div class="chosen" role="group" aria-labelledby="connector-label">
                            {move || match connector.get() {
                                Some((id, name)) => {
                                    view! { <span><strong>{name}</strong>" "<span class="mono muted">{id}</span></span> }.into_any()
                                }
                                None => view! { <span class="muted">"None selected"</span> }.into_any(),
                            }}
                            <button type="button" class="button" aria-haspopup="dialog" on:click=pick>"Select Connector"</button>
                        </div>
                        <p class="field-note" aria-live="polite">{of("connector_ref")}</p>
                    </div>
                    <TextField
                        label="Amazon S3 Bucket"
                        name="bucket"
                        field=bucket
                        mono=true
                        error=of("spec.bucket")
                        help="Where all streaming records are written: the bucket's name alone."
                    />
                    <details class="more" open=move || wrong.with(|wrong| OPTIONS.iter().any(|field| wrong.of(field).is_some()))>
                        <summary>"More options"</summary>
                        <div class="stack">
                            <TextField
                                label="Prefix"
                                name="prefix"
                                field=prefix
                                mono=true
                                optional=true
                                error=of("spec.prefix")
                                help="What every key begins with. It ends in /."
                            />
                            <SelectField label="Format" name="format" value=format options=FORMATS />
                            <SelectField label="Compression" name="compression" value=compression options=COMPRESSIONS />
                            <SelectField
                                label="Start at"
                                name="start-at"
                                value=start_at
                                options=STARTS
                                disabled=started
                                help=if started {
                                    "Fixed by the first activation."
                                } else {
                                    "Where the first activation begins; fixed from then on."
                                }
                            />
                            <SelectField label="Encryption" name="sse" value=sse options=ENCRYPTIONS help="How S3 encrypts objects at rest." />
                            <div hidden=move || sse.get() != "kms">
                                <TextField
                                    label="KMS key"
                                    name="kms-key"
                                    field=kms_key
                                    mono=true
                                    error=of("spec.sse.kms_key_id")
                                    help="The key's id or ARN."
                                />
                            </div>
                            <SelectField label="Storage class" name="storage-class" value=storage_class options=CLASSES />
                            <TextField
                                label="Expected bucket owner"
                                name="owner"
                                field=owner
                                mono=true
                                optional=true
                                error=of("spec.expected_bucket_owner")
                                help="The 12 digits of the AWS account that must own the bucket: nothing is written to anybody else's."
                            />
                        </div>
                    </details>
                    <div class="form-actions">
                        <button type="button" class="button" on:click=move |_| step.set(0)>"Back"</button>
                        <button type="submit" class="button primary" disabled=move || save.pending().get()>
                            {move || if save.pending().get() { "Saving…" } else { "Save and Continue" }}
                        </button>
                    </div>
                </form>
                <section class="stack" hidden=move || step.get() != 2 aria-labelledby="test-title">
                    <h2 id="test-title">"Connection Test"</h2>
                    <p class="muted">
                        "The test signs in with the connector. The bucket is not part of the test: it is first used when the destination is active."
                    </p>
                    <TestResult run=test />
                    <BucketAccess id=id.value />
                    <div class="form-actions">
                        <button type="button" class="button" on:click=move |_| step.set(1)>"Back"</button>
                        <button
                            type="button"
                            class="button"
                            disabled=move || test.pending.get()
                            on:click=move |_| {
                                if let Some((id, _)) = connector.get_untracked() {
                                    test.start(id);
                                }
                            }
                        >
                            "Test again"
                        </button>
                        <button type="button" class="button primary" disabled=move || !passed() on:click=finish>"Finish"</button>
                    </div>
                </section>
            </div>
        </div>
        <Picker node=picker on_apply=applied opened=picker_opened />
    }
    .into_any()
}

/// The steps with their state.
#[component]
fn StepList(step: RwSignal<usize>) -> impl IntoView {
    view! {
        <ol class="steps" aria-label="Steps">
            {STEPS
                .into_iter()
                .enumerate()
                .map(|(number, title)| {
                    view! {
                        <li
                            class="step"
                            class:step-done=move || number < step.get()
                            aria-current=move || (number == step.get()).then_some("step")
                        >
                            <span class="step-mark" aria-hidden="true">
                                {move || {
                                    if number < step.get() {
                                        view! { <Icon shape=Shape::Check /> }.into_any()
                                    } else {
                                        (number + 1).into_any()
                                    }
                                }}
                            </span>
                            {title}
                            <span class="hidden">{move || if number < step.get() { " (done)" } else { "" }}</span>
                        </li>
                    }
                })
                .collect_view()}
        </ol>
    }
}

/// The word that stands for a choice in JSON.
fn word<T: serde::Serialize>(choice: T) -> String {
    serde_json::to_value(choice)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// The choice that a word stands for.
fn parsed<T: serde::de::DeserializeOwned>(word: RwSignal<String>) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(word.get_untracked())).ok()
}
