//! Where a copy of a bucket is read from.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A copy of a bucket, or a part of it. Keys are relative to its root.
pub trait Source: Send + Sync {
    /// Its name for people.
    fn name(&self) -> String;

    /// Calls `each` with the key of every file, in any order.
    ///
    /// # Errors
    /// If it cannot be listed.
    fn list(&self, each: &mut dyn FnMut(&str)) -> io::Result<()>;

    /// Opens a file; `None` if it does not exist.
    ///
    /// # Errors
    /// If it cannot be read.
    fn open(&self, key: &str) -> io::Result<Option<Box<dyn Read + '_>>>;

    /// The number of files that are worth reading at the same time.
    fn readers(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// Calls `each` with the key of every version and whether it is a deletion. Returns `false` if
    /// the source has no versions.
    ///
    /// # Errors
    /// If they cannot be listed.
    fn versions(&self, each: &mut dyn FnMut(&str, bool)) -> io::Result<bool> {
        let _ = each;
        Ok(false)
    }
}

/// Returns the bytes of a file of at most `limit` bytes; `None` if it does not exist.
pub(super) fn read(source: &dyn Source, key: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = source.open(key)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it has more than {limit} bytes"),
        ));
    }
    Ok(Some(bytes))
}

/// A folder, such as `aws s3 sync` fills.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A copy in this folder.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn walk(&self, folder: &Path, key: &str, each: &mut dyn FnMut(&str)) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let key = format!("{key}{}", name.to_string_lossy());
            if fs::metadata(entry.path())?.is_dir() {
                self.walk(&entry.path(), &format!("{key}/"), each)?;
            } else {
                each(&key);
            }
        }
        Ok(())
    }
}

impl Source for Folder {
    fn name(&self) -> String {
        self.0.display().to_string()
    }

    fn list(&self, each: &mut dyn FnMut(&str)) -> io::Result<()> {
        self.walk(&self.0, "", each)
    }

    fn open(&self, key: &str) -> io::Result<Option<Box<dyn Read + '_>>> {
        // A statement could name a file elsewhere.
        let is_inside = |part: &str| !matches!(part, "" | "." | "..");
        if !key.split('/').all(is_inside) {
            return Ok(None);
        }
        match File::open(self.0.join(key)) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
