//! Access: users, API tokens, sign-ins, and the user's own account.

mod invite;
mod new_token;
mod one_time_secret;
mod role_select;
mod sign_ins;
mod tab;
mod token_row;
mod tokens;
mod user_action;
mod user_row;
mod users;
mod your_account;

pub use sign_ins::SignIns;
pub use tokens::Tokens;
pub use users::Users;
pub use your_account::YourAccount;
