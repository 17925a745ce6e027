//! Changing the role of a user. Changing one's own asks for confirmation.

use auditstream_model::{Role, User};
use leptos::prelude::*;

use super::user_action::{UserAction, UserActions};
use crate::choice::{Choice, options};
use crate::components::ConfirmDialog;
use crate::components::dialog::open;

#[component]
pub(super) fn RoleSelect(user: Memo<User>, is_self: bool, actions: UserActions) -> impl IntoView {
    let select = NodeRef::<leptos::html::Select>::new();
    let demotion = NodeRef::<leptos::html::Dialog>::new();
    let requested = RwSignal::new(None::<Role>);
    let role = Memo::new(move |_| user.with(|user| user.role));
    let reset = move || {
        requested.set(None);
        if let Some(select) = select.get_untracked() {
            select.set_value(role.get_untracked().as_str());
        }
    };
    Effect::new(move |_| {
        if let Some(select) = select.get() {
            select.set_value(role.get().as_str());
        }
    });
    Effect::new(move |_| {
        if actions.error().is_some() {
            reset();
        }
    });
    let choose = move |value: String| {
        let Some(chosen) = Role::from_value(&value) else { return };
        if chosen == role.get_untracked() {
            return;
        }
        if is_self {
            requested.set(Some(chosen));
            open(demotion);
        } else {
            actions.start(UserAction::ChangeRole(chosen));
        }
    };
    let email = user.with_untracked(|user| user.email.clone());
    view! {
        <select
            class="role-select"
            aria-label=format!("Role of {email}")
            disabled=move || actions.pending().get()
            node_ref=select
            on:change:target=move |event| choose(event.target().value())
        >
            {options(&role.get_untracked())}
        </select>
        <ConfirmDialog
            node=demotion
            id=format!("demote-{email}")
            title="Change your own role"
            verb="Change my role"
            on_confirm=Callback::new(move |()| {
                if let Some(role) = requested.get_untracked() {
                    actions.start(UserAction::ChangeRole(role));
                }
            })
            on_close=Callback::new(move |()| {
                if !actions.pending().get_untracked() {
                    reset();
                }
            })
        >
            <p>
                "As an Account Viewer you can look but no longer change anything, including this page. Only another admin can restore your role."
            </p>
        </ConfirmDialog>
    }
    .into_any()
}
