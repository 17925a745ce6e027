//! The master key, and secrets at rest.
//!
//! Secrets are sealed with XChaCha20-Poly1305 under a data key; data keys stand in the database, wrapped by the master
//! key, which stands outside of it. A sealed text is a 24-byte nonce and the ciphertext with its tag, bound to its place
//! (the associated data), so that it opens nowhere else.

use std::fmt;
use std::io::Write;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::error::{Error, Result};
use crate::store::{Dialect, Store, now};

const NONCE_BYTES: usize = 24;

/// 32 bytes that open everything. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// Reads a key from base64 of 32 bytes.
    ///
    /// # Errors
    /// [`Error::Opening`] when it is not that.
    pub fn from_base64(text: &str) -> Result<Self> {
        let bytes = BASE64_STANDARD
            .decode(text.trim())
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| {
            Error::Opening(
                "the master key is not base64 of 32 bytes; make one with: head -c 32 /dev/urandom | base64".into(),
            )
        })
    }

    /// Reads the key of a file, or makes both; the file is for its owner alone.
    ///
    /// # Errors
    /// [`Error::Opening`] when the file cannot be read or made.
    pub fn load_or_create(path: &Path) -> Result<Self> {
        let refuse =
            |error: std::io::Error| Error::Opening(format!("cannot use the master key {}: {error}", path.display()));
        match std::fs::read_to_string(path) {
            Ok(text) => {
                Self::from_base64(&text).map_err(|error| Error::Opening(format!("{}: {error}", path.display())))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = Self(rand::random());
                let mut options = std::fs::OpenOptions::new();
                options.write(true).create_new(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let mut file = options.open(path).map_err(refuse)?;
                writeln!(file, "{}", BASE64_STANDARD.encode(key.0))
                    .and_then(|()| file.sync_all())
                    .map_err(refuse)?;
                Ok(key)
            }
            Err(error) => Err(refuse(error)),
        }
    }
}

/// Seals and opens secrets.
#[derive(Clone)]
pub struct Vault {
    data_key_id: i64,
    data_key: [u8; 32],
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

impl Vault {
    /// Unwraps the data key of the database, or makes the first.
    ///
    /// # Errors
    /// [`Error::Opening`] when the master key is not the one that the database was made with.
    pub async fn open(store: &Store, master: &MasterKey) -> Result<Self> {
        let mut tx = store.write().await?;
        if tx.dialect() == Dialect::Postgres {
            // Two servers that open a new database at once must not make a key each.
            let lock = sqlx::query("LOCK TABLE data_key IN SHARE ROW EXCLUSIVE MODE");
            lock.execute(&mut *tx).await?;
        }
        let found: Option<(i64, Vec<u8>)> = sqlx::query_as("SELECT id, wrapped FROM data_key ORDER BY id DESC LIMIT 1")
            .fetch_optional(&mut *tx)
            .await?;
        if let Some((data_key_id, wrapped)) = found {
            let opened = open(&master.0, b"data key", &wrapped).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            let data_key = opened.ok_or_else(|| {
                Error::Opening(
                    "the master key is not the one that this database was made with; nothing was changed".into(),
                )
            })?;
            return Ok(Self { data_key_id, data_key });
        }
        let data_key: [u8; 32] = rand::random();
        let data_key_id = sqlx::query_scalar("INSERT INTO data_key (wrapped, created) VALUES ($1, $2) RETURNING id")
            .bind(seal(&master.0, b"data key", &data_key)?)
            .bind(now())
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Self { data_key_id, data_key })
    }

    /// The id of the data key that seals.
    #[must_use]
    pub fn data_key_id(&self) -> i64 {
        self.data_key_id
    }

    /// Seals a secret for its place.
    ///
    /// # Errors
    /// Never for secrets of a sensible size.
    pub fn seal(&self, place: &str, secret: &[u8]) -> Result<Vec<u8>> {
        seal(&self.data_key, place.as_bytes(), secret)
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// [`Error::Broken`] when it was not.
    pub fn open_sealed(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        open(&self.data_key, place.as_bytes(), sealed)
            .ok_or_else(|| Error::Broken(format!("the secret of {place} cannot be opened")))
    }
}

fn seal(key: &[u8; 32], place: &[u8], secret: &[u8]) -> Result<Vec<u8>> {
    let nonce: [u8; NONCE_BYTES] = rand::random();
    let sealed = XChaCha20Poly1305::new(&(*key).into())
        .encrypt(
            &XNonce::from(nonce),
            Payload {
                msg: secret,
                aad: place,
            },
        )
        .map_err(|_| Error::Broken("a secret cannot be sealed".into()))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

fn open(key: &[u8; 32], place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    XChaCha20Poly1305::new(&(*key).into())
        .decrypt(
            &XNonce::from(*nonce),
            Payload {
                msg: sealed,
                aad: place,
            },
        )
        .ok()
}
