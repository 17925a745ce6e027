//! Sign-ins as the console lists them.

use serde::{Deserialize, Serialize};

use crate::EpochMillis;
use crate::wire_names::wire_names;

wire_names! {
    /// The outcome of a sign-in or sign-out, named as the action of its audit event.
    pub enum SignInOutcome {
        /// A user signed in.
        SignedIn = "LOGIN",
        /// A sign-in with a wrong password.
        Refused = "UNSUCCESSFUL_LOGIN",
        /// A user signed out or was signed out by an admin.
        SignedOut = "LOGOUT",
    }
}

/// A sign-in, refused sign-in or sign-out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// Epoch ms.
    pub time: EpochMillis,
    /// The e-mail address of the user.
    pub user: String,
    /// The admin who signed the user out; `None` if the user did so.
    pub by: Option<String>,
    /// The client's address.
    pub client_ip: Option<String>,
    /// The outcome.
    pub outcome: SignInOutcome,
}
