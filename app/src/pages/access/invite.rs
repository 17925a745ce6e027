//! Inviting somebody.

use auditstream_model::{Code, FieldErrors, Invitation, IssuedLink, Role};
use leptos::prelude::*;

use super::ROLES;
use crate::ConsoleError;
use crate::components::dialog::close;
use crate::components::{Field, FormDialog, SelectField, TextField};
use crate::server_functions::access::invite;

/// The dialog that asks whom; whoever holds `node` opens it.
#[component]
pub(super) fn InviteDialog(
    /// The dialog.
    node: NodeRef<leptos::html::Dialog>,
    /// Told of the link.
    on_invited: Callback<IssuedLink>,
) -> impl IntoView {
    let email = Field::new("");
    let role = RwSignal::new(Role::Viewer.as_str().to_owned());
    let wrong = RwSignal::new(FieldErrors::default());
    let problem = RwSignal::new(None::<ConsoleError>);
    let act = Action::new(|invitation: &Invitation| invite(invitation.clone()));
    let forget = move || {
        wrong.set(FieldErrors::default());
        problem.set(None);
    };
    Effect::new(move |_| {
        let Some(outcome) = act.value().get() else { return };
        // A link is shown once and not kept here.
        act.value().set(None);
        match outcome {
            Ok(issued) => {
                close(node);
                email.set("");
                on_invited.run(issued);
            }
            Err(error) if error.0.code == Code::DuplicateField => {
                wrong.set(FieldErrors::one("email", error.0.detail));
            }
            Err(error) if !error.0.errors.is_empty() => wrong.set(FieldErrors(error.0.errors)),
            Err(error) => problem.set(Some(error)),
        }
    });
    let submit = Callback::new(move |()| {
        forget();
        act.dispatch(Invitation {
            email: email.now(),
            role: role.get_untracked().parse().unwrap_or(Role::Viewer),
        });
    });
    let email_wrong = Signal::derive(move || wrong.with(|wrong| wrong.of("email").map(str::to_owned)));
    view! {
        <FormDialog
            node=node
            id="invite-title".to_owned()
            title="Invite user"
            verb="Invite"
            running="Inviting…"
            pending=act.pending()
            problem=problem
            on_submit=submit
            on_close=Callback::new(move |()| forget())
        >
            <p class="muted">"You get a link to send to the person, who sets a password with it. It is good for three days."</p>
            <TextField label="E-mail" name="invite-email" kind="email" field=email error=email_wrong />
            <SelectField
                label="Role"
                name="invite-role"
                value=role
                options=ROLES
                help="Account Viewer sees the trail, destinations and connectors. Account Admin changes everything, access included."
            />
        </FormDialog>
    }
    .into_any()
}
