//! Users, sessions, API tokens and accounts.
//!
//! - [`users`]: people, their roles and passwords
//! - [`passwords`]: how they are hashed
//! - [`sessions`]: sign-in, and who is signed in
//! - [`throttle`]: how often somebody may guess
//! - [`links`]: one-time links: the first admin's, invitations, new passwords
//! - [`tokens`]: API tokens
//! - [`accounts`]; each is a tenant
//!
//! What a holder has (a cookie, a token, a link) is 32 random bytes in base64url; the database has only its SHA-256.

mod accounts;
mod links;
mod passwords;
mod sessions;
mod throttle;
mod tokens;
mod users;

use auditstream_model::EpochMillis;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sha2::{Digest, Sha256};

pub use accounts::create_account;
pub(crate) use accounts::{account_id, ensure_default_account};
pub use links::{Issued, invite, link, password_link, redeem, setup_link, withdraw_invitation};
pub use sessions::{UsedBy, change_password, session, sign_in, sign_out, sign_out_everywhere};
pub use throttle::THROTTLED_FOR;
pub use tokens::{create_token, revoke_token, token, tokens};
pub use users::{create_user, has_users, is_email, remove_user, reset_password, set_role, users};

const MINUTE: EpochMillis = 60_000;
const HOUR: EpochMillis = 60 * MINUTE;
const DAY: EpochMillis = 24 * HOUR;

fn random_text() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

fn digest(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}
