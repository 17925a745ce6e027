//! The confirmation of a removal that elapsed time does not explain.

use auditstream_model::{Permission, RemovalConfirmation, RetentionView, SignedIn};
use leptos::prelude::*;

use crate::components::format::pluralise;
use crate::components::{Icon, ProblemAlert, Shape};
use crate::server_functions::retention::confirm_removal;
use crate::session::denied;

/// The removal that waits for a confirmation, if there is one.
#[component]
pub fn ConfirmRemoval(retention: RwSignal<RetentionView>, user: SignedIn) -> impl IntoView {
    let refused = denied(&user, Permission::EditAccount);
    let confirm = Action::new(|removal: &RemovalConfirmation| confirm_removal(*removal));
    Effect::new(move |_| {
        if let Some(Ok(confirmed)) = confirm.value().get() {
            retention.set(confirmed);
        }
    });
    let unconfirmed = Memo::new(move |_| retention.with(|it| it.unconfirmed));
    let remove = move |_| {
        if let Some(removal) = unconfirmed.get_untracked() {
            let last_sequence = removal.last_sequence;
            confirm.dispatch(RemovalConfirmation { last_sequence });
        }
    };
    view! {
        {move || {
            unconfirmed
                .get()
                .map(|removal| {
                    view! {
                        <div class="banner banner-warning" role="status">
                            <Icon shape=Shape::Warning />
                            <div>
                                <strong>{format!("The removal of {} waits for your confirmation", pluralise(removal.events, "event"))}</strong>
                                <p>
                                    "They are most of the trail, and elapsed time does not explain why they are all too old now. The default of the server may have become shorter, or a clock was wrong. They are kept until you confirm that they can be removed for good."
                                </p>
                                <button
                                    type="button"
                                    class="button danger"
                                    disabled=move || refused.is_some() || confirm.pending().get()
                                    title=refused
                                    on:click=remove
                                >
                                    {move || if confirm.pending().get() { "Confirming…" } else { "Remove these events" }}
                                </button>
                            </div>
                        </div>
                    }
                })
        }}
        {move || confirm.value().get().and_then(Result::err).map(|error| view! { <ProblemAlert error=error /> })}
    }
    .into_any()
}
