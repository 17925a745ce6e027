//! The tab Sign-ins: sign-ins, refused sign-ins and sign-outs.

use auditstream_model::{SignIn, SignInOutcome};
use leptos::prelude::*;

use super::tab::AccessHead;
use crate::components::{Icon, ProblemAlert, Shape, TimeAgo};
use crate::paths;
use crate::server_functions::trail::sign_ins;

/// The tab.
#[component]
pub fn SignIns() -> impl IntoView {
    let loaded = Resource::new(|| (), |()| sign_ins());
    let retry = Callback::new(move |()| loaded.refetch());
    view! {
        <AccessHead />
        <p class="lead muted">
            "The latest of the last 7 days. Audit Logs has all of them: "
            <a href=paths::logs_of("action", SignInOutcome::SignedIn.as_str())>"sign-ins"</a>", "
            <a href=paths::logs_of("action", SignInOutcome::Refused.as_str())>"refused sign-ins"</a>", "
            <a href=paths::logs_of("action", SignInOutcome::SignedOut.as_str())>"sign-outs"</a>"."
        </p>
        <Suspense fallback=|| view! { <p class="skeleton">"Loading sign-ins…"</p> }>
            {move || Suspend::new(async move {
                match loaded.await {
                    Ok(sign_ins) if sign_ins.is_empty() => {
                        view! {
                            <div class="empty">
                                <h2>"No sign-ins in the last 7 days"</h2>
                            </div>
                        }
                            .into_any()
                    }
                    Ok(sign_ins) => view! { <SignInTable sign_ins=sign_ins /> }.into_any(),
                    Err(error) => view! { <ProblemAlert error=error retry=retry /> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn SignInTable(sign_ins: Vec<SignIn>) -> impl IntoView {
    view! {
        <div class="table-frame" tabindex="0" role="region" aria-label="Sign-ins">
            <table class="access-table">
                <thead>
                    <tr>
                        <th scope="col">"Time"</th>
                        <th scope="col">"User"</th>
                        <th scope="col">"Event"</th>
                        <th scope="col">"Address"</th>
                    </tr>
                </thead>
                <tbody>{sign_ins.into_iter().map(|sign_in| view! { <SignInRow sign_in=sign_in /> }).collect_view()}</tbody>
            </table>
        </div>
    }
}

#[component]
fn SignInRow(sign_in: SignIn) -> impl IntoView {
    let (class, shape, label) = match sign_in.outcome {
        SignInOutcome::SignedIn => ("status status-good", Shape::Check, "Signed in"),
        SignInOutcome::Refused => ("status status-warn", Shape::Warning, "Refused: wrong password"),
        SignInOutcome::SignedOut => ("status status-idle", Shape::Circle, "Signed out"),
    };
    view! {
        <tr>
            <td class="nowrap"><TimeAgo at=Signal::stored(sign_in.time) /></td>
            <td class="mono">{sign_in.user}</td>
            <td>
                <span class=class><Icon shape=shape />{label}</span>
                {sign_in.by.map(|admin| view! { <span class="mono muted block">"by " {admin}</span> })}
            </td>
            <td class="mono">{sign_in.client_ip.unwrap_or_else(|| "–".to_owned())}</td>
        </tr>
    }
}
