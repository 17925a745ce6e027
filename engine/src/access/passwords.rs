//! Password hashing: argon2id with the crate's default parameters, OWASP's first choice (19 MiB, 2
//! passes). At most four run at once, outside of the threads that serve requests, so that guessing
//! cannot take all processors or memory.

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, PasswordHash};
use auditstream_model::FieldErrors;
use auditstream_model::limits::{MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

static CONCURRENT_HASHES: Semaphore = Semaphore::const_new(4);

async fn on_blocking_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let permit = CONCURRENT_HASHES
        .acquire()
        .await
        .map_err(|error| Error::Broken(error.to_string()))?;
    // The thread returns it, since it continues when the caller is dropped.
    let work = move || {
        let _permit = permit;
        work()
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Broken(error.to_string()))
}

pub(super) fn check_length(password: &str) -> Result<()> {
    if (MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&password.chars().count()) {
        return Ok(());
    }
    let message = format!("A password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters.");
    Err(FieldErrors::one("password", message).into())
}

pub(super) async fn hash(password: String) -> Result<String> {
    check_length(&password)?;
    let hashed = on_blocking_thread(move || {
        Argon2::default()
            .hash_password(password.as_bytes())
            .map(|hash| hash.to_string())
    });
    hashed
        .await?
        .map_err(|error| Error::Broken(format!("a password cannot be hashed: {error}")))
}

/// Whether a password matches a hash. Without a hash it takes as long, so that the time does not
/// reveal which users exist.
pub(super) async fn verify(hash: Option<String>, password: &str) -> Result<bool> {
    let password: String = password.chars().take(MAX_PASSWORD_CHARS + 1).collect();
    on_blocking_thread(move || {
        let Some(hash) = hash else {
            let _ = Argon2::default().hash_password(password.as_bytes());
            return false;
        };
        PasswordHash::new(&hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// Callers leave; the threads continue to use processors and memory.
    #[tokio::test]
    async fn a_hash_counts_until_it_is_computed_even_if_its_caller_has_left() {
        let mut gates = Vec::new();
        for _ in 0..4 {
            let (gate, opened) = channel::<()>();
            let (begin, begun) = tokio::sync::oneshot::channel();
            let caller = tokio::spawn(on_blocking_thread(move || {
                let _ = begin.send(());
                // Ends when the gate is dropped.
                let _ = opened.recv();
            }));
            begun.await.unwrap();
            caller.abort();
            assert!(caller.await.unwrap_err().is_cancelled());
            gates.push(gate);
        }
        assert_eq!(CONCURRENT_HASHES.available_permits(), 0);
        let mut next = std::pin::pin!(hash("correct horse battery staple".to_owned()));
        assert!(futures::poll!(&mut next).is_pending(), "a fifth waits");
        drop(gates);
        let hash = next.await.unwrap();
        assert!(verify(Some(hash), "correct horse battery staple").await.unwrap());
    }
}
