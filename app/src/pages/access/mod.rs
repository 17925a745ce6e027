//! Access: who may use the console and the API, who signed in, and one's own account.

mod invite;
mod new_token;
mod shown_once;
mod sign_ins;
mod token_row;
mod tokens;
mod user_row;
mod users;
mod you;

pub use sign_ins::SignIns;
pub use tokens::Tokens;
pub use users::Users;
pub use you::You;

use auditstream_model::{Permission, Role, SignedIn};
use leptos::prelude::*;
use leptos_router::components::A;

use crate::ConsoleError;
use crate::components::{Icon, PageHead, Shape};
use crate::layout::{denied, signed_in};

/// Roles by the words of forms, with what is shown for each.
const ROLES: &[(&str, &str)] = &[("account_viewer", "Account Viewer"), ("account_admin", "Account Admin")];

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "Account Admin",
        Role::Viewer => "Account Viewer",
    }
}

/// Title, the page's action, and the tabs.
#[component]
fn AccessHead(
    /// The primary action.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    view! {
        <PageHead title="Access" crumbs=&[("Account Settings", "/settings")]>
            {children.map(|children| children())}
        </PageHead>
        <nav class="tabs" aria-label="Access">
            <A href="/settings/access" exact=true>"Users"</A>
            <A href="/settings/access/tokens">"API tokens"</A>
            <A href="/settings/access/sign-ins">"Sign-ins"</A>
            <A href="/settings/access/you">"Your account"</A>
        </nav>
    }
    .into_any()
}

/// What only admins may see, with who looks; for others nothing is loaded.
async fn for_admins<T>(
    load: impl Future<Output = Result<T, ConsoleError>>,
) -> Result<(SignedIn, Option<T>), ConsoleError> {
    let person = signed_in().await?;
    let found = if person.may(Permission::EditAccess) {
        Some(load.await?)
    } else {
        None
    };
    Ok((person, found))
}

/// Stands in place of what only admins may see.
#[component]
fn AdminsOnly(
    /// What that is.
    title: &'static str,
    /// Who looks.
    person: SignedIn,
) -> impl IntoView {
    view! {
        <div class="empty">
            <Icon shape=Shape::Key />
            <h2>{title}</h2>
            <p>{denied(&person, Permission::EditAccess)}</p>
        </div>
    }
}
