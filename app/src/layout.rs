//! Navigation, header and theme around every page but sign-in.

use auditstream_model::{Permission, SignedIn};
use leptos::prelude::*;
use leptos_router::components::{A, Outlet};

use crate::components::{Icon, SessionDialog, SessionEnded, Shape};
use crate::error::ConsoleError;
use crate::server_functions::session::session;

/// Who is signed in; every page under [`Layout`] has it as a context.
#[derive(Clone, Copy, Debug)]
pub struct Session(pub Resource<Result<SignedIn, ConsoleError>>);

/// Who is signed in.
///
/// # Errors
/// When nobody is, or the server does not answer.
pub async fn signed_in() -> Result<SignedIn, ConsoleError> {
    match use_context::<Session>() {
        Some(found) => found.0.await,
        None => session().await,
    }
}

/// Why a control is disabled for somebody, if it is.
#[must_use]
pub fn denied(person: &SignedIn, permission: Permission) -> Option<&'static str> {
    (!person.may(permission)).then_some("Your role, Account Viewer, can look but not change. Ask an account admin.")
}

/// The frame of the console.
#[component]
pub fn Layout() -> impl IntoView {
    #[cfg(feature = "ssr")]
    send_to_sign_in();
    let person = Resource::new(|| (), |()| session());
    provide_context(Session(person));
    let ended = SessionEnded::default();
    Effect::new(move |_| {
        // Loaded again, it would rebuild pages, and with them what was typed.
        if ended.again.get() > 0 && person.with_untracked(|person| !matches!(person, Some(Ok(_)))) {
            person.refetch();
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
                <a class="brand" href="/settings">
                    <span class="brand-mark" aria-hidden="true"></span>
                    "Auditstream"
                </a>
                <div class="top-right">
                    <ThemeSelect />
                    <Suspense fallback=|| ()>
                        {move || Suspend::new(async move {
                            person
                                .await
                                .ok()
                                .map(|person| {
                                    view! {
                                        <a class="who" href="/settings/access/you" title="Your account">
                                            <span class="who-email">{person.email.clone()}</span>
                                            <span class="muted">{person.account.to_string()}</span>
                                        </a>
                                        <form method="post" action="/sign-out">
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
                    <li><A href="/settings" exact=true><Icon shape=Shape::Settings />"Overview"</A></li>
                    <li><A href="/settings/audit-trail"><Icon shape=Shape::List />"Audit Trail"</A></li>
                    <li><A href="/settings/connectors"><Icon shape=Shape::Plug />"Connectors"</A></li>
                    <li><A href="/settings/access"><Icon shape=Shape::Key />"Access"</A></li>
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

/// Whoever is not signed in is sent to the sign-in page, and from there back to this one.
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
        .map_or("/settings", http::uri::PathAndQuery::as_str);
    let mut encoded = String::new();
    for byte in next.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    leptos_axum::redirect(&format!("/sign-in?next={encoded}"));
}

const THEMES: [(&str, &str); 3] = [("system", "System"), ("light", "Light"), ("dark", "Dark")];

/// The theme that this browser wants: `system`, `light` or `dark`.
#[must_use]
pub fn theme() -> String {
    let asked = wanted_theme().unwrap_or_default();
    THEMES
        .iter()
        .find(|(word, _)| *word == asked)
        .map_or("system", |(word, _)| word)
        .to_owned()
}

#[cfg(feature = "ssr")]
fn wanted_theme() -> Option<String> {
    let request = use_context::<http::request::Parts>()?;
    let cookies = request.headers.get(http::header::COOKIE)?.to_str().ok()?;
    cookies
        .split(';')
        .find_map(|cookie| cookie.trim().strip_prefix("theme="))
        .map(str::to_owned)
}

#[cfg(not(feature = "ssr"))]
fn wanted_theme() -> Option<String> {
    document().document_element()?.get_attribute("data-theme")
}

#[component]
fn ThemeSelect() -> impl IntoView {
    let start = theme();
    let choose = move |theme: String| {
        if let Some(root) = document().document_element() {
            drop(root.set_attribute("data-theme", &theme));
        }
        remember_theme(&theme);
    };
    view! {
        <select class="theme" name="theme" aria-label="Theme" on:change:target=move |event| choose(event.target().value())>
            {THEMES
                .into_iter()
                .map(|(word, shown)| view! { <option value=word selected=word == start>{shown}</option> })
                .collect_view()}
        </select>
    }
}

/// Kept for a year in a cookie, so that the server renders it.
fn remember_theme(theme: &str) {
    use wasm_bindgen::JsCast;
    let cookie = format!("theme={theme}; Path=/; Max-Age=31536000; SameSite=Lax");
    if let Ok(page) = document().dyn_into::<web_sys::HtmlDocument>() {
        drop(page.set_cookie(&cookie));
    }
}
