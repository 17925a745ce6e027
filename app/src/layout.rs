//! The navigation, header and theme around every page of the console.

use leptos::prelude::*;
use leptos_router::components::{A, Outlet};

use crate::choice::{Choice, options};
use crate::components::{Icon, Shape};
use crate::features::SessionDialog;
use crate::paths;
use crate::server_functions::session::session;
use crate::session::{Session, SessionEnded};

/// The frame of the console.
#[component]
pub fn Layout() -> impl IntoView {
    #[cfg(feature = "ssr")]
    send_to_sign_in();
    let user = Resource::new(|| (), |()| session());
    provide_context(Session(user));
    let ended = SessionEnded::default();
    Effect::new(move |_| {
        // Loading a user who is known would rebuild the page and discard what was typed.
        if ended.renewals.get() > 0 && user.with_untracked(|user| !matches!(user, Some(Ok(_)))) {
            user.refetch();
        }
    });
    provide_context(ended);
    let nav = NodeRef::<leptos::html::Nav>::new();
    let leave = move |_| {
        if let Some(nav) = nav.get_untracked() {
            drop(nav.hide_popover());
        }
    };
    view! {
        <a class="skip" href="#main">"Skip to content"</a>
        <div class="frame">
            <header class="top">
                <button type="button" class="button icon-button nav-button" popovertarget="nav" aria-label="Navigation">
                    <Icon shape=Shape::Menu />
                </button>
                <a class="brand" href=paths::SETTINGS>
                    <span class="brand-mark" aria-hidden="true"></span>
                    "Auditstream"
                </a>
                <div class="top-right">
                    <ThemeSelect />
                    <Suspense fallback=|| ()>
                        {move || Suspend::new(async move {
                            user
                                .await
                                .ok()
                                .map(|user| {
                                    view! {
                                        <a class="who" href=paths::YOUR_ACCOUNT title="Your account">
                                            <span class="who-email">{user.email.clone()}</span>
                                            <span class="muted">{user.account.to_string()}</span>
                                        </a>
                                        <form method="post" action=paths::SIGN_OUT>
                                            <button type="submit" class="button">"Sign out"</button>
                                        </form>
                                    }
                                })
                        })}
                    </Suspense>
                </div>
            </header>
            <nav class="side" id="nav" popover="auto" aria-label="Console" node_ref=nav on:click=leave>
                <p class="side-title">"Account Settings"</p>
                <ul>
                    <li><A href=paths::SETTINGS exact=true><Icon shape=Shape::Settings />"Overview"</A></li>
                    <li><A href=paths::AUDIT_TRAIL><Icon shape=Shape::List />"Audit Trail"</A></li>
                    <li><A href=paths::CONNECTORS><Icon shape=Shape::Plug />"Connectors"</A></li>
                    <li><A href=paths::USERS><Icon shape=Shape::Key />"Access"</A></li>
                    <li><A href=paths::RETENTION><Icon shape=Shape::Clock />"Retention"</A></li>
                </ul>
            </nav>
            <main id="main" tabindex="-1">
                <Outlet />
            </main>
        </div>
        <SessionDialog ended=ended />
    }
    .into_any()
}

#[cfg(feature = "ssr")]
fn send_to_sign_in() {
    use auditstream_engine::Actor;
    if use_context::<Option<Actor>>().flatten().is_some() {
        return;
    }
    let Some(request) = use_context::<http::request::Parts>() else {
        return;
    };
    let next = request
        .uri
        .path_and_query()
        .map_or(paths::SETTINGS, http::uri::PathAndQuery::as_str);
    leptos_axum::redirect(&paths::sign_in_to(next));
}

/// The colours of the console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

impl Choice for Theme {
    const ALL: &'static [Self] = &[Self::System, Self::Light, Self::Dark];

    fn value(&self) -> &str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    fn label(&self) -> &str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }
}

/// Returns the theme that this browser has chosen.
#[must_use]
pub fn theme() -> Theme {
    chosen_theme()
        .and_then(|value| Theme::from_value(&value))
        .unwrap_or_default()
}

#[cfg(feature = "ssr")]
fn chosen_theme() -> Option<String> {
    let request = use_context::<http::request::Parts>()?;
    let cookies = request.headers.get(http::header::COOKIE)?.to_str().ok()?;
    cookies
        .split(';')
        .find_map(|cookie| cookie.trim().strip_prefix("theme="))
        .map(str::to_owned)
}

#[cfg(not(feature = "ssr"))]
fn chosen_theme() -> Option<String> {
    document().document_element()?.get_attribute("data-theme")
}

#[component]
fn ThemeSelect() -> impl IntoView {
    let choose = move |theme: String| {
        if let Some(root) = document().document_element() {
            drop(root.set_attribute("data-theme", &theme));
        }
        remember_theme(&theme);
    };
    view! {
        <select class="theme" name="theme" aria-label="Theme" on:change:target=move |event| choose(event.target().value())>
            {options(&theme())}
        </select>
    }
}

/// Stores the theme in a cookie for a year, so that the server renders it.
fn remember_theme(theme: &str) {
    use wasm_bindgen::JsCast;
    let cookie = format!("theme={theme}; Path=/; Max-Age=31536000; SameSite=Lax");
    if let Ok(page) = document().dyn_into::<web_sys::HtmlDocument>() {
        drop(page.set_cookie(&cookie));
    }
}
