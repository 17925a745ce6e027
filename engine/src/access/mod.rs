//! Users, sessions, API tokens and accounts.
//!
//! Cookies, tokens and links are 32 random bytes in base64url. The database stores only their
//! SHA-256.

mod accounts;
mod credentials;
mod default_account;
mod email;
mod last_uses;
mod links;
mod passwords;
mod rows;
mod scopes;
mod sessions;
mod throttle;
mod token_owners;
mod tokens;
mod users;

use auditstream_model::EpochMillis;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sha2::{Digest, Sha256};

pub use accounts::create_account;
pub(crate) use default_account::ensure_default_account;
pub use email::is_email;
pub(crate) use last_uses::{LastUses, flush as flush_last_uses, start as start_flushing};
pub use links::{Issued, Redeemed, invite, link, password_link, redeem, setup_link, withdraw_invitation};
pub use sessions::{UsedBy, change_password, session, sign_in, sign_in_to, sign_out, sign_out_everywhere};
pub use throttle::THROTTLED_FOR;
pub(crate) use token_owners::TokenOwners;
pub use tokens::{create_token, revoke_token, token, tokens};
pub use users::{create_user, has_users, remove_user, reset_password, set_role, users};

const MINUTE: EpochMillis = 60_000;
const HOUR: EpochMillis = 60 * MINUTE;
const DAY: EpochMillis = 24 * HOUR;
/// How far in the future a stored time may be, ms. Beyond that, it was written by a clock that was
/// ahead, and nothing is valid because of it.
const FUTURE: EpochMillis = HOUR;

fn random_text() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

fn digest(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}
