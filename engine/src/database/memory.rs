//! How much memory SQLite's page caches may use.

use crate::host_memory::available_bytes;

/// The sizes of page caches, KiB.
pub(super) struct Caches {
    /// Of the connection that writes: a commit touches random pages of the index of event ids.
    pub(super) writer: u64,
    /// Of each connection that reads.
    pub(super) reader: u64,
}

/// Returns a sixteenth of the memory for the writer, within bounds, and little for each reader: the
/// operating system caches the same pages.
///
/// A larger cache would make commits slower. SQLite looks at each page of the writer's cache in
/// nearly every commit: when it has split a page, it renumbers the two by way of a page beyond the
/// end of the file, and removes such pages from the cache at the end of the transaction. It empties
/// a reader's cache, slot by slot, at the first statement after each commit.
pub(super) fn caches() -> Caches {
    let kib = available_bytes().unwrap_or_default() >> 10;
    Caches {
        writer: (kib / 16).clamp(16 << 10, 32 << 10),
        reader: 2 << 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caches_are_within_bounds() {
        let caches = caches();
        assert!(caches.writer >= 16 << 10 && caches.writer <= 32 << 10);
    }
}
