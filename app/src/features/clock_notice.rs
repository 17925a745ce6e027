//! A notice that the clock of the server is in doubt.

use auditstream_model::{ClockConfirmation, ClockStatus, Permission, SignedIn};
use leptos::prelude::*;

use crate::components::time::absolute;
use crate::components::{Icon, ProblemAlert, Shape};
use crate::server_functions::retention::{confirm_clock, get_clock};
use crate::session::{denied, signed_in};

/// The notice, with a button that confirms the clock. Nothing while the clock is not in doubt.
#[component]
pub fn ClockNotice() -> impl IntoView {
    let loaded = Resource::new(|| (), |()| async move { (get_clock().await, signed_in().await) });
    view! {
        <Suspense fallback=|| ()>
            {move || Suspend::new(async move {
                match loaded.await {
                    (Ok(clock), Ok(user)) if clock.state.is_doubt() => {
                        Some(view! { <ClockInDoubt clock=clock user=user /> })
                    }
                    _ => None,
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn ClockInDoubt(clock: ClockStatus, user: SignedIn) -> impl IntoView {
    let refused = denied(&user, Permission::EditAccount);
    let time = clock.time;
    let confirm = Action::new(move |(): &()| confirm_clock(ClockConfirmation { time }));
    let can_be_confirmed = clock.state.can_be_confirmed();
    let message = move || match confirm.value().get() {
        Some(Ok(confirmed)) => confirmed.message,
        _ => clock.message.clone(),
    };
    let is_confirmed = move || confirm.value().with(|outcome| matches!(outcome, Some(Ok(_))));
    view! {
        <div class="banner banner-warning" role="status">
            <Icon shape=Shape::Warning />
            <div>
                <strong>"Clock of the server: "{absolute(time)}</strong>
                <p>{message}</p>
                {move || confirm.value().get().and_then(Result::err).map(|error| view! { <ProblemAlert error=error /> })}
                <Show when=move || can_be_confirmed && !is_confirmed()>
                    <button
                        type="button"
                        class="button"
                        disabled=move || refused.is_some() || confirm.pending().get()
                        title=refused
                        on:click=move |_| {
                            confirm.dispatch(());
                        }
                    >
                        {move || if confirm.pending().get() { "Confirming…" } else { "This time is right" }}
                    </button>
                </Show>
            </div>
        </div>
    }
    .into_any()
}
