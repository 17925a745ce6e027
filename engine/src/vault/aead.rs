//! Authenticated encryption: XChaCha20-Poly1305 under a 32-byte key.
//!
//! A sealed text is a 24-byte nonce followed by the ciphertext and its tag. It is bound to a place
//! (the associated data) and cannot be opened for another one.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::error::{Error, Result};

const NONCE_BYTES: usize = 24;

/// A key of this cipher.
pub(super) type Key = [u8; 32];

/// Encrypts `secret` and binds it to `place`.
pub(super) fn seal(key: &Key, place: &[u8], secret: &[u8]) -> Result<Vec<u8>> {
    let nonce: [u8; NONCE_BYTES] = rand::random();
    let payload = Payload {
        msg: secret,
        aad: place,
    };
    let sealed = XChaCha20Poly1305::new(&(*key).into())
        .encrypt(&XNonce::from(nonce), payload)
        .map_err(|_| Error::Broken("a secret cannot be encrypted".into()))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Decrypts a sealed text. `None` if it was sealed under another key or for another place.
pub(super) fn open(key: &Key, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let payload = Payload {
        msg: sealed,
        aad: place,
    };
    XChaCha20Poly1305::new(&(*key).into())
        .decrypt(&XNonce::from(*nonce), payload)
        .ok()
}
