//! Account Settings: a tile for each thing that can be set up.

use leptos::prelude::*;

use crate::components::{Icon, PageHead, Shape};

const TILES: [(&str, &str, Shape, &str); 3] = [
    (
        "Audit Trail",
        "/settings/audit-trail",
        Shape::List,
        "See who did what, and stream every event to Amazon S3.",
    ),
    (
        "Connectors",
        "/settings/connectors",
        Shape::Plug,
        "How to reach AWS: credentials, region, retries.",
    ),
    (
        "Access",
        "/settings/access",
        Shape::Key,
        "Users and their roles, API tokens, sign-ins, and your own account.",
    ),
];

/// The tiles.
#[component]
pub fn Settings() -> impl IntoView {
    view! {
        <PageHead title="Account Settings" />
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
