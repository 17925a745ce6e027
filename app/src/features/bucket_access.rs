//! The bucket access check: whether a destination could stream to its bucket.

use auditstream_model::{BucketCheck, Outcome};
use leptos::prelude::*;
use leptos::reactive::actions::ActionAbortHandle;

use super::connection_test::{TestFailure, TestSteps};
use crate::components::{CopyButton, Icon, ProblemAlert, Shape};
use crate::server_functions::destinations::check_bucket;

/// The button and, below it, the result of the check.
#[component]
pub fn BucketAccess(
    #[prop(into)] id: Signal<String>,
    /// Why the check is disabled, if it is.
    #[prop(optional_no_strip)]
    refused: Option<&'static str>,
    #[prop(optional, into)] on_checked: Option<Callback<()>>,
    /// How often the destination was saved on this page. Saving discards earlier results.
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
                "Writes a small probe object, reads it back, tests the conditional write and deletes the object. The result names any missing permission."
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
                    Some(Err(error)) => view! { <ProblemAlert error=error /> }.into_any(),
                    Some(Ok(check)) => view! { <CheckResult check=check /> }.into_any(),
                }}
            </div>
        </div>
    }
    .into_any()
}

#[component]
fn CheckResult(check: BucketCheck) -> impl IntoView {
    let ignores_condition = check.conditional_writes == Some(false);
    view! {
        <TestSteps steps=check.steps />
        {if check.status == Outcome::Success {
            view! {
                <div class="banner banner-good">
                    <Icon shape=Shape::Check />
                    <p><strong>"Streaming to this bucket works"</strong></p>
                </div>
            }
                .into_any()
        } else {
            view! { <TestFailure title="The bucket check failed" error=check.error /> }.into_any()
        }}
        {ignores_condition.then(|| view! { <ConditionIgnored /> })}
        {check
            .policy
            .map(|policy| {
                view! {
                    <figure class="code-figure">
                        <figcaption>
                            "This IAM policy grants every permission that streaming to this bucket requires."
                            <CopyButton text=policy.clone() label="Copy policy" />
                        </figcaption>
                        <pre class="code" tabindex="0" aria-label="IAM policy">{policy}</pre>
                    </figure>
                }
            })}
    }
}

#[component]
fn ConditionIgnored() -> impl IntoView {
    view! {
        <div class="banner banner-warning">
            <Icon shape=Shape::Warning />
            <p>
                "This store does not honour If-None-Match, so it cannot refuse to overwrite an object. It is used only with the option “Write without conditions”. Auditstream itself neither loses nor duplicates events, because its keys are unique. But nothing protects an object from being overwritten by another client."
            </p>
        </div>
    }
}
