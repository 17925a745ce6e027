//! Encryption of stored secrets.
//!
//! A secret is encrypted under a data key. Data keys are stored in the database, wrapped by the
//! master key, which is stored outside it. Both can be replaced while servers run (see
//! [`key_rotation`](crate::key_rotation)).

mod aead;
mod data_keys;
mod master_key;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use sqlx::any::AnyExecutor;

pub use self::master_key::MasterKey;

use self::aead::Key;
use crate::database::{Database, WriteTx};
use crate::error::{Error, Result};

/// Encrypts and decrypts secrets. Reads data keys that another process created when they are first
/// needed. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    master: MasterKey,
    data_keys: Arc<RwLock<HashMap<i64, Key>>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

/// An encrypted secret, as stored in a row.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    /// The data key that decrypts it.
    pub(crate) data_key_id: i64,
    /// Nonce, ciphertext and tag.
    pub(crate) bytes: Vec<u8>,
}

impl Vault {
    /// Unwraps the newest data key of the database, or creates the first one.
    ///
    /// # Errors
    /// [`Error::Opening`] if the master key does not unwrap it.
    pub async fn open(database: &Database, master: &MasterKey) -> Result<Self> {
        let vault = Self {
            master: master.clone(),
            data_keys: Arc::default(),
        };
        database.within(vault.unlock_newest(database)).await?;
        Ok(vault)
    }

    async fn unlock_newest(&self, database: &Database) -> Result<()> {
        let mut tx = database.write().await?;
        data_keys::lock(&mut tx).await?;
        match data_keys::newest(&mut tx).await? {
            Some(id) => self
                .data_key(&mut *tx, id)
                .await
                .map(drop)
                .map_err(|error| match error {
                    Error::Broken(_) => Error::Opening(
                        "the master key does not belong to this database; start the server with the one that does"
                            .into(),
                    ),
                    other => other,
                }),
            None => {
                self.create_data_key(&mut tx).await?;
                tx.commit().await
            }
        }
    }

    /// Encrypts a secret under the newest data key, bound to the place where `tx` stores it.
    ///
    /// # Errors
    /// When the database fails, or another master key wrapped its newest data key.
    pub(crate) async fn seal(&self, tx: &mut WriteTx, place: &str, secret: &[u8]) -> Result<Sealed> {
        let data_key_id = data_keys::newest(tx)
            .await?
            .ok_or_else(|| Error::Broken("the database has no data key".into()))?;
        let key = self.data_key_in(tx, data_key_id).await?;
        let bytes = aead::seal(&key, place.as_bytes(), secret)?;
        Ok(Sealed { data_key_id, bytes })
    }

    /// Decrypts a secret.
    ///
    /// # Errors
    /// [`Error::Broken`] if it was encrypted for another place or its data key is unknown.
    pub(crate) async fn open_sealed(
        &self,
        executor: impl AnyExecutor<'_>,
        place: &str,
        sealed: &Sealed,
    ) -> Result<Vec<u8>> {
        let key = self.data_key(executor, sealed.data_key_id).await?;
        aead::open(&key, place.as_bytes(), &sealed.bytes)
            .ok_or_else(|| Error::Broken(format!("the secret of {place} cannot be decrypted")))
    }

    /// Encrypts a stored secret again, under the newest data key.
    ///
    /// # Errors
    /// As [`Self::open_sealed`] and [`Self::seal`].
    pub(crate) async fn seal_again(&self, tx: &mut WriteTx, place: &str, sealed: &Sealed) -> Result<Sealed> {
        let secret = self.open_sealed(&mut **tx, place, sealed).await?;
        self.seal(tx, place, &secret).await
    }

    /// The id of the master key in use.
    pub(crate) fn master_key_id(&self) -> Vec<u8> {
        self.master.id()
    }

    /// Locks the data keys against other rotations until `tx` ends.
    pub(crate) async fn lock(&self, tx: &mut WriteTx) -> Result<()> {
        data_keys::lock(tx).await
    }

    /// Creates a data key, under which secrets are encrypted from now on.
    pub(crate) async fn create_data_key(&self, tx: &mut WriteTx) -> Result<()> {
        data_keys::insert(tx, &rand::random(), &self.master).await?;
        Ok(())
    }

    /// Wraps every data key by `new` as well, which is to replace the master key in use.
    pub(crate) async fn add_master_key(&self, tx: &mut WriteTx, new: &MasterKey) -> Result<()> {
        for id in data_keys::all(tx).await? {
            let key = self.data_key_in(tx, id).await?;
            data_keys::wrap(tx, id, &key, new, true).await?;
        }
        Ok(())
    }

    /// Returns a committed data key, from memory if it was read before: data keys never change.
    async fn data_key(&self, executor: impl AnyExecutor<'_>, id: i64) -> Result<Key> {
        if let Some(key) = self.known_data_key(id) {
            return Ok(key);
        }
        let key = self.read_data_key(executor, id).await?;
        let mut keys = self.data_keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(id, key);
        Ok(key)
    }

    /// Returns a data key that `tx` may have created. It is not kept: if `tx` rolls back, its id is
    /// given to another key.
    async fn data_key_in(&self, tx: &mut WriteTx, id: i64) -> Result<Key> {
        match self.known_data_key(id) {
            Some(key) => Ok(key),
            None => self.read_data_key(&mut **tx, id).await,
        }
    }

    fn known_data_key(&self, id: i64) -> Option<Key> {
        let keys = self.data_keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(&id).copied()
    }

    async fn read_data_key(&self, executor: impl AnyExecutor<'_>, id: i64) -> Result<Key> {
        data_keys::read(executor, id, &self.master).await?.ok_or_else(|| {
            Error::Broken(format!(
                "data key {id} is not wrapped by this server's master key; restart it with the current master key"
            ))
        })
    }
}
