//! Users, sessions, API tokens and accounts.
//!
//! - [`users`]: people and their passwords
//! - [`sessions`]: sign-in, and who is signed in
//! - [`tokens`]: API tokens
//! - [`setup`]: the one-time link that makes the first admin
//! - [`accounts`]; each is a tenant
//!
//! What a holder has (a cookie, a token, a link) is 32 random bytes in base64url; the database has only its SHA-256.

mod accounts;
mod sessions;
mod setup;
mod tokens;
mod users;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sha2::{Digest, Sha256};

pub use accounts::create_account;
pub(crate) use accounts::{account_id, ensure_default_account};
pub use sessions::{session, sign_in, sign_out};
pub use setup::{redeem_setup_link, setup_link, setup_link_valid};
pub use tokens::{create_token, token};
pub use users::{create_user, has_users, reset_password};

fn random_text() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

fn digest(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}
