//! Check bucket access: whether a destination could stream into its bucket, and what to allow if not.

use auditstream_model::{BucketCheck, Outcome};
use leptos::prelude::*;
use leptos::reactive::actions::ActionAbortHandle;

use super::test_result::{TestFailure, TestSteps};
use super::{CopyButton, Icon, ProblemBox, Shape};
use crate::server_functions::destinations::check_bucket;

/// The button, and below it what the check found.
#[component]
pub fn BucketAccess(
    /// The destination, which is saved.
    #[prop(into)]
    id: Signal<String>,
    /// Why it cannot be checked, if that is so.
    #[prop(optional_no_strip)]
    refused: Option<&'static str>,
    /// Told when a check has ended.
    #[prop(optional, into)]
    on_checked: Option<Callback<()>>,
    /// How often the destination was saved on this page: what was found before it was saved again says nothing any more.
    #[prop(optional, into)]
    version: Signal<u32>,
) -> impl IntoView {
    let check = Action::new(|id: &String| check_bucket(id.clone()));
    let latest = StoredValue::new(None::<ActionAbortHandle>);
    Effect::new(move |before: Option<u32>| {
        let version = version.get();
        if before.is_some_and(|before| before != version) {
            if let Some(latest) = latest.try_update_value(Option::take).flatten() {
                latest.abort();
            }
            check.clear();
        }
        version
    });
    Effect::new(move |_| {
        if check.value().with(Option::is_some)
            && let Some(on_checked) = on_checked
        {
            on_checked.run(());
        }
    });
    view! {
        <div class="bucket-access">
            <p class="muted">
                "Writes a small probe object, reads it back, tries the conditional write and deletes it. It tells which permission is missing."
            </p>
            <button
                type="button"
                class="button"
                disabled=refused.is_some()
                aria-disabled=move || check.pending().get().to_string()
                title=refused.unwrap_or_default()
                on:click=move |_| {
                    if !check.pending().get_untracked() {
                        latest.set_value(Some(check.dispatch(id.get_untracked())));
                    }
                }
            >
                {move || if check.pending().get() { "Checking…" } else { "Check bucket access" }}
            </button>
            <div class="test-result" aria-live="polite">
                {move || match check.value().get().filter(|_| !check.pending().get()) {
                    None => ().into_any(),
                    Some(Err(error)) => view! { <ProblemBox error=error /> }.into_any(),
                    Some(Ok(found)) => view! { <Found found=found /> }.into_any(),
                }}
            </div>
        </div>
    }
    .into_any()
}

#[component]
fn Found(found: BucketCheck) -> impl IntoView {
    let ignored = found.conditional_writes == Some(false);
    view! {
        <TestSteps steps=found.steps />
        {if found.status == Outcome::Success {
            view! {
                <div class="banner banner-good">
                    <Icon shape=Shape::Check />
                    <p><strong>"The bucket can be streamed to"</strong></p>
                </div>
            }
                .into_any()
        } else {
            view! { <TestFailure title="The bucket check failed" error=found.error /> }.into_any()
        }}
        {ignored.then(|| view! { <Ignored /> })}
        {found
            .policy
            .map(|policy| {
                view! {
                    <figure class="policy">
                        <figcaption>
                            "This IAM policy allows all that streaming to this bucket needs."
                            <CopyButton text=policy.clone() label="Copy policy" />
                        </figcaption>
                        <pre class="code" tabindex="0" aria-label="IAM policy">{policy}</pre>
                    </figure>
                }
            })}
    }
}

/// What it means that a store ignores the condition of a write.
#[component]
pub fn Ignored() -> impl IntoView {
    view! {
        <div class="banner banner-warning">
            <Icon shape=Shape::Warning />
            <p>
                "This store ignores If-None-Match: it cannot refuse to overwrite an object. Names are unique, so events are neither lost nor doubled by Auditstream itself, but nothing guards an object against somebody else's write."
            </p>
        </div>
    }
}
