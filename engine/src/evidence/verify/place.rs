//! Where in a copy the objects of a log are. The copy may begin inside of the bucket, so that its
//! keys lack the beginning of those in the statements.

use super::super::tree::leaf_hash;
use super::log_files::object_folder;

/// Returns the key in the copy; `None` if the key is not under the prefix of the log, whose folder
/// is under `base` in the copy.
pub(super) fn key_in_copy<'k>(key: &'k str, base: &str) -> Option<&'k str> {
    let (prefix, _) = object_folder(key)?;
    let left_out = prefix.strip_suffix(base)?;
    (left_out.is_empty() || left_out.ends_with('/')).then(|| &key[left_out.len()..])
}

/// The beginning of the hash of a key: enough to tell keys apart.
pub(super) fn short_hash(key: &str) -> [u8; 16] {
    let hash = leaf_hash(key.as_bytes());
    std::array::from_fn(|place| hash[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_may_begin_anywhere_above_the_log() {
        let key = "a/b/account=x/dt=1";
        for (base, found) in [("a/b/", key), ("b/", "b/account=x/dt=1"), ("", "account=x/dt=1")] {
            assert_eq!(key_in_copy(key, base), Some(found));
        }
        assert_eq!(key_in_copy(key, "c/"), None);
        assert_eq!(key_in_copy("other", ""), None);
    }
}
