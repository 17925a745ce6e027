//! The tab Users: who may use the console.

use auditstream_model::{IssuedLink, SignedIn, User, UserStatus};
use leptos::prelude::*;

use super::invite::InviteDialog;
use super::one_time_secret::{Secret, ShownOnce};
use super::user_row::Row;
use super::{AccessHead, Rows, admins_tab, for_admins};
use crate::components::ProblemBox;
use crate::components::dialog::open;
use crate::components::time::absolute;
use crate::layout::Session;
use crate::server_functions::access::users;

/// What a link is shown with.
pub(super) fn secret_of(issued: IssuedLink, status: UserStatus) -> Secret {
    let IssuedLink { email, link, expires } = issued;
    let title = match status {
        UserStatus::Invited => format!("Invitation for {email}"),
        UserStatus::Active => format!("New password link for {email}"),
    };
    Secret {
        title,
        advice: format!(
            "Whoever has this link can set the password of {email}: send it to that person alone. It works once, until {}, \
             and is shown only now.",
            absolute(expires)
        ),
        text: link,
        copy: "Copy link",
        example: None,
    }
}

/// The tab.
#[component]
pub fn Users() -> impl IntoView {
    let loaded = Resource::new(|| (), |()| for_admins(users()));
    let session = use_context::<Session>();
    let again = Callback::new(move |()| {
        if let Some(session) = session {
            session.0.refetch();
        }
        loaded.refetch();
    });
    admins_tab(
        loaded,
        "Loading users…",
        "Users are shown to account admins",
        again,
        move |person, found| {
            view! { <People found=found person=person again=again /> }
        },
    )
}

#[component]
fn People(found: Vec<User>, person: SignedIn, again: Callback<()>) -> impl IntoView {
    let Rows { rows, stale, refresh } = Rows::new(found, users);
    let secret = RwSignal::new(None::<Secret>);
    let invite = NodeRef::<leptos::html::Dialog>::new();
    let table = NodeRef::<leptos::html::Div>::new();
    let invited = Callback::new(move |issued| {
        secret.set(Some(secret_of(issued, UserStatus::Invited)));
        refresh.run(());
    });
    // The row that had the focus is gone.
    let gone = Callback::new(move |()| {
        if let Some(table) = table.get_untracked() {
            drop(table.focus());
        }
        refresh.run(());
    });
    let me = StoredValue::new(person.email);
    let key = |user: &User| (user.email.clone(), user.status == UserStatus::Active);
    view! {
        <AccessHead>
            <button type="button" class="button primary" aria-haspopup="dialog" on:click=move |_| open(invite)>
                "Invite user"
            </button>
        </AccessHead>
        {move || stale.get().map(|error| view! { <ProblemBox error=error retry=refresh /> })}
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
                    <For
                        each=move || rows.get()
                        key=key
                        children=move |first| {
                            let of = key(&first);
                            let user = Memo::new(move |_| {
                                rows.with(|rows| rows.iter().find(|row| key(row) == of).cloned())
                                    .unwrap_or_else(|| first.clone())
                            });
                            view! {
                                <Row
                                    user=user
                                    me=me.get_value()
                                    secret=secret
                                    refresh=refresh
                                    gone=gone
                                    own_role_changed=again
                                />
                            }
                        }
                    />
                </tbody>
            </table>
        </div>
        <InviteDialog node=invite on_invited=invited />
        <ShownOnce secret=secret />
    }
    .into_any()
}
