//! Users of the console, and the one-time links that set their passwords.

use serde::{Deserialize, Serialize};

use crate::wire_names::wire_names;
use crate::{AccountName, Code, EpochMillis, Problem, Role};

wire_names! {
    /// Whether a user can sign in.
    pub enum UserStatus {
        /// Has set a password.
        Active = "ACTIVE",
        /// Has a link and has not used it yet.
        Invited = "INVITED",
    }
}

/// A user of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// The e-mail address: trimmed, in lower case, and unique in the account.
    pub email: String,
    /// The role in the account.
    pub role: Role,
    /// Whether the user can sign in.
    pub status: UserStatus,
    /// When the user was created or invited, epoch ms.
    pub created: EpochMillis,
    /// When the user last signed in, epoch ms; null for never.
    pub last_sign_in: Option<EpochMillis>,
    /// When the user's invitation or password link expires, epoch ms; null when there is none.
    pub link_expires: Option<EpochMillis>,
}

/// An invitation of a new user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Invitation {
    /// The e-mail address.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[!-?A-~]+@[!-?A-~]{3,}$", max_length = 254))]
    pub email: String,
    /// The role of the new user.
    pub role: Role,
}

/// A change of a user's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoleInput {
    /// The new role.
    pub role: Role,
}

/// A new one-time link, which is shown only once. `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IssuedLink {
    /// The recipient.
    pub email: String,
    /// The address where the recipient sets a password. Anyone who has it can, so send it only to
    /// the recipient.
    pub link: String,
    /// When it expires, epoch ms.
    pub expires: EpochMillis,
}

impl std::fmt::Debug for IssuedLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedLink")
            .field("email", &self.email)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

wire_names! {
    /// The purpose of a one-time link.
    pub enum LinkKind {
        /// Creates the first admin.
        Setup = "SETUP",
        /// Creates an invited user.
        Invitation = "INVITATION",
        /// Sets a new password.
        Password = "PASSWORD",
    }
}

/// A valid one-time link, as its page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeLink {
    /// The purpose.
    pub kind: LinkKind,
    /// The recipient; `None` for the set-up link, where the first admin enters an address.
    pub email: Option<String>,
    /// The account.
    pub account: AccountName,
}

/// Returns the refusal of a link that cannot be used, the same for every reason.
#[must_use]
pub fn invalid_link() -> Problem {
    Problem::new(
        Code::NotFound,
        "This link has been used, was replaced or has expired. Ask an account admin for a new one. The first admin's link \
         is printed when the server starts.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_link() {
        let issued = IssuedLink {
            email: "ada@example.com".to_owned(),
            link: "https://example.com/invitation?token=hush".to_owned(),
            expires: 1,
        };
        let shown = format!("{issued:?}");
        assert!(shown.contains("ada") && !shown.contains("hush"), "{shown}");
    }
}
