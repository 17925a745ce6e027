//! The actions of an admin on one user.

use auditstream_model::{Invitation, IssuedLink, Role, User, UserStatus};
use leptos::prelude::*;

use super::one_time_secret::OneTimeSecret;
use crate::error::ConsoleError;
use crate::server_functions::access::{
    invite, password_link, remove_user, set_role, sign_out_user, withdraw_invitation,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UserAction {
    ChangeRole(Role),
    CreateLink,
    SignOut,
    Remove,
    WithdrawInvitation,
}

impl UserAction {
    fn running(self) -> &'static str {
        match self {
            Self::ChangeRole(_) => "Changing the role…",
            Self::CreateLink => "Creating the link…",
            Self::SignOut => "Signing out…",
            Self::Remove => "Removing…",
            Self::WithdrawInvitation => "Withdrawing…",
        }
    }

    async fn perform(self, user: User) -> Result<Option<IssuedLink>, ConsoleError> {
        let User { email, role, .. } = user;
        match (self, user.status) {
            (Self::ChangeRole(role), _) => set_role(email, role).await.map(|_| None),
            (Self::CreateLink, UserStatus::Active) => password_link(email).await.map(Some),
            (Self::CreateLink, UserStatus::Invited) => invite(Invitation { email, role }).await.map(Some),
            (Self::SignOut, _) => sign_out_user(email).await.map(|()| None),
            (Self::Remove, _) => remove_user(email).await.map(|()| None),
            (Self::WithdrawInvitation, _) => withdraw_invitation(email).await.map(|()| None),
        }
    }
}

/// The effects of actions outside of the user's row.
#[derive(Clone, Copy)]
pub(super) struct UserEvents {
    pub link_created: Callback<OneTimeSecret>,
    pub changed: Callback<()>,
    pub removed: Callback<()>,
    pub own_role_changed: Callback<()>,
}

/// The running action of a user's row, and the outcome of the latest one.
#[derive(Clone, Copy)]
pub(super) struct UserActions {
    action: Action<UserAction, (UserAction, Result<Option<IssuedLink>, ConsoleError>)>,
    outcome: RwSignal<Option<Result<&'static str, ConsoleError>>>,
}

impl UserActions {
    pub(super) fn new(user: Memo<User>, is_self: bool, events: UserEvents) -> Self {
        let action = Action::new(move |action: &UserAction| {
            let action = *action;
            let before = user.get_untracked();
            async move { (action, action.perform(before).await) }
        });
        let outcome = RwSignal::new(None);
        let status = user.with_untracked(|user| user.status);
        Effect::new(move |_| {
            let Some((performed, result)) = action.value().get() else {
                return;
            };
            // A link is shown once and not kept here.
            action.value().set(None);
            match (performed, result) {
                (_, Err(error)) => outcome.set(Some(Err(error))),
                (UserAction::CreateLink, Ok(issued)) => {
                    if let Some(issued) = issued {
                        events.link_created.run(OneTimeSecret::of_link(issued, status));
                    }
                    events.changed.run(());
                }
                (UserAction::SignOut, Ok(_)) => outcome.set(Some(Ok("Signed out everywhere."))),
                (UserAction::Remove | UserAction::WithdrawInvitation, Ok(_)) => events.removed.run(()),
                (UserAction::ChangeRole(_), Ok(_)) if is_self => events.own_role_changed.run(()),
                (UserAction::ChangeRole(_), Ok(_)) => events.changed.run(()),
            }
        });
        Self { action, outcome }
    }

    pub(super) fn start(self, action: UserAction) {
        self.outcome.set(None);
        self.action.dispatch(action);
    }

    pub(super) fn pending(self) -> Memo<bool> {
        self.action.pending()
    }

    /// Returns the text about the running action, or about the latest successful one.
    pub(super) fn message(self) -> Option<&'static str> {
        let running = self.action.input().get().filter(|_| self.action.pending().get());
        running
            .map(UserAction::running)
            .or_else(|| self.outcome.get().and_then(Result::ok))
    }

    pub(super) fn error(self) -> Option<ConsoleError> {
        self.outcome.get().and_then(Result::err)
    }
}
