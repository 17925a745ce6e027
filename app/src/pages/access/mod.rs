//! Access: who may use the console and the API, who signed in, and one's own account.

mod invite;
mod new_token;
mod one_time_secret;
mod sign_ins;
mod token_row;
mod tokens;
mod user_row;
mod users;
mod your_account;

pub use sign_ins::SignIns;
pub use tokens::Tokens;
pub use users::Users;
pub use your_account::You;

use auditstream_model::{Permission, Role, SignedIn};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;

use crate::ConsoleError;
use crate::components::{Icon, PageHead, ProblemBox, Shape};
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
type ForAdmins<T> = Result<(SignedIn, Option<T>), ConsoleError>;

async fn for_admins<T>(load: impl Future<Output = Result<T, ConsoleError>>) -> ForAdmins<T> {
    let person = signed_in().await?;
    let found = if person.may(Permission::EditAccess) {
        Some(load.await?)
    } else {
        None
    };
    Ok((person, found))
}

/// A tab that only admins see: what `show` makes of what was loaded, or why there is nothing to see.
fn admins_tab<T, V>(
    loaded: Resource<ForAdmins<T>>,
    waiting: &'static str,
    for_others: &'static str,
    retry: Callback<()>,
    show: impl Fn(SignedIn, T) -> V + Clone + Send + 'static,
) -> impl IntoView
where
    T: Clone + Send + Sync + serde::Serialize + serde::de::DeserializeOwned + 'static,
    V: IntoView + 'static,
{
    view! {
        <Suspense fallback=move || view! { <p class="skeleton">{waiting}</p> }>
            {move || {
                let show = show.clone();
                Suspend::new(async move {
                    let instead = match loaded.await {
                        Ok((person, Some(found))) => return show(person, found).into_any(),
                        Ok((person, None)) => view! { <AdminsOnly title=for_others person=person /> }.into_any(),
                        Err(error) => view! { <ProblemBox error=error retry=retry /> }.into_any(),
                    };
                    view! {
                        <AccessHead />
                        {instead}
                    }
                        .into_any()
                })
            }}
        </Suspense>
    }
    .into_any()
}

/// The rows of a table, which can be loaded again.
struct Rows<T: Send + Sync + 'static> {
    rows: RwSignal<Vec<T>>,
    /// Why they could not be loaded again.
    stale: RwSignal<Option<ConsoleError>>,
    refresh: Callback<()>,
}

impl<T: Send + Sync + 'static> Rows<T> {
    fn new<F>(found: Vec<T>, load: fn() -> F) -> Self
    where
        F: Future<Output = Result<Vec<T>, ConsoleError>> + 'static,
    {
        let rows = RwSignal::new(found);
        let stale = RwSignal::new(None);
        let refresh = Callback::new(move |()| {
            spawn_local(async move {
                match load().await {
                    Ok(fresh) => {
                        rows.try_set(fresh);
                        stale.try_set(None);
                    }
                    Err(error) => {
                        stale.try_set(Some(error));
                    }
                }
            });
        });
        Self { rows, stale, refresh }
    }
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
