//! The names of the files of a log, and of the objects next to it.

use std::collections::BTreeMap;

use auditstream_model::Sequence;

/// The hashes, or entries, of a full tile.
pub(super) const TILE_WIDTH: u64 = 256;

/// A tile, or a bundle of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TileFile {
    /// `None` for entries.
    pub(super) level: Option<u8>,
    pub(super) index: u64,
    /// 1 to 256.
    pub(super) width: u16,
}

impl TileFile {
    /// The key relative to the folder of the log.
    pub(super) fn path(self) -> String {
        let level = self
            .level
            .map_or_else(|| "entries".to_owned(), |level| level.to_string());
        let mut number = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1000);
            rest /= 1000;
        }
        if u64::from(self.width) < TILE_WIDTH {
            return format!("tile/{level}/{number}.p/{}", self.width);
        }
        format!("tile/{level}/{number}")
    }

    /// `None` if no tile has this path.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok()?),
            None => (rest, 256),
        };
        let mut index: u64 = 0;
        for group in number.split('/') {
            index = index
                .checked_mul(1000)?
                .checked_add(group.trim_start_matches('x').parse().ok()?)?;
        }
        let level = match level {
            "entries" => None,
            level => Some(level.parse().ok()?),
        };
        let tile = Self { level, index, width };
        (tile.path() == path && (1..=256).contains(&width)).then_some(tile)
    }

    /// The size of the smallest tree that has the whole tile; `None` if no tree can have it.
    pub(super) fn tree_size(self) -> Option<u64> {
        let hashes = self.index.checked_mul(TILE_WIDTH)?.checked_add(self.width.into())?;
        let shift = 8 * u32::from(self.level.unwrap_or(0));
        hashes.checked_mul(1_u64.checked_shl(shift)?)
    }
}

/// The tiles that a log publishes for a tree of this size, beyond the full ones.
pub(super) fn partial_tiles(size: u64) -> Vec<TileFile> {
    let mut tiles = Vec::new();
    let (mut level, mut count) = (0, size);
    while count > 0 {
        let width = u16::try_from(count % TILE_WIDTH).unwrap_or(0);
        let index = count / TILE_WIDTH;
        if width > 0 {
            if level == 0 {
                tiles.push(TileFile {
                    level: None,
                    index,
                    width,
                });
            }
            tiles.push(TileFile {
                level: Some(level),
                index,
                width,
            });
        }
        count = index;
        level += 1;
    }
    tiles
}

/// The full tiles of a tree of this size.
pub(super) fn full_tiles(size: u64) -> impl Iterator<Item = TileFile> {
    let levels = (0..8_u8).map(move |level| (level, size >> (8 * u32::from(level)) >> 8));
    levels.flat_map(|(level, tiles)| {
        let width = 256;
        (0..tiles).flat_map(move |index| {
            let entries = (level == 0).then_some(TileFile {
                level: None,
                index,
                width,
            });
            entries.into_iter().chain([TileFile {
                level: Some(level),
                index,
                width,
            }])
        })
    })
}

/// The files of one log in one source.
#[derive(Debug, Default)]
pub(super) struct LogFiles {
    /// The key of its folder, with the final slash.
    pub(super) folder: String,
    /// The part of the copy's keys before `evidence/`.
    pub(super) base: String,
    pub(super) account: String,
    pub(super) destination: String,
    /// The 16 characters of the destination's logs.
    pub(super) log: String,
    pub(super) number: u32,
    pub(super) has_checkpoint: bool,
    /// Sizes and keys of the copies of checkpoints.
    pub(super) copies: Vec<(u64, String)>,
    /// Sorted.
    pub(super) tiles: Vec<TileFile>,
    /// The numbers of the files with public keys.
    pub(super) keys: Vec<u32>,
    /// Keys of files that do not belong to a log.
    pub(super) others: Vec<String>,
}

impl LogFiles {
    pub(super) fn has(&self, tile: TileFile) -> bool {
        self.tiles.binary_search(&tile).is_ok()
    }

    fn add(&mut self, path: &str) {
        if path == "checkpoint" {
            self.has_checkpoint = true;
        } else if path == "VERIFY.md" || path.starts_with("timestamps/") || path.starts_with("cosignatures/") {
        } else if let Some(tile) = TileFile::parse(path) {
            self.tiles.push(tile);
        } else if let Some(size) = copy_size(path) {
            self.copies.push((size, format!("{}{path}", self.folder)));
        } else if let Some(number) = key_number(path) {
            self.keys.push(number);
        } else {
            self.others.push(format!("{}{path}", self.folder));
        }
    }
}

fn copy_size(path: &str) -> Option<u64> {
    let mut parts = path.strip_prefix("checkpoints/dt=")?.split('/');
    let (_day, hour, size) = (parts.next()?, parts.next()?, parts.next()?);
    (hour.starts_with("hour=") && size.len() >= 12 && parts.next().is_none()).then_some(())?;
    size.parse().ok()
}

fn key_number(path: &str) -> Option<u32> {
    path.strip_prefix("keys/")?.strip_suffix(".vkey")?.parse().ok()
}

/// The logs of a source, by their folders.
#[derive(Debug, Default)]
pub(super) struct Catalog(pub(super) BTreeMap<String, LogFiles>);

