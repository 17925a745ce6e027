//! The objects of a store, read from its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Store;

impl Store {
    /// Returns the keys and bytes of a bucket's objects.
    #[must_use]
    pub fn objects(&self, bucket: &str) -> BTreeMap<String, Vec<u8>> {
        let base = self.root.join(bucket);
        let mut found = BTreeMap::new();
        walk(&base, &mut |path| {
            let key = path.strip_prefix(&base).unwrap().to_string_lossy().into_owned();
            found.insert(key, std::fs::read(path).unwrap());
        });
        found
    }

    /// Returns the file of an object.
    #[must_use]
    pub fn path(&self, bucket: &str, key: &str) -> PathBuf {
        self.root.join(bucket).join(key)
    }

    /// Returns every event in a bucket, in the order of keys and lines.
    #[must_use]
    pub fn events(&self, bucket: &str) -> Vec<Value> {
        let objects = self.objects(bucket).into_iter();
        objects.flat_map(|(key, bytes)| lines(&key, &bytes)).collect()
    }

    /// Returns the sequence of every event in a bucket, in the order of keys and lines.
    #[must_use]
    pub fn sequences(&self, bucket: &str) -> Vec<i64> {
        self.events(bucket)
            .iter()
            .map(|event| event["auditEventMetadata"]["sequence"].as_i64().unwrap())
            .collect()
    }

    /// Removes the metadata that s3s-fs stores next to the objects.
    pub fn forget_metadata(&self) {
        for entry in std::fs::read_dir(&self.root).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

/// Returns the events of an object: gzip when its key ends with `.gz`, else plain lines.
#[must_use]
pub fn lines(key: &str, object: &[u8]) -> Vec<Value> {
    let text = if key.ends_with(".gz") {
        std::io::read_to_string(flate2::read::GzDecoder::new(object)).unwrap()
    } else {
        String::from_utf8(object.to_vec()).unwrap()
    };
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, visit);
        } else {
            visit(&path);
        }
    }
}
