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

#[cfg(feature = "ssr")]
fn word() -> Option<String> {
    use_context::<crate::Flash>().and_then(|flash| flash.0)
}

#[cfg(not(feature = "ssr"))]
fn word() -> Option<String> {
    None
}

fn sentence(word: &str) -> &'static str {
    match word {
        "wrong_credentials" => "E-mail or password are wrong.",
        "throttled" => "Too many attempts. Wait a minute, then try again.",
        "unavailable" => "The server cannot reach its database right now. Try again.",
        "not_found" | "expired" | "invalid_parameter" | "invalid_token" => {
            "This set-up link is used up or older than an hour. Restart the server for a new one."
        }
        "invalid_fields" => "Enter an e-mail address, and a password of 12 to 256 characters.",
        "forbidden" => "Your role can look but not change. Ask an account admin.",
        "conflict" => "That cannot be done in its present state.",
        "duplicate_field" => "There is already a person with this e-mail address. Sign in instead.",
        "cross_site" => "The form came from another site. Send it from this page.",
        "signed_out" => "You are signed out.",
        "unauthenticated" => "Your session has ended. Sign in again.",
        _ => "Something went wrong. Try again; the server's log has more.",
    }
}
