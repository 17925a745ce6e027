//! The signed-in user, as pages see it.

use auditstream_model::{Permission, SignedIn};
use leptos::prelude::*;

use crate::error::ConsoleError;
use crate::server_functions::session::session;

/// The signed-in user; a context of every page under the layout.
#[derive(Clone, Copy, Debug)]
pub struct Session(pub Resource<Result<SignedIn, ConsoleError>>);

/// A session that has ended while a page was open; a context of every page under the layout.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionEnded {
    pub requested: RwSignal<bool>,
    /// How often the user has signed in again since the page was opened.
    pub renewals: RwSignal<u32>,
}

/// Returns the signed-in user.
pub async fn signed_in() -> Result<SignedIn, ConsoleError> {
    match use_context::<Session>() {
        Some(session) => session.0.await,
        None => session().await,
    }
}

/// Returns why a control is disabled for a user, or `None` if it is not.
#[must_use]
pub fn denied(user: &SignedIn, permission: Permission) -> Option<&'static str> {
    (!user.may(permission)).then_some("Your role, Account Viewer, can look but not change. Ask an account admin.")
}
