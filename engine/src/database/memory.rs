//! How much memory SQLite's page caches may use.

use crate::host_memory::available_bytes;

/// The sizes of page caches, KiB.
pub(super) struct Caches {
    /// Of the connection that writes: a commit touches random pages of the index of event ids.
    pub(super) writer: u64,
    /// Of each connection that reads.
    pub(super) reader: u64,
}

/// Returns a part of the memory for the writer, and a small one for each reader, within bounds: the
/// operating system caches the same pages, and streaming reads each of them once.
pub(super) fn caches() -> Caches {
    let kib = available_bytes().unwrap_or_default() >> 10;
    Caches {
        writer: (kib / 64).clamp(16 << 10, 64 << 10),
        reader: (kib / 1024).clamp(2 << 10, 4 << 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caches_are_within_bounds() {
        let caches = caches();
        assert!(caches.writer >= 16 << 10 && caches.reader <= 4 << 10);
    }
}
