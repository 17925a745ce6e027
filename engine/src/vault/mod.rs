//! The master key, and secrets at rest.
//!
//! Secrets are sealed with XChaCha20-Poly1305 under a data key; data keys stand in the database, wrapped by the master
//! key, which stands outside of it. Both can be replaced while servers run (see [`rotate`]). A sealed text is a 24-byte
//! nonce and the ciphertext with its tag, bound to its place (the associated data), so that it opens nowhere else.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use sqlx::any::AnyExecutor;

use crate::database::{Database, Dialect, WriteTx, now};
use crate::error::{Error, Result};

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
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Self(rand::random()).write_new(path).map_err(refuse)?;
                std::fs::read_to_string(path).map_err(refuse)?
            }
            other => other.map_err(refuse)?,
        };
        Self::from_base64(&text).map_err(|error| Error::Opening(format!("{}: {error}", path.display())))
    }

    /// Writes the key to a file unless there is one, whole or not at all: of two processes that begin at once both read the
    /// same, and one that is killed leaves nothing half written.
    fn write_new(&self, path: &Path) -> std::io::Result<()> {
        let beside = path.with_extension(format!("{:016x}.new", rand::random::<u64>()));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        let written = writeln!(file, "{}", BASE64_STANDARD.encode(self.0))
            .and_then(|()| file.sync_all())
            .and_then(|()| match std::fs::hard_link(&beside, path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
                other => other,
            });
        std::fs::remove_file(&beside)?;
        written
    }

    /// Tells it apart from others, and nothing of it.
    pub(crate) fn id(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(b"auditstream master key");
        hash.update(self.0);
        hash.finalize().iter().take(8).copied().collect()
    }

    fn unwrap(&self, wrapped: &[u8]) -> Option<[u8; 32]> {
        open(&self.0, b"data key", wrapped)?.try_into().ok()
    }
}

/// Seals and opens secrets. Keys that another process has made since are found when they are needed.
#[derive(Clone)]
pub struct Vault {
    pub(crate) master: MasterKey,
    data_keys: Arc<RwLock<HashMap<i64, [u8; 32]>>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

/// A secret as it stands in a row.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    /// Under which data key.
    pub(crate) data_key_id: i64,
    /// Nonce, ciphertext and tag.
    pub(crate) bytes: Vec<u8>,
}

impl Vault {
    /// Unwraps the newest data key of the database, or makes the first.
    ///
    /// # Errors
    /// [`Error::Opening`] when the master key is not one that the database knows.
    pub async fn open(database: &Database, master: &MasterKey) -> Result<Self> {
        let vault = Self {
            master: master.clone(),
            data_keys: Arc::default(),
        };
        let mut tx = database.write().await?;
        lock(&mut tx).await?;
        match newest(&mut tx).await? {
            Some(id) => {
                vault.data_key(&mut *tx, id).await.map_err(|error| match error {
                    Error::Broken(_) => Error::Opening(
                        "the master key is not the one that this database was made with; nothing was changed".into(),
                    ),
                    other => other,
                })?;
            }
            None => {
                let key: [u8; 32] = rand::random();
                let id = insert(&mut tx, &key, &[&vault.master]).await?;
                tx.commit().await?;
                vault.remember(id, key);
            }
        }
        Ok(vault)
    }

