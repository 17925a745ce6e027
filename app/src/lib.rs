//! The console: what a person sees and does in a browser.
//!
//! A page calls a server function, and a server function calls one function of the engine. The server renders every
//! page; the browser then brings it to life from the same code.
//!
//! - [`pages`]: one module for each screen
//! - [`layout`]: navigation, header and theme around them
//! - [`components`]: the parts that more than one page is made of
//! - [`server_functions`]: what pages ask of the server
//! - [`error`]: the one error that those answer with
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

pub mod components;
pub mod error;
pub mod layout;
pub mod pages;
pub mod server_functions;

use leptos::prelude::*;
use leptos_meta::{MetaTags, Title, provide_meta_context};
use leptos_router::components::{ParentRoute, Redirect, Route, Router, Routes};
use leptos_router::{SsrMode, path};

pub use error::ConsoleError;

/// What became of a form that the server itself handles; a context of the page that it sends the browser back to.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flash {
    /// Why it was refused, as a code word.
    pub refused: Option<String>,
    /// The e-mail address that was typed, so that it need not be typed again.
    pub email: Option<String>,
}

/// What the server knows of the request beside who makes it; a context of every server function.
#[cfg(feature = "ssr")]
#[derive(Clone)]
pub struct Visit {
    /// Where it came from.
    pub client_ip: String,
    /// The session that the browser has, if any; it ends when another begins.
    pub session: Option<String>,
    /// Makes the `Set-Cookie` of a session's token.
    pub session_cookie: fn(&str) -> http::HeaderValue,
    /// What browsers see in front of every path, for links that are sent to people.
    pub public_url: std::sync::Arc<str>,
}

/// The icon of every page, as an address.
pub const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%233557d6'/%3E%3Cpath d='M4 5h8M4 8h8M4 11h5' stroke='white' stroke-width='1.5' stroke-linecap='round'/%3E%3C/svg%3E";

/// The document around the console.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let theme = layout::theme();
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme>
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
            // Tests and styles wait for it.
            drop(root.set_attribute("data-hydrated", ""));
        }
    });
    view! {
        <Title formatter=|title: String| if title.is_empty() { "Auditstream".to_owned() } else { format!("{title} · Auditstream") } />
        <Router>
            <Routes fallback=pages::NotFound>
                <Route path=path!("/sign-in") view=pages::SignIn ssr=SsrMode::Async />
                <Route path=path!("/setup") view=pages::Setup ssr=SsrMode::Async />
                <Route path=path!("/invitation") view=pages::Invitation ssr=SsrMode::Async />
                <Route path=path!("/") view=|| view! { <Redirect path="/settings" /> } ssr=SsrMode::Async />
                <ParentRoute path=path!("/settings") view=layout::Layout ssr=SsrMode::Async>
                    <Route path=path!("") view=pages::Settings ssr=SsrMode::Async />
                    <Route
                        path=path!("audit-trail")
                        view=|| view! { <Redirect path="/settings/audit-trail/logs" /> }
                        ssr=SsrMode::Async
                    />
                    <Route path=path!("audit-trail/logs") view=pages::audit_trail::Logs ssr=SsrMode::Async />
                    <Route path=path!("audit-trail/streaming") view=pages::audit_trail::Streaming ssr=SsrMode::Async />
                    <Route
                        path=path!("audit-trail/streaming/new")
                        view=pages::audit_trail::NewDestination
                        ssr=SsrMode::Async
                    />
                    <Route
                        path=path!("audit-trail/streaming/:id")
                        view=pages::audit_trail::DestinationPage
                        ssr=SsrMode::Async
                    />
                    <Route
                        path=path!("audit-trail/streaming/:id/edit")
                        view=pages::audit_trail::EditDestination
                        ssr=SsrMode::Async
                    />
                    <Route path=path!("connectors") view=pages::connectors::Connectors ssr=SsrMode::Async />
                    <Route path=path!("connectors/new") view=pages::connectors::NewConnector ssr=SsrMode::Async />
                    <Route path=path!("connectors/:id/edit") view=pages::connectors::EditConnector ssr=SsrMode::Async />
                    <Route path=path!("access") view=pages::access::Users ssr=SsrMode::Async />
                    <Route path=path!("access/tokens") view=pages::access::Tokens ssr=SsrMode::Async />
                    <Route path=path!("access/sign-ins") view=pages::access::SignIns ssr=SsrMode::Async />
                    <Route path=path!("access/you") view=pages::access::You ssr=SsrMode::Async />
                </ParentRoute>
            </Routes>
        </Router>
    }
}
