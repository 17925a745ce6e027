//! The tab Users: the people who may use the console.

use auditstream_model::{SignedIn, User, UserStatus};
use leptos::prelude::*;

use super::invite::InviteDialog;
use super::one_time_secret::{OneTimeSecret, OneTimeSecretDialog};
use super::tab::{AccessHead, Rows, admins_tab, for_admins};
use super::user_action::UserEvents;
use super::user_row::UserRow;
use crate::components::ProblemAlert;
use crate::components::dialog::open;
use crate::server_functions::access::users;
use crate::session::Session;

/// The tab.
#[component]
pub fn Users() -> impl IntoView {
    let loaded = Resource::new(|| (), |()| for_admins(users()));
    let session = use_context::<Session>();
    let reload = Callback::new(move |()| {
        if let Some(session) = session {
            session.0.refetch();
        }
        loaded.refetch();
    });
    admins_tab(
        loaded,
        "Loading users…",
        "Only account admins can see users",
        reload,
        move |signed_in, users| {
            view! { <UserTable first=users signed_in=signed_in reload=reload /> }
        },
    )
}

#[component]
fn UserTable(
    first: Vec<User>,
    signed_in: SignedIn,
    /// Called to load the page again, including the signed-in user.
    reload: Callback<()>,
) -> impl IntoView {
    let Rows {
        rows,
        staleness,
        refresh,
    } = Rows::new(first, users);
    let secret = RwSignal::new(None::<OneTimeSecret>);
    let invite = NodeRef::<leptos::html::Dialog>::new();
    let table = NodeRef::<leptos::html::Div>::new();
    let invited = Callback::new(move |issued| {
        secret.set(Some(OneTimeSecret::of_link(issued, UserStatus::Invited)));
        refresh.run(());
    });
    let events = UserEvents {
        link_created: Callback::new(move |link| secret.set(Some(link))),
        changed: refresh,
        removed: Callback::new(move |()| {
            // The focused row is being removed.
            if let Some(table) = table.get_untracked() {
                drop(table.focus());
            }
            refresh.run(());
        }),
        own_role_changed: reload,
    };
    let signed_in = StoredValue::new(signed_in.email);
    let key = |user: &User| (user.email.clone(), user.status == UserStatus::Active);
    let row = move |first: User| {
        let row_key = key(&first);
        let is_self = signed_in.with_value(|email| *email == first.email);
        let user = Memo::new(move |_| {
            let current = rows.with(|rows| rows.iter().find(|row| key(row) == row_key).cloned());
            current.unwrap_or_else(|| first.clone())
        });
        view! { <UserRow user=user is_self=is_self events=events /> }
    };
    view! {
        <AccessHead>
            <button type="button" class="button primary" aria-haspopup="dialog" on:click=move |_| open(invite)>
                "Invite user"
            </button>
        </AccessHead>
        {move || staleness.error().map(|error| view! { <ProblemAlert error=error retry=refresh /> })}
        <div class="table-frame" tabindex="0" role="region" aria-label="Users" node_ref=table>
            <table class="access-table">
                <thead>
                    <tr>
                        <th scope="col">"E-mail"</th>
                        <th scope="col">"Role"</th>
                        <th scope="col">"Status"</th>
                        <th scope="col">"Last sign-in"</th>
                        <th scope="col"><span class="hidden">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody>
                    <For each=move || rows.get() key=key children=row />
                </tbody>
            </table>
        </div>
        <InviteDialog node=invite on_invited=invited />
        <OneTimeSecretDialog secret=secret />
    }
    .into_any()
}
