//! Account Settings: a tile for each area of the console.

use leptos::prelude::*;

use crate::components::{Icon, PageHead, Shape};
use crate::features::ClockNotice;
use crate::paths;

const TILES: [(&str, &str, Shape, &str); 4] = [
    (
        "Audit Trail",
        paths::AUDIT_TRAIL,
        Shape::List,
        "See who did what, and stream every event to Amazon S3.",
    ),
    (
        "Connectors",
        paths::CONNECTORS,
        Shape::Plug,
        "How to reach AWS: credentials, region, retries.",
    ),
    (
        "Access",
        paths::USERS,
        Shape::Key,
        "Users and their roles, API tokens, sign-ins, and your own account.",
    ),
    (
        "Retention",
        paths::RETENTION,
        Shape::Clock,
        "How long events stay in the trail.",
    ),
];

/// The page.
#[component]
pub fn Settings() -> impl IntoView {
    view! {
        <PageHead title="Account Settings" />
        <ClockNotice />
        <ul class="tiles">
            {TILES
                .into_iter()
                .map(|(title, address, shape, text)| {
                    view! {
                        <li class="tile">
                            <Icon shape=shape />
                            <h2><a href=address>{title}</a></h2>
                            <p class="muted">{text}</p>
                        </li>
                    }
                })
                .collect_view()}
        </ul>
    }
}