    /// Seals a secret for its place under the newest data key, for a row that this transaction writes.
    ///
    /// # Errors
    /// When the database fails, or its newest key is of another master key.
    pub(crate) async fn seal(&self, tx: &mut WriteTx, place: &str, secret: &[u8]) -> Result<Sealed> {
        let data_key_id = newest(tx)
            .await?
            .ok_or_else(|| Error::Broken("the database has no data key".into()))?;
        let key = self.data_key(&mut **tx, data_key_id).await?;
        let bytes = seal(&key, place.as_bytes(), secret)?;
        Ok(Sealed { data_key_id, bytes })
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// [`Error::Broken`] when it was not.
    pub(crate) async fn open_sealed(
        &self,
        executor: impl AnyExecutor<'_>,
        place: &str,
        sealed: &Sealed,
    ) -> Result<Vec<u8>> {
        let key = self.data_key(executor, sealed.data_key_id).await?;
        open(&key, place.as_bytes(), &sealed.bytes)
            .ok_or_else(|| Error::Broken(format!("the secret of {place} cannot be opened")))
    }

    /// Seals what is sealed again, under the newest data key.
    ///
    /// # Errors
    /// As [`Self::open_sealed`] and [`Self::seal`].
    pub(crate) async fn seal_again(&self, tx: &mut WriteTx, place: &str, sealed: &Sealed) -> Result<Sealed> {
        let secret = self.open_sealed(&mut **tx, place, sealed).await?;
        self.seal(tx, place, &secret).await
    }

    /// Of the database unless it is known. Keys never change; they come and go.
    pub(crate) async fn data_key(&self, executor: impl AnyExecutor<'_>, id: i64) -> Result<[u8; 32]> {
        let known = self
            .data_keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .copied();
        if let Some(key) = known {
            return Ok(key);
        }
        let query = sqlx::query_scalar("SELECT wrapped FROM data_key_wrap WHERE data_key_id = $1 AND master_key = $2");
        let wrapped: Option<Vec<u8>> = query.bind(id).bind(self.master.id()).fetch_optional(executor).await?;
        let key = wrapped
            .and_then(|wrapped| self.master.unwrap(&wrapped))
            .ok_or_else(|| {
                Error::Broken(format!(
                    "data key {id} is not wrapped by this server's master key; start it with the one that is in use now"
                ))
            })?;
        self.remember(id, key);
        Ok(key)
    }

    fn remember(&self, id: i64, key: [u8; 32]) {
        let mut keys = self.data_keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(id, key);
    }
}

/// Two servers that open a new database at once must not make a key each.
pub(crate) async fn lock(tx: &mut WriteTx) -> Result<()> {
    if tx.dialect() == Dialect::Postgres {
        let lock = sqlx::query("LOCK TABLE data_key IN SHARE ROW EXCLUSIVE MODE");
        lock.execute(&mut **tx).await?;
    }
    Ok(())
}

async fn newest(tx: &mut WriteTx) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar("SELECT max(id) FROM data_key")
        .fetch_one(&mut **tx)
        .await?)
}

/// Makes a data key that each of these master keys opens: the present one, and one that is to replace it.
pub(crate) async fn insert(tx: &mut WriteTx, key: &[u8; 32], masters: &[&MasterKey]) -> Result<i64> {
    let id = sqlx::query_scalar("INSERT INTO data_key (created) VALUES ($1) RETURNING id")
        .bind(now())
        .fetch_one(&mut **tx)
        .await?;
    for (index, master) in masters.iter().enumerate() {
        wrap(tx, id, key, master, index > 0).await?;
    }
    Ok(id)
}

/// `pending`: it is to replace the other master key.
pub(crate) async fn wrap(tx: &mut WriteTx, id: i64, key: &[u8; 32], master: &MasterKey, pending: bool) -> Result<()> {
    let query = sqlx::query(
        "INSERT INTO data_key_wrap (data_key_id, master_key, wrapped, pending) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
    );
    query
        .bind(id)
        .bind(master.id())
        .bind(seal(&master.0, b"data key", key)?)
        .bind(i64::from(pending))
        .execute(&mut **tx)
        .await?;
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_key_that_many_make_at_once_is_one_and_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let keys: HashSet<[u8; 32]> = std::thread::scope(|scope| {
            let make = || MasterKey::load_or_create(&path).unwrap().0;
            let makers: Vec<_> = (0..16).map(|_| scope.spawn(make)).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert_eq!(keys.len(), 1);
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(files.len(), 1, "what was written beside it is gone: {files:?}");
    }
}
