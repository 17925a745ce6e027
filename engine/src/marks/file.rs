//! The file of a server's marks.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use auditstream_model::Sequence;
use serde::{Deserialize, Serialize};

use super::BLOCK;

const FORMAT: u32 = 1;

/// The marks of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountMark {
    /// No number beyond this was given out.
    pub(crate) reserved: Sequence,
    /// Every number up to this was given out, by a database of the same generation.
    pub(crate) seen: Sequence,
    /// Whether a restore lost the account, so that another one with its name starts after its
    /// numbers.
    #[serde(default)]
    pub(crate) lost: bool,
}

/// The PostgreSQL server on which a database was found. Everything is empty on SQLite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Server {
    /// The system identifier and the database's oid; `None` where they may not be read.
    pub(crate) identity: Option<String>,
    /// The timeline, which each failover and each recovery to a point in time changes; `None` where
    /// it may not be read.
    pub(crate) timeline: Option<String>,
    /// Whether commits waited for a standby.
    #[serde(default)]
    pub(crate) synchronous: bool,
}

/// Everything that a server knows of the numbers given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marks {
    format: u32,
    pub(crate) installation: String,
    /// Increased by each declared restore.
    pub(crate) generation: i64,
    #[serde(default)]
    pub(crate) server: Server,
    /// By the name of the account.
    pub(crate) accounts: BTreeMap<String, AccountMark>,
    /// The last batch number of each destination, by `uid`.
    #[serde(default)]
    pub(crate) batches: BTreeMap<String, i64>,
}

impl Marks {
    pub(crate) fn new(installation: &str, generation: i64) -> Self {
        Self {
            format: FORMAT,
            installation: installation.to_owned(),
            generation,
            server: Server::default(),
            accounts: BTreeMap::new(),
            batches: BTreeMap::new(),
        }
    }

    pub(crate) fn of(&self, account: &str) -> AccountMark {
        self.accounts.get(account).copied().unwrap_or_default()
    }

    /// Raises the reserved mark so that it covers `up_to`, and a block from `from`.
    pub(crate) fn reserve(&mut self, account: &str, from: Sequence, up_to: Sequence) {
        let mark = self.accounts.entry(account.to_owned()).or_default();
        mark.reserved = mark.reserved.max(up_to).max(from.saturating_add(BLOCK));
    }

    pub(crate) fn reserve_exactly(&mut self, account: &str, reserved: Sequence) {
        let mark = self.accounts.entry(account.to_owned()).or_default();
        mark.reserved = mark.reserved.max(reserved);
    }

    pub(crate) fn see(&mut self, account: &str, last: Sequence) {
        let mark = self.accounts.entry(account.to_owned()).or_default();
        mark.seen = mark.seen.max(last);
        mark.reserved = mark.reserved.max(last);
        mark.lost &= mark.seen == 0;
    }

    /// Enters a generation, in which only these accounts exist.
    pub(crate) fn enter(&mut self, generation: i64, exists: impl Fn(&str) -> bool) {
        if self.generation == generation {
            return;
        }
        self.generation = generation;
        for (name, mark) in &mut self.accounts {
            mark.lost = !exists(name);
            mark.seen = 0;
        }
    }

    /// Takes over the higher marks of another process of the same installation.
    pub(crate) fn raise(&mut self, other: &Self) {
        if other.generation > self.generation {
            let older = std::mem::replace(self, other.clone());
            for (account, mark) in &older.accounts {
                self.reserve_exactly(account, mark.reserved);
            }
            return;
        }
        for (account, mark) in &other.accounts {
            self.reserve_exactly(account, mark.reserved);
            if other.generation == self.generation {
                self.see(account, mark.seen);
            }
        }
    }
}

/// The result of reading the file.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Missing,
    /// Damaged, or written by a newer version; with the reason.
    Unreadable(String),
    Marks(Marks),
}

/// The place of the file.
#[derive(Clone, Debug)]
pub(crate) struct MarksFile(PathBuf);

impl MarksFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn read(&self) -> Found {
        let text = match fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Missing,
            Err(error) => return Found::Unreadable(error.to_string()),
        };
        match serde_json::from_slice::<Marks>(&text) {
            Ok(marks) if marks.format == FORMAT => Found::Marks(marks),
            Ok(marks) => Found::Unreadable(format!("it has the format {}, which is newer", marks.format)),
            Err(error) => Found::Unreadable(error.to_string()),
        }
    }

    /// Raises the file's marks to these and returns both together. A command that runs next to the
    /// server has the same file. The file of another installation, and an unreadable one, are kept
    /// under another name.
    pub(crate) fn update(&self, marks: &Marks) -> io::Result<Marks> {
        let folder = File::open(folder_of(&self.0))?;
        folder.lock()?;
        let mut merged = marks.clone();
        match self.read() {
            Found::Missing => {}
            Found::Marks(known) if known.installation == marks.installation => merged.raise(&known),
            Found::Marks(other) => fs::rename(&self.0, self.0.with_extension(format!("marks.{}", other.installation)))?,
            Found::Unreadable(_) => fs::rename(&self.0, self.0.with_extension("marks.unreadable"))?,
        }
        let json = serde_json::to_vec_pretty(&merged)?;
        write_private(&self.0, &json)?;
        Ok(merged)
    }
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Replaces a file, so that after a crash it has either its old or its new content. Only its owner
/// can read it.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    sync_folder(path)
}

/// Makes the name of a file durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_raise_the_marks_of_one_file() {
        let folder = std::env::temp_dir().join(format!("marks-{:016x}", rand::random::<u64>()));
        fs::create_dir(&folder).unwrap();
        let file = MarksFile::new(folder.join("auditstream.marks"));
        assert!(matches!(file.read(), Found::Missing));
        let mut server = Marks::new("a", 1);
        server.reserve("default", 0, 5);
        server.see("default", 5);
        file.update(&server).unwrap();
        let mut command = Marks::new("a", 1);
        command.reserve("other", 10, 11);
        let both = file.update(&command).unwrap();
        assert_eq!(
            both.of("default"),
            AccountMark {
                reserved: BLOCK,
                seen: 5,
                lost: false
            }
        );
        assert_eq!(both.of("other").reserved, 10 + BLOCK);
        file.update(&Marks::new("b", 1)).unwrap();
        assert!(
            folder.join("auditstream.marks.a").exists(),
            "another installation's marks are kept"
        );
        fs::write(file.path(), "{").unwrap();
        assert!(matches!(file.read(), Found::Unreadable(_)));
        file.update(&server).unwrap();
        assert!(folder.join("auditstream.marks.unreadable").exists());
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(file.path()).unwrap());
            assert_eq!(mode & 0o777, 0o600);
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