impl Catalog {
    /// Notes a file, if it is one of a log.
    pub(super) fn add(&mut self, key: &str) {
        let Some((log, path)) = LogFolder::parse(key) else {
            return;
        };
        let folder = &key[..key.len() - path.len()];
        if !self.0.contains_key(folder) {
            self.0.insert(folder.to_owned(), log.files(folder));
        }
        if let Some(files) = self.0.get_mut(folder) {
            files.add(path);
        }
    }

    pub(super) fn sort(&mut self) {
        for log in self.0.values_mut() {
            log.copies.sort();
            log.tiles.sort();
            log.keys.sort_unstable();
        }
    }
}

/// The parts of the key of a file of a log.
#[derive(Debug)]
pub(super) struct LogFolder<'k> {
    base: &'k str,
    account: &'k str,
    destination: &'k str,
    log: &'k str,
    number: u32,
}

impl<'k> LogFolder<'k> {
    /// Returns the parts, and the path inside of the folder; `None` for other keys.
    pub(super) fn parse(key: &'k str) -> Option<(Self, &'k str)> {
        const MARK: &str = "evidence/account=";
        let start = key.rfind(MARK)?;
        let (base, rest) = (&key[..start], &key[start + MARK.len()..]);
        if !(base.is_empty() || base.ends_with('/')) {
            return None;
        }
        let (account, rest) = rest.split_once("/destination=")?;
        let (destination, rest) = rest.split_once('/')?;
        let (folder, path) = rest.split_once('/')?;
        let (log, number) = folder.split_once('.')?;
        let log = Self {
            base,
            account,
            destination,
            log,
            number: number.parse().ok()?,
        };
        Some((log, path))
    }

    fn files(&self, folder: &str) -> LogFiles {
        LogFiles {
            folder: folder.to_owned(),
            base: self.base.to_owned(),
            account: self.account.to_owned(),
            destination: self.destination.to_owned(),
            log: self.log.to_owned(),
            number: self.number,
            ..LogFiles::default()
        }
    }
}

/// The parts of an object's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObjectName<'k> {
    /// The part before `account=`.
    pub(super) base: &'k str,
    pub(super) account: &'k str,
    pub(super) first: Sequence,
    pub(super) last: Sequence,
    pub(super) uid: &'k str,
}

impl<'k> ObjectName<'k> {
    /// `None` if the server does not give objects such keys.
    pub(super) fn parse(key: &'k str) -> Option<Self> {
        let (base, rest) = object_folder(key)?;
        let (account, rest) = rest.split_once("/dt=")?;
        let name = rest.split_once("/hour=")?.1.split_once('/')?.1;
        let (stem, _format) = name.split_once('.')?;
        let mut parts = stem.splitn(3, '_');
        let (_number, range, uid) = (parts.next()?, parts.next()?, parts.next()?);
        let (first, last) = range.split_once('-')?;
        Some(Self {
            base,
            account,
            first: first.parse().ok()?,
            last: last.parse().ok()?,
            uid,
        })
    }
}

/// Returns the parts of a key before and after `account=`; `None` if it has no such folder.
pub(super) fn object_folder(key: &str) -> Option<(&str, &str)> {
    const MARK: &str = "account=";
    let start = key.rfind(MARK)?;
    let base = &key[..start];
    (base.is_empty() || base.ends_with('/')).then(|| (base, &key[start + MARK.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_named_as_c2sp_names_them() {
        for (tile, path) in [
            ((Some(0), 5, 256), "tile/0/005"),
            ((None, 1_234_067, 256), "tile/entries/x001/x234/067"),
            ((Some(2), 1000, 7), "tile/2/x001/000.p/7"),
        ] {
            let (level, index, width) = tile;
            let tile = TileFile { level, index, width };
            assert_eq!(tile.path(), path);
            assert_eq!(TileFile::parse(path), Some(tile));
        }
        for other in [
            "tile/0/5",
            "tile/0/005.p/256",
            "tile/0/005.p/0",
            "tile/-1/005",
            "tile/0/x000/005",
        ] {
            assert_eq!(TileFile::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_tree_has_the_tiles_that_its_size_asks_for() {
        let paths = |tiles: Vec<TileFile>| tiles.into_iter().map(TileFile::path).collect::<Vec<_>>();
        assert_eq!(paths(partial_tiles(3)), ["tile/entries/000.p/3", "tile/0/000.p/3"]);
        assert_eq!(paths(partial_tiles(512)), ["tile/1/000.p/2"]);
        assert_eq!(
            paths(full_tiles(600).collect()),
            ["tile/entries/000", "tile/0/000", "tile/entries/001", "tile/0/001"]
        );
        assert_eq!(full_tiles(65_536).filter(|tile| tile.level == Some(1)).count(), 1);
    }

    #[test]
    fn keys_of_logs_and_objects_are_read_in_parts() {
        let key = "a/evidence/account=acme/destination=siem/ABCDEFGHIJKLMNOP.2/checkpoints/dt=2026-11-27/hour=01/000000000007";
        let mut catalog = Catalog::default();
        catalog.add(key);
        let log = catalog.0.values().next().unwrap();
        assert_eq!((log.base.as_str(), log.account.as_str(), log.number), ("a/", "acme", 2));
        assert_eq!(log.copies, [(7, key.to_owned())]);
        let key = "a/account=acme/dt=2023-07-10/hour=11/000000000007_1-9_ABC.ndjson.gz";
        let name = ObjectName::parse(key).unwrap();
        assert_eq!(
            (name.base, name.account, name.first, name.last, name.uid),
            ("a/", "acme", 1, 9, "ABC")
        );
    }
}
