//! The console: the pages that people see in a browser.
//!
//! ```text
//! page ──► server function ──► one function of the engine
//!  │
//!  └─► features ──► components
//! ```
//!
//! The server renders every page; the browser then hydrates it from the same code.
//!
//! - [`pages`]: one module for each screen
//! - [`layout`]: the navigation, header and theme around them
//! - [`features`]: parts of pages that call the server themselves
//! - [`components`]: plain controls; [`choice`]: the options of selects
//! - [`paths`]: every address
//! - [`session`]: the signed-in user and their permissions
//! - [`server_functions`]: the calls from pages to the server
//! - [`error`]: the error of all server functions
#![allow(
    missing_docs,
    reason = "the component and server macros generate public builders without comments"
)]
#![allow(
    unreachable_pub,
    reason = "the component macro makes the type of a private component's props public"
)]

#[cfg(all(feature = "hydrate", feature = "ssr"))]
compile_error!(
    "the features `hydrate` (the browser's half) and `ssr` (the server's half) cannot be combined; build the server with \
     `cargo build --bin auditstream`, and the browser's half with `cargo build -p frontend --target wasm32-unknown-unknown`"
);

#[cfg(not(any(erase_components, doc)))]
compile_error!(
    "the flag `--cfg=erase_components` is missing: RUSTFLAGS in the environment replaces the flags of .cargo/config.toml, \
     so add it there"
);

pub mod choice;
pub mod components;
pub mod error;
pub mod features;
pub mod layout;
pub mod pages;
pub mod paths;
#[cfg(feature = "ssr")]
mod server_context;
pub mod server_functions;
pub mod session;

use leptos::prelude::*;
use leptos_meta::{MetaTags, Title, provide_meta_context};
use leptos_router::components::{ParentRoute, Redirect, Route, Router, Routes};
use leptos_router::{SsrMode, path};

use choice::Choice;
use paths::routes;
#[cfg(feature = "ssr")]
pub use server_context::{Flash, Visit};
pub use server_functions::client::POLL_HEADER;

/// The icon of every page, as a `data:` address.
pub const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%233557d6'/%3E%3Cpath d='M4 5h8M4 8h8M4 11h5' stroke='white' stroke-width='1.5' stroke-linecap='round'/%3E%3C/svg%3E";

/// The document around the console.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let theme = layout::theme();
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme.value().to_owned()>
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <meta name="referrer" content="same-origin" />
                <link rel="stylesheet" href="/pkg/auditstream.css" />
                <link rel="icon" href=ICON />
                <HydrationScripts options />
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}

/// The console.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    components::time::provide_now();
    Effect::new(|_| {
        if let Some(root) = document().document_element() {
            // Tests wait for it.
            drop(root.set_attribute("data-hydrated", ""));
        }
    });
    view! {
        <Title formatter=|title: String| if title.is_empty() { "Auditstream".to_owned() } else { format!("{title} · Auditstream") } />
        <Router>
            <Routes fallback=pages::NotFound>
                <Route path=routes::sign_in() view=pages::SignIn ssr=SsrMode::Async />
                <Route path=routes::setup() view=pages::Setup ssr=SsrMode::Async />
                <Route path=routes::invitation() view=pages::Invitation ssr=SsrMode::Async />
                <Route path=path!("/") view=|| view! { <Redirect path=paths::SETTINGS /> } ssr=SsrMode::Async />
                <ParentRoute path=routes::settings() view=layout::Layout ssr=SsrMode::Async>
                    <Route path=path!("") view=pages::Settings ssr=SsrMode::Async />
                    <Route path=routes::audit_trail() view=|| view! { <Redirect path=paths::LOGS /> } ssr=SsrMode::Async />
                    <Route path=routes::logs() view=pages::audit_trail::Logs ssr=SsrMode::Async />
                    <Route path=routes::streaming() view=pages::audit_trail::Streaming ssr=SsrMode::Async />
                    <Route path=routes::new_destination() view=pages::audit_trail::NewDestination ssr=SsrMode::Async />
                    <Route path=routes::destination() view=pages::audit_trail::DestinationPage ssr=SsrMode::Async />
                    <Route path=routes::edit_destination() view=pages::audit_trail::EditDestination ssr=SsrMode::Async />
                    <Route path=routes::connectors() view=pages::connectors::Connectors ssr=SsrMode::Async />
                    <Route path=routes::new_connector() view=pages::connectors::NewConnector ssr=SsrMode::Async />
                    <Route path=routes::edit_connector() view=pages::connectors::EditConnector ssr=SsrMode::Async />
                    <Route path=routes::users() view=pages::access::Users ssr=SsrMode::Async />
                    <Route path=routes::tokens() view=pages::access::Tokens ssr=SsrMode::Async />
                    <Route path=routes::sign_ins() view=pages::access::SignIns ssr=SsrMode::Async />
                    <Route path=routes::your_account() view=pages::access::YourAccount ssr=SsrMode::Async />
                    <Route path=routes::retention() view=pages::Retention ssr=SsrMode::Async />
                </ParentRoute>
            </Routes>
        </Router>
    }
}
