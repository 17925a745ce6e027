//! The reason why the server refused a form and sent the browser back to its page.

use auditstream_model::Code;
use leptos::prelude::*;

use crate::components::{Icon, Shape};

/// The reason why the last form was refused, if it was.
#[component]
pub fn FlashMessage() -> impl IntoView {
    let code = SharedValue::new(refused).into_inner();
    code.map(|code| {
        view! {
            <div class="banner banner-danger" role="alert">
                <Icon shape=Shape::Warning />
                <p>{message(code)}</p>
            </div>
        }
    })
}

/// Returns the e-mail address that was typed into the refused form.
#[must_use]
pub fn typed_email() -> Option<String> {
    SharedValue::new(email).into_inner()
}

/// Returns whether the account has to be named, because several have a user with the address and
/// password that were typed.
#[must_use]
pub fn must_choose_account() -> bool {
    SharedValue::new(refused).into_inner() == Some(Code::ChooseAccount)
}

#[cfg(feature = "ssr")]
fn refused() -> Option<Code> {
    use_context::<crate::Flash>()?.refused
}

#[cfg(feature = "ssr")]
fn email() -> Option<String> {
    use_context::<crate::Flash>()?.email
}

/// Never called: the page contains the server's value.
#[cfg(not(feature = "ssr"))]
fn refused() -> Option<Code> {
    None
}

#[cfg(not(feature = "ssr"))]
fn email() -> Option<String> {
    None
}

fn message(code: Code) -> &'static str {
    match code {
        Code::ChooseAccount => {
            "Several accounts have a user with this address and password. Enter the name of the account to sign in to."
        }
        Code::WrongCredentials => "The e-mail or the password is wrong.",
        Code::Throttled => "Too many attempts. Wait 15 minutes, then try again.",
        Code::Unavailable => "The server cannot reach its database right now. Try again.",
        Code::NotFound => "It no longer exists. Someone may have deleted it.",
        Code::InvalidFields => {
            "Enter a password of 12 to 256 characters and, if the form has a field for it, an e-mail address like ann@example.com."
        }
        Code::Forbidden => "Your role can look but not change. Ask an account admin.",
        Code::Conflict => "That is not possible in the current state. Reload the page and try again.",
        Code::DuplicateField => "A user with this e-mail address already exists. Sign in instead.",
        Code::CrossSite => "The form came from another site. Send it from this page.",
        Code::Unauthenticated => "Your session has ended. Sign in again.",
        _ => "Something went wrong. Try again. The server log has the details.",
    }
}
