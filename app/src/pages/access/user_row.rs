//! A person of the table, and what can be done about them.

use auditstream_model::{EpochMillis, Invitation, IssuedLink, Role, User, UserStatus};
use leptos::prelude::*;

use super::one_time_secret::Secret;
use super::users::secret_of;
use super::{ROLES, role_name};
use crate::ConsoleError;
use crate::components::dialog::open;
use crate::components::time::Now;
use crate::components::{ConfirmDialog, Icon, Menu, MenuItem, ProblemBox, Shape, TimeAgo};
use crate::server_functions::access::{
    invite, password_link, remove_user, set_role, sign_out_user, withdraw_invitation,
};

const OWN: &str = "You cannot remove yourself. Another admin can.";

/// What an admin does about somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Change(Role),
    Link,
    SignOut,
    Remove,
    Withdraw,
}

impl Deed {
    fn running(self) -> &'static str {
        match self {
            Self::Change(_) => "Changing the role…",
            Self::Link => "Making the link…",
            Self::SignOut => "Signing out…",
            Self::Remove => "Removing…",
            Self::Withdraw => "Withdrawing…",
        }
    }
}

async fn perform(user: User, deed: Deed) -> Result<Option<IssuedLink>, ConsoleError> {
    let User { email, role, .. } = user;
    match (deed, user.status) {
        (Deed::Change(role), _) => set_role(email, role).await.map(|_| None),
        (Deed::Link, UserStatus::Active) => password_link(email).await.map(Some),
        (Deed::Link, UserStatus::Invited) => invite(Invitation { email, role }).await.map(Some),
        (Deed::SignOut, _) => sign_out_user(email).await.map(|()| None),
        (Deed::Remove, _) => remove_user(email).await.map(|()| None),
        (Deed::Withdraw, _) => withdraw_invitation(email).await.map(|()| None),
    }
}

