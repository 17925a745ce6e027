//! Why the server refused a form and sent the browser back to it.

use leptos::prelude::*;

use crate::components::{Icon, Shape};

/// The sentence for the code word that the server kept, if it kept one.
#[component]
pub fn FlashBox() -> impl IntoView {
    let word = SharedValue::new(word).into_inner();
    word.map(|word| {
        view! {
            <div class="banner banner-danger" role="alert">
                <Icon shape=Shape::Warning />
                <p>{sentence(&word)}</p>
            </div>
        }
    })
}

/// The e-mail address that was typed into the form that was refused.
#[must_use]
pub fn typed_email() -> Option<String> {
    SharedValue::new(email).into_inner()
}

#[cfg(feature = "ssr")]
fn word() -> Option<String> {
    use_context::<crate::Flash>()?.refused
}

#[cfg(feature = "ssr")]
fn email() -> Option<String> {
    use_context::<crate::Flash>()?.email
}

/// The server has told in the page.
#[cfg(not(feature = "ssr"))]
fn word() -> Option<String> {
    None
}

/// The server has told in the page.
#[cfg(not(feature = "ssr"))]
fn email() -> Option<String> {
    None
}

fn sentence(word: &str) -> &'static str {
    match word {
        "wrong_credentials" => "The e-mail or the password is wrong.",
        "throttled" => "Too many attempts. Wait 15 minutes, then try again.",
        "unavailable" => "The server cannot reach its database right now. Try again.",
        "not_found" => "What you asked for is not there any more.",
        "invalid_fields" => {
            "Enter a password of 12 to 256 characters and, where it is asked for, an e-mail address like ann@example.com."
        }
        "forbidden" => "Your role can look but not change. Ask an account admin.",
        "conflict" => "That cannot be done as things stand. Look at the page again, then decide.",
        "duplicate_field" => "There is already a person with this e-mail address. Sign in instead.",
        "cross_site" => "The form came from another site. Send it from this page.",
        "signed_out" => "You are signed out.",
        "unauthenticated" => "Your session has ended. Sign in again.",
        _ => "Something went wrong. Try again; the server's log has more.",
    }
}
