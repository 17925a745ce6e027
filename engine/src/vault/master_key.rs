//! The master key: 32 bytes outside the database that unwrap the data keys in it.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest, Sha256};

use super::aead::{self, Key};
use crate::error::{Error, Result};

/// The place to which a wrapped data key is bound.
const DATA_KEY: &[u8] = b"data key";

/// A master key. Its `Debug` output hides the bytes.
#[derive(Clone)]
pub struct MasterKey(Key);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// Parses base64 of 32 bytes.
    ///
    /// # Errors
    /// [`Error::Opening`] if the text is anything else.
    pub fn from_base64(text: &str) -> Result<Self> {
        let bytes = BASE64_STANDARD.decode(text.trim()).ok();
        let key = bytes.and_then(|bytes| Key::try_from(bytes).ok());
        key.map(Self).ok_or_else(|| {
            Error::Opening(
                "the master key is not base64 of 32 bytes; create one with: head -c 32 /dev/urandom | base64".into(),
            )
        })
    }

    /// Reads the key from a file. Creates a file with a random key, readable only by its owner, if
    /// there is none.
    ///
    /// # Errors
    /// [`Error::Opening`] if the file cannot be read or created, or contains no key.
    pub fn load_or_create(path: &Path) -> Result<Self> {
        let refuse = |error: io::Error| {
            Error::Opening(format!(
                "the master key file {} cannot be read or created: {error}",
                path.display()
            ))
        };
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Self(rand::random()).write_new(path).map_err(refuse)?;
                std::fs::read_to_string(path).map_err(refuse)?
            }
            other => other.map_err(refuse)?,
        };
        Self::from_base64(&text).map_err(|error| Error::Opening(format!("{}: {error}", path.display())))
    }

    /// Writes the key to a new file, or does nothing if the file exists. The file appears under its
    /// name only when it is complete, so that two processes that start at once read the same key.
    fn write_new(&self, path: &Path) -> io::Result<()> {
        let draft = path.with_extension(format!("{:016x}.new", rand::random::<u64>()));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&draft)?;
        let written = writeln!(file, "{}", BASE64_STANDARD.encode(self.0))
            .and_then(|()| file.sync_all())
            .and_then(|()| match std::fs::hard_link(&draft, path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
                other => other,
            });
        std::fs::remove_file(&draft)?;
        written
    }

    /// Identifies the key in the database without revealing it: 8 bytes of a hash.
    pub(crate) fn id(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(b"auditstream master key");
        hash.update(self.0);
        hash.finalize().iter().take(8).copied().collect()
    }

    /// Encrypts a data key.
    pub(super) fn wrap(&self, data_key: &Key) -> Result<Vec<u8>> {
        aead::seal(&self.0, DATA_KEY, data_key)
    }

    /// Decrypts a data key. `None` if another master key wrapped it.
    pub(super) fn unwrap(&self, wrapped: &[u8]) -> Option<Key> {
        aead::open(&self.0, DATA_KEY, wrapped)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn processes_that_start_at_once_create_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let keys: HashSet<Key> = std::thread::scope(|scope| {
            let create = || MasterKey::load_or_create(&path).unwrap().0;
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(create)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(keys.len(), 1);
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(files.len(), 1, "the drafts are removed: {files:?}");
    }
}