/// One person.
#[component]
pub(super) fn Row(
    /// The person.
    user: Memo<User>,
    /// Who looks.
    me: String,
    /// Where a link is shown.
    secret: RwSignal<Option<Secret>>,
    /// Loads the table again.
    refresh: Callback<()>,
    /// Told that the person is gone.
    gone: Callback<()>,
    /// Told that whoever looks has another role.
    own_role_changed: Callback<()>,
) -> impl IntoView {
    let (email, status) = user.with_untracked(|user| (user.email.clone(), user.status));
    let is_me = email == me;
    let said = RwSignal::new(None::<Result<&'static str, ConsoleError>>);
    let wanted = RwSignal::new(None::<Role>);
    let select = NodeRef::<leptos::html::Select>::new();
    let put_back = move || {
        wanted.set(None);
        if let Some(select) = select.get_untracked() {
            select.set_value(user.with_untracked(|user| user.role.as_str()));
        }
    };
    let act = Action::new(move |deed: &Deed| {
        let deed = *deed;
        let before = user.get_untracked();
        async move { (deed, perform(before, deed).await) }
    });
    let start = move |deed: Deed| {
        said.set(None);
        act.dispatch(deed);
    };
    Effect::new(move |_| {
        let Some((deed, outcome)) = act.value().get() else {
            return;
        };
        // A link is shown once and not kept here.
        act.value().set(None);
        match (deed, outcome) {
            (_, Err(error)) => {
                said.set(Some(Err(error)));
                put_back();
            }
            (Deed::Link, Ok(issued)) => {
                secret.set(issued.map(|issued| secret_of(issued, status)));
                refresh.run(());
            }
            (Deed::SignOut, Ok(_)) => said.set(Some(Ok("Signed out everywhere."))),
            (Deed::Remove | Deed::Withdraw, Ok(_)) => gone.run(()),
            (Deed::Change(_), Ok(_)) if is_me => own_role_changed.run(()),
            (Deed::Change(_), Ok(_)) => refresh.run(()),
        }
    });
    let running = move || {
        let deed = act.input().get().filter(|_| act.pending().get());
        deed.map(Deed::running)
    };
    let [remove, demote] = [(); 2].map(|()| NodeRef::<leptos::html::Dialog>::new());
    let choose = move |word: String| {
        let Some(role) = word.parse::<Role>().ok() else { return };
        if role == user.with_untracked(|user| user.role) {
            return;
        }
        if is_me {
            wanted.set(Some(role));
            open(demote);
        } else {
            start(Deed::Change(role));
        }
    };
    let [for_select, for_menu, for_question] = [(); 3].map(|()| email.clone());
    view! {
        <tr>
            <td>
                <span class="mono">{email.clone()}</span>
                {is_me.then(|| view! { " " <span class="badge">"You"</span> })}
                <div class="said" role="status">
                    {move || running().or_else(|| said.get().and_then(Result::ok))}
                </div>
                {move || said.get().and_then(Result::err).map(|error| view! { <ProblemBox error=error /> })}
            </td>
            <td>
                {match status {
                    UserStatus::Active => {
                        let start_role = user.with_untracked(|user| user.role);
                        Effect::new(move |_| {
                            let role = user.with(|user| user.role);
                            if let Some(select) = select.get() {
                                select.set_value(role.as_str());
                            }
                        });
                        view! {
                            <select
                                class="role"
                                aria-label=format!("Role of {for_select}")
                                disabled=move || act.pending().get()
                                node_ref=select
                                on:change:target=move |event| choose(event.target().value())
                            >
                                {ROLES
                                    .iter()
                                    .map(|(word, shown)| {
                                        view! { <option value=*word selected=*word == start_role.as_str()>{*shown}</option> }
                                    })
                                    .collect_view()}
                            </select>
                        }
                            .into_any()
                    }
                    UserStatus::Invited => (move || user.with(|user| role_name(user.role))).into_any(),
                }}
            </td>
            <td><Status user=user /></td>
            <td class="nowrap">
                {move || match user.with(|user| user.last_sign_in) {
                    Some(at) => view! { <TimeAgo at=Signal::stored(at) /> }.into_any(),
                    None => view! { <span class="muted">"Never"</span> }.into_any(),
                }}
            </td>
            <td class="end">
                <Menu id=format!("menu-{email}") of=Signal::stored(email.clone())>
                    <Items
                        email=for_menu
                        status=status
                        is_me=is_me
                        start=Callback::new(start)
                        remove=Callback::new(move |()| open(remove))
                    />
                </Menu>
                <ConfirmDialog
                    node=remove
                    id=format!("remove-{email}")
                    title="Remove user"
                    verb="Remove"
                    danger=true
                    on_confirm=Callback::new(move |()| start(Deed::Remove))
                >
                    <p>
                        <span class="mono">{for_question}</span>
                        " is signed out everywhere and can no longer sign in. What they did stays in the trail; API tokens that they made stay until they are revoked."
                    </p>
                </ConfirmDialog>
                <ConfirmDialog
                    node=demote
                    id=format!("demote-{email}")
                    title="Change your own role"
                    verb="Change my role"
                    on_confirm=Callback::new(move |()| {
                        if let Some(role) = wanted.get_untracked() {
                            start(Deed::Change(role));
                        }
                    })
                    on_close=Callback::new(move |()| {
                        if !act.pending().get_untracked() {
                            put_back();
                        }
                    })
                >
                    <p>
                        "As an Account Viewer you can look but no longer change anything, this page included. Only another admin can give the role back."
                    </p>
                </ConfirmDialog>
            </td>
        </tr>
    }
    .into_any()
}

#[component]
fn Items(email: String, status: UserStatus, is_me: bool, start: Callback<Deed>, remove: Callback<()>) -> impl IntoView {
    let reason = |what: &str| format!("why-{what}-{email}");
    let does = move |deed: Deed| Callback::new(move |()| start.run(deed));
    match (is_me, status) {
        (true, _) => view! {
            <a role="menuitem" href="/settings/access/you" autofocus>"Your account"</a>
            <MenuItem label="Remove" danger=true reason_id=reason("remove") refused=Signal::stored(Some(OWN)) on_choose=remove />
        }
        .into_any(),
        (false, UserStatus::Active) => view! {
            <MenuItem label="New password link" first=true reason_id=reason("link") on_choose=does(Deed::Link) />
            <MenuItem label="Sign out everywhere" reason_id=reason("sign-out") on_choose=does(Deed::SignOut) />
            <MenuItem label="Remove" danger=true reason_id=reason("remove") on_choose=remove />
        }
        .into_any(),
        (false, UserStatus::Invited) => view! {
            <MenuItem label="New link" first=true reason_id=reason("link") on_choose=does(Deed::Link) />
            <MenuItem label="Withdraw" danger=true reason_id=reason("withdraw") on_choose=does(Deed::Withdraw) />
        }
        .into_any(),
    }
}

#[component]
fn Status(user: Memo<User>) -> impl IntoView {
    let link = Memo::new(move |_| user.with(|user| user.link_expires));
    let status = user.with_untracked(|user| user.status);
    let (class, shape, word, what) = match status {
        UserStatus::Active => ("status status-good", Shape::Check, "Active", "Password link"),
        UserStatus::Invited => ("status status-idle", Shape::Circle, "Invited", "Link"),
    };
    view! {
        <span class=class><Icon shape=shape />{word}</span>
        {move || link.get().map(|at| view! { <span class="block muted"><LinkEnd what=what at=at /></span> })}
    }
}

/// Until when a link is good, or since when it no longer is.
#[component]
fn LinkEnd(what: &'static str, at: EpochMillis) -> impl IntoView {
    let now = use_context::<Now>();
    let word = move || {
        let is_over = now.and_then(|now| now.0.get()).is_some_and(|now| now >= at);
        if is_over {
            format!("{what} ended ")
        } else {
            format!("{what} ends ")
        }
    };
    view! { {word}<TimeAgo at=Signal::stored(at) ahead=true /> }
}
