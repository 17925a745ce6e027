//! The row of a user.

use auditstream_model::{EpochMillis, User, UserStatus};
use leptos::prelude::*;

use super::role_select::RoleSelect;
use super::user_action::{UserAction, UserActions, UserEvents};
use crate::choice::Choice;
use crate::components::dialog::open;
use crate::components::time::Now;
use crate::components::{ConfirmDialog, Icon, Menu, MenuItem, ProblemAlert, Shape, TimeAgo};
use crate::paths;

const CANNOT_REMOVE_SELF: &str = "You cannot remove yourself. Another admin can.";

#[component]
pub(super) fn UserRow(
    user: Memo<User>,
    /// Whether it is the signed-in user.
    is_self: bool,
    events: UserEvents,
) -> impl IntoView {
    let (email, status) = user.with_untracked(|user| (user.email.clone(), user.status));
    let actions = UserActions::new(user, is_self, events);
    view! {
        <tr>
            <td>
                <span class="mono">{email}</span>
                {is_self.then(|| view! { " " <span class="badge">"You"</span> })}
                <div class="row-message" role="status">
                    {move || actions.message()}
                </div>
                {move || actions.error().map(|error| view! { <ProblemAlert error=error /> })}
            </td>
            <td>
                {match status {
                    UserStatus::Active => view! { <RoleSelect user=user is_self=is_self actions=actions /> }.into_any(),
                    UserStatus::Invited => (move || user.with(|user| user.role.label().to_owned())).into_any(),
                }}
            </td>
            <td><StatusCell user=user /></td>
            <td class="nowrap">
                {move || match user.with(|user| user.last_sign_in) {
                    Some(at) => view! { <TimeAgo at=Signal::stored(at) /> }.into_any(),
                    None => view! { <span class="muted">"Never"</span> }.into_any(),
                }}
            </td>
            <td class="end"><UserMenu user=user is_self=is_self actions=actions /></td>
        </tr>
    }
    .into_any()
}

#[component]
fn UserMenu(user: Memo<User>, is_self: bool, actions: UserActions) -> impl IntoView {
    let (email, status) = user.with_untracked(|user| (user.email.clone(), user.status));
    let removal = NodeRef::<leptos::html::Dialog>::new();
    let name = email.clone();
    view! {
        <Menu id=format!("menu-{email}") of=Signal::stored(email.clone())>
            <UserMenuItems
                email=email
                status=status
                is_self=is_self
                start=Callback::new(move |action| actions.start(action))
                remove=Callback::new(move |()| open(removal))
            />
        </Menu>
        <ConfirmDialog
            node=removal
            id=format!("remove-{name}")
            title="Remove user"
            verb="Remove"
            danger=true
            on_confirm=Callback::new(move |()| actions.start(UserAction::Remove))
        >
            <p>
                <span class="mono">{name}</span>
                " is signed out everywhere and can no longer sign in. Their events stay in the trail. API tokens that they created stay valid until you revoke them."
            </p>
        </ConfirmDialog>
    }
}

#[component]
fn UserMenuItems(
    email: String,
    status: UserStatus,
    is_self: bool,
    start: Callback<UserAction>,
    remove: Callback<()>,
) -> impl IntoView {
    let reason = |item: &str| format!("why-{item}-{email}");
    let starts = move |action: UserAction| Callback::new(move |()| start.run(action));
    match (is_self, status) {
        (true, _) => view! {
            <a role="menuitem" href=paths::YOUR_ACCOUNT autofocus>"Your account"</a>
            <MenuItem
                label="Remove"
                danger=true
                reason_id=reason("remove")
                refused=Signal::stored(Some(CANNOT_REMOVE_SELF))
                on_choose=remove
            />
        }
        .into_any(),
        (false, UserStatus::Active) => view! {
            <MenuItem label="New password link" first=true reason_id=reason("link") on_choose=starts(UserAction::CreateLink) />
            <MenuItem label="Sign out everywhere" reason_id=reason("sign-out") on_choose=starts(UserAction::SignOut) />
            <MenuItem label="Remove" danger=true reason_id=reason("remove") on_choose=remove />
        }
        .into_any(),
        (false, UserStatus::Invited) => view! {
            <MenuItem label="New link" first=true reason_id=reason("link") on_choose=starts(UserAction::CreateLink) />
            <MenuItem
                label="Withdraw"
                danger=true
                reason_id=reason("withdraw")
                on_choose=starts(UserAction::WithdrawInvitation)
            />
        }
        .into_any(),
    }
}

#[component]
fn StatusCell(user: Memo<User>) -> impl IntoView {
    let expiry = Memo::new(move |_| user.with(|user| user.link_expires));
    let status = user.with_untracked(|user| user.status);
    let (class, shape, label, link) = match status {
        UserStatus::Active => ("status status-good", Shape::Check, "Active", "Password link"),
        UserStatus::Invited => ("status status-idle", Shape::Circle, "Invited", "Link"),
    };
    view! {
        <span class=class><Icon shape=shape />{label}</span>
        {move || expiry.get().map(|at| view! { <span class="block muted"><LinkExpiry link=link at=at /></span> })}
    }
}

#[component]
fn LinkExpiry(link: &'static str, at: EpochMillis) -> impl IntoView {
    let now = use_context::<Now>();
    let text = move || {
        let is_over = now.and_then(|now| now.0.get()).is_some_and(|now| now >= at);
        if is_over {
            format!("{link} expired ")
        } else {
            format!("{link} expires ")
        }
    };
    view! { {text}<TimeAgo at=Signal::stored(at) ahead=true /> }
}
