//! The row of an API token.

use auditstream_model::{ApiToken, EpochMillis};
use leptos::prelude::*;

use crate::components::dialog::open;
use crate::components::time::Now;
use crate::components::{ConfirmDialog, Icon, ProblemAlert, Shape, TimeAgo};
use crate::server_functions::access::revoke_api_token;

#[component]
pub(super) fn TokenRow(
    token: ApiToken,
    /// Called after the token has been revoked.
    on_revoked: Callback<()>,
) -> impl IntoView {
    let ApiToken {
        id,
        name,
        scopes,
        created_by,
        created,
        expires,
        last_used,
    } = token;
    let revoke = Action::new(|id: &String| revoke_api_token(id.clone()));
    Effect::new(move |_| {
        if revoke.value().with(|outcome| matches!(outcome, Some(Ok(())))) {
            on_revoked.run(());
        }
    });
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    let revoked_id = id.clone();
    view! {
        <tr>
            <td>
                <strong>{name.clone()}</strong>
                {move || {
                    let error = revoke.value().get().and_then(Result::err);
                    error.map(|error| view! { <ProblemAlert error=error /> })
                }}
            </td>
            <td>
                <span class="scopes">
                    {scopes.into_iter().map(|scope| view! { <span class="tag">{scope.as_str()}</span> }).collect_view()}
                </span>
            </td>
            <td>
                <TimeAgo at=Signal::stored(created) />
                <span class="mono muted block">{created_by}</span>
            </td>
            <td class="nowrap">
                {match last_used {
                    Some(at) => view! { <TimeAgo at=Signal::stored(at) /> }.into_any(),
                    None => view! { <span class="muted">"Never used"</span> }.into_any(),
                }}
            </td>
            <td class="nowrap"><Expiry expires=expires /></td>
            <td class="end">
                <button
                    type="button"
                    class="button small"
                    aria-haspopup="dialog"
                    aria-label=format!("Revoke {name}")
                    disabled=move || revoke.pending().get()
                    on:click=move |_| open(dialog)
                >
                    {move || if revoke.pending().get() { "Revoking…" } else { "Revoke" }}
                </button>
                <ConfirmDialog
                    node=dialog
                    id=format!("revoke-{id}")
                    title="Revoke API token"
                    verb="Revoke"
                    danger=true
                    on_confirm=Callback::new(move |()| {
                        revoke.dispatch(revoked_id.clone());
                    })
                >
                    <p>"From then on, requests with the token "<strong>{name.clone()}</strong>" are refused. This cannot be undone."</p>
                </ConfirmDialog>
            </td>
        </tr>
    }
    .into_any()
}

#[component]
fn Expiry(expires: Option<EpochMillis>) -> impl IntoView {
    let now = use_context::<Now>();
    let is_over = move |at| now.and_then(|now| now.0.get()).is_some_and(|now| now >= at);
    match expires {
        None => "Never".into_any(),
        Some(at) => view! {
            <Show when=move || is_over(at)>
                <span class="status status-idle"><Icon shape=Shape::Circle />"Expired"</span>
                " "
            </Show>
            <TimeAgo at=Signal::stored(at) ahead=true />
        }
        .into_any(),
    }
}
