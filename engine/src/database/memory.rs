//! How much memory SQLite's page caches may use.

use std::fs::read_to_string;

/// The sizes of page caches, KiB.
pub(super) struct Caches {
    /// Of the connection that writes: a commit touches random pages of the index of event ids.
    pub(super) writer: u64,
    /// Of each connection that reads.
    pub(super) reader: u64,
}

/// Returns a sixteenth of the memory for the writer, and a small part for each reader, within
/// bounds: the operating system caches the same pages, and streaming reads each of them once.
pub(super) fn caches() -> Caches {
    let kib = available_bytes().unwrap_or_default() >> 10;
    Caches {
        writer: (kib / 16).clamp(16 << 10, 256 << 10),
        reader: (kib / 256).clamp(8 << 10, 16 << 10),
    }
}

/// The memory of this machine or of its container; `None` where neither can be read.
pub(crate) fn available_bytes() -> Option<u64> {
    let machine = read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let files = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let limits = files
        .iter()
        .filter_map(|file| read_to_string(file).ok()?.trim().parse().ok());
    limits.chain(machine).min()
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_machine_is_read() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       16384 kB\n"), Some(16 << 20));
        assert_eq!(total("something else"), None);
        let caches = caches();
        assert!(caches.writer >= 16 << 10 && caches.reader <= 16 << 10);
    }
}
