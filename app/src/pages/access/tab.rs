//! The parts that the tabs of Access share.

use auditstream_model::{Permission, SignedIn};
use leptos::prelude::*;
use leptos_router::components::A;

use crate::components::{Icon, PageHead, ProblemAlert, Shape};
use crate::error::ConsoleError;
use crate::features::polling::{Staleness, on_demand};
use crate::paths;
use crate::session::{denied, signed_in};

#[component]
pub(super) fn AccessHead(#[prop(optional)] children: Option<Children>) -> impl IntoView {
    view! {
        <PageHead title="Access" crumbs=paths::UNDER_SETTINGS>
            {children.map(|children| children())}
        </PageHead>
        <nav class="tabs" aria-label="Access">
            <A href=paths::USERS exact=true>"Users"</A>
            <A href=paths::TOKENS>"API tokens"</A>
            <A href=paths::SIGN_INS>"Sign-ins"</A>
            <A href=paths::YOUR_ACCOUNT>"Your account"</A>
        </nav>
    }
    .into_any()
}

/// The signed-in user, with the data that only admins may see. For others nothing is loaded.
pub(super) type ForAdmins<T> = Result<(SignedIn, Option<T>), ConsoleError>;

pub(super) async fn for_admins<T>(load: impl Future<Output = Result<T, ConsoleError>>) -> ForAdmins<T> {
    let user = signed_in().await?;
    let data = if user.may(Permission::EditAccess) {
        Some(load.await?)
    } else {
        None
    };
    Ok((user, data))
}

/// A tab for admins: the view that `show` builds from the data, or the reason why there is none.
pub(super) fn admins_tab<T, V>(
    loaded: Resource<ForAdmins<T>>,
    loading: &'static str,
    for_others: &'static str,
    retry: Callback<()>,
    show: impl Fn(SignedIn, T) -> V + Clone + Send + 'static,
) -> impl IntoView
where
    T: Clone + Send + Sync + serde::Serialize + serde::de::DeserializeOwned + 'static,
    V: IntoView + 'static,
{
    view! {
        <Suspense fallback=move || view! { <p class="skeleton">{loading}</p> }>
            {move || {
                let show = show.clone();
                Suspend::new(async move {
                    let instead = match loaded.await {
                        Ok((user, Some(data))) => return show(user, data).into_any(),
                        Ok((user, None)) => view! { <AdminsOnly title=for_others user=user /> }.into_any(),
                        Err(error) => view! { <ProblemAlert error=error retry=retry /> }.into_any(),
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

#[component]
fn AdminsOnly(title: &'static str, user: SignedIn) -> impl IntoView {
    view! {
        <div class="empty">
            <Icon shape=Shape::Key />
            <h2>{title}</h2>
            <p>{denied(&user, Permission::EditAccess)}</p>
        </div>
    }
}

pub(super) struct Rows<T: Send + Sync + 'static> {
    pub rows: RwSignal<Vec<T>>,
    pub staleness: Staleness,
    pub refresh: Callback<()>,
}

impl<T: Send + Sync + 'static> Rows<T> {
    pub(super) fn new<F>(first: Vec<T>, load: fn() -> F) -> Self
    where
        F: Future<Output = Result<Vec<T>, ConsoleError>> + 'static,
    {
        let rows = RwSignal::new(first);
        let staleness = Staleness::default();
        let refresh = on_demand(move || async move {
            if let Some(fresh) = staleness.record(load().await) {
                rows.try_set(fresh);
            }
        });
        Self {
            rows,
            staleness,
            refresh,
        }
    }
}
