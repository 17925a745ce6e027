//! The demo's small files: secrets, the port of the store, the events sent.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::fatal::Fatal;

/// Reads a random secret, or creates it in a file that only its owner can read.
pub(super) fn read_or_create_secret(path: &Path) -> Result<String, Fatal> {
    if let Some(secret) = read_if_present(path)? {
        return Ok(secret);
    }
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let letter = || char::from(LETTERS[rand::random_range(0..LETTERS.len())]);
    let secret: String = std::iter::repeat_with(letter).take(24).collect();
    write_atomically(path, &secret)?;
    Ok(secret)
}

pub(super) fn read_if_present(path: &Path) -> Result<Option<String>, Fatal> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fatal::new(format!("cannot read {}: {error}", path.display()))),
    }
}

/// Replaces a file, so that it is never incomplete. Only its owner can read it.
pub(super) fn write_atomically(path: &Path, text: &str) -> Result<(), Fatal> {
    let failed = |error: std::io::Error| Fatal::new(format!("cannot write {}: {error}", path.display()));
    let temporary = path.with_added_extension("new");
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}
