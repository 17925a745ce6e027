//! Hashing passwords: argon2id with the crate's parameters (OWASP's first choice: 19 MiB, 2 passes), off the threads that
//! serve requests, and a few at a time, so that guessing takes neither all processors nor all memory.

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, PasswordHash};
use auditstream_model::FieldErrors;
use auditstream_model::limits::{MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

static AT_ONCE: Semaphore = Semaphore::const_new(4);

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let _turn = AT_ONCE
        .acquire()
        .await
        .map_err(|error| Error::Broken(error.to_string()))?;
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Broken(error.to_string()))
}

/// # Errors
/// A new password that is too short or too long.
pub(super) fn check_length(password: &str) -> Result<()> {
    if (MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&password.chars().count()) {
        return Ok(());
    }
    let sentence = format!("A password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters.");
    Err(FieldErrors::one("password", sentence).into())
}

/// The hash of a new password.
///
/// # Errors
/// As [`check_length`].
pub(super) async fn hash(password: String) -> Result<String> {
    check_length(&password)?;
    let hashed = aside(move || {
        Argon2::default()
            .hash_password(password.as_bytes())
            .map(|hash| hash.to_string())
    });
    hashed
        .await?
        .map_err(|error| Error::Broken(format!("a password cannot be hashed: {error}")))
}

/// Whether a password is the one of a hash. Takes as long without a hash, so that time does not tell who is a user.
pub(super) async fn verify(hash: Option<String>, password: &str) -> Result<bool> {
    let password: String = password.chars().take(MAX_PASSWORD_CHARS + 1).collect();
    aside(move || {
        let Some(hash) = hash else {
            let _ = Argon2::default().hash_password(password.as_bytes());
            return false;
        };
        PasswordHash::new(&hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    })
    .await
}
