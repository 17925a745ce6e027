//! The page Retention: how long the events of the account are retained.

mod form;
mod removal;

use auditstream_model::{RetentionView, SignedIn};
use leptos::prelude::*;

use self::form::RetentionForm;
use self::removal::ConfirmRemoval;
use crate::components::format::pluralise;
use crate::components::time::absolute;
use crate::components::{PageHead, ProblemAlert};
use crate::error::ConsoleError;
use crate::features::ClockNotice;
use crate::paths::UNDER_SETTINGS;
use crate::server_functions::retention::get_retention;
use crate::session::signed_in;

/// The page.
#[component]
pub fn Retention() -> impl IntoView {
    let loaded = Resource::new(|| (), |()| load());
    let retry = Callback::new(move |()| loaded.refetch());
    view! {
        <PageHead title="Retention" crumbs=UNDER_SETTINGS />
        <ClockNotice />
        <Suspense fallback=|| view! { <p class="skeleton">"Loading the retention…"</p> }>
            {move || Suspend::new(async move {
                match loaded.await {
                    Ok((retention, user)) => view! { <Settings retention=retention user=user /> }.into_any(),
                    Err(error) => view! { <ProblemAlert error=error retry=retry /> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

async fn load() -> Result<(RetentionView, SignedIn), ConsoleError> {
    Ok((get_retention().await?, signed_in().await?))
}

#[component]
fn Settings(retention: RetentionView, user: SignedIn) -> impl IntoView {
    let retention = RwSignal::new(retention);
    view! {
        <p class="lead muted">
            "Events are removed from the trail when they have been retained for long enough and every streaming destination has received them. Objects in buckets are not affected."
        </p>
        <dl class="facts">
            <dt>"Retained for"</dt>
            <dd>{move || retention.with(retained_for)}</dd>
            <dt>"Default of the server"</dt>
            <dd>{move || days(retention.with(|it| it.default_days))}</dd>
        </dl>
        <p role="status">{move || retention.with(shortened)}</p>
        <ConfirmRemoval retention=retention user=user.clone() />
        <RetentionForm retention=retention user=user />
    }
    .into_any()
}

fn days(count: u32) -> String {
    pluralise(count.into(), "day")
}

fn retained_for(retention: &RetentionView) -> String {
    let source = if retention.own_days == Some(retention.days) {
        "set for this account"
    } else {
        "the default"
    };
    match retention.shortened_from {
        Some(_) => days(retention.days),
        None => format!("{}, {source}", days(retention.days)),
    }
}

fn shortened(retention: &RetentionView) -> Option<String> {
    let from = retention.shortened_from?;
    let shorter = retention.own_days.unwrap_or(retention.default_days);
    Some(format!(
        "From {}, events are retained for {} only. Until then you can withdraw this: set {} again.",
        absolute(from),
        days(shorter),
        days(retention.days),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_retention_says_when_it_applies() {
        let mut retention = RetentionView {
            days: 730,
            own_days: Some(30),
            default_days: 730,
            shortened_from: Some(0),
            unconfirmed: None,
            updated: Some(0),
        };
        assert_eq!(
            shortened(&retention).as_deref(),
            Some(
                "From 1970-01-01 00:00:00 UTC, events are retained for 30 days only. Until then you can withdraw this: set \
                 730 days again."
            )
        );
        assert_eq!(retained_for(&retention), "730 days");
        retention.days = 30;
        retention.shortened_from = None;
        assert_eq!(retained_for(&retention), "30 days, set for this account");
        retention.own_days = None;
        retention.days = 730;
        assert_eq!(retained_for(&retention), "730 days, the default");
    }
}
