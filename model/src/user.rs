//! People who use the console, as admins see them.

use serde::{Deserialize, Serialize};

use crate::access::Role;
use crate::identifier::AccountName;
use crate::{Code, EpochMillis, Problem};

/// Whether a person can sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum UserStatus {
    /// Has a password.
    Active,
    /// Has a link, and has not used it.
    Invited,
}

/// A person of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// The e-mail address: trimmed, in lower case; nobody else of the installation has it.
    pub email: String,
    /// What the person is in the account.
    pub role: Role,
    /// Whether the person can sign in.
    pub status: UserStatus,
    /// When the person, or the invitation, was made.
    pub created: EpochMillis,
    /// When the person last signed in.
    pub last_sign_in: Option<EpochMillis>,
    /// Until when the person's link can be used, where there is one: of an invitation, or for a new password.
    pub link_expires: Option<EpochMillis>,
}

/// Whom to invite, as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Invitation {
    /// The e-mail address.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[!-?A-~]+@[!-?A-~]{3,}$", max_length = 254))]
    pub email: String,
    /// What the person is to be.
    pub role: Role,
}

/// What a person is to be from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoleInput {
    /// The role.
    pub role: Role,
}

/// A one-time link, at the only moment that it is shown. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IssuedLink {
    /// For whom.
    pub email: String,
    /// Where the person sets a password. Whoever has it can, so send it to nobody else.
    pub link: String,
    /// Until when.
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

/// What a one-time link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LinkKind {
    /// Makes the first admin.
    Setup,
    /// Makes the person that was invited.
    Invitation,
    /// Gives a person a new password.
    Password,
}

/// What its page says of a one-time link that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeLink {
    /// What it is for.
    pub kind: LinkKind,
    /// For whom; the first admin is yet to say.
    pub email: Option<String>,
    /// In which account.
    pub account: AccountName,
}

/// The refusal of a link that cannot be used, whatever the reason.
#[must_use]
pub fn dead_link() -> Problem {
    Problem::new(
        Code::NotFound,
        "This link has been used, was replaced or is too old. Ask an account admin for a new one; the first admin's link \
         is printed when the server starts.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_link() {
        let issued = IssuedLink {
            email: "ada@example.com".to_owned(),
            link: "https://example.com/invitation?token=hush".to_owned(),
            expires: 1,
        };
        let shown = format!("{issued:?}");
        assert!(shown.contains("ada") && !shown.contains("hush"), "{shown}");
    }
}
