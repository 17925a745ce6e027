//! Inviting a user.

use auditstream_model::{Code, Invitation, IssuedLink, Role};
use leptos::prelude::*;

use crate::components::dialog::close;
use crate::components::{Field, FormDialog, FormErrors, SelectField, TextField};
use crate::server_functions::access::invite;

#[component]
pub(super) fn InviteDialog(
    node: NodeRef<leptos::html::Dialog>,
    /// Called with the link after inviting.
    on_invited: Callback<IssuedLink>,
) -> impl IntoView {
    let email = Field::new("");
    let role = RwSignal::new(Role::Viewer);
    let errors = FormErrors::new();
    let act = Action::new(|invitation: &Invitation| invite(invitation.clone()));
    Effect::new(move |_| {
        let Some(outcome) = act.value().get() else { return };
        // The link is shown once and not kept here.
        act.value().set(None);
        match outcome {
            Ok(issued) => {
                close(node);
                email.set("");
                on_invited.run(issued);
            }
            Err(error) if error.0.code == Code::DuplicateField => errors.add("email", error.0.detail),
            Err(error) => errors.refuse(&error),
        }
    });
    let submit = Callback::new(move |()| {
        errors.clear();
        act.dispatch(Invitation {
            email: email.now(),
            role: role.get_untracked(),
        });
    });
    view! {
        <FormDialog
            node=node
            id="invite-title".to_owned()
            title="Invite user"
            verb="Invite"
            running="Inviting…"
            pending=act.pending()
            problem=errors.problem()
            on_submit=submit
            on_close=Callback::new(move |()| errors.clear())
        >
            <p class="muted">
                "You get a link to send to the user, who sets a password with it. It expires after three days."
            </p>
            <TextField
                label="E-mail"
                name="invite-email"
                kind="email"
                field=email
                error=errors.field("email", email.value)
            />
            <SelectField
                label="Role"
                name="invite-role"
                value=role
                help="An Account Viewer can see the trail, destinations and connectors. An Account Admin can change everything, including access."
            />
        </FormDialog>
    }
    .into_any()
}
