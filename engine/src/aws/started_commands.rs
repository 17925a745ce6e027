//! The commands that a lookup of credentials has started, by `credential_process` of a profile. The
//! SDK leaves them running when the lookup is abandoned, and each retry would start another one.

use std::collections::{HashMap, HashSet};
use std::process::{Command, Stdio};

/// Kills, when dropped, the child processes that this process has started since, with their
/// descendants. Without `/proc` it kills no process.
#[derive(Debug)]
pub(super) struct StartedCommands {
    /// The child processes of before; `None` if the lookup has ended.
    before: Option<HashSet<u32>>,
}

impl StartedCommands {
    /// Call it while no other task of this process starts commands.
    pub(super) fn watch() -> Self {
        let children = Processes::read().children(std::process::id());
        Self {
            before: Some(children.into_iter().collect()),
        }
    }

    /// Called when the lookup has ended, and its command with it.
    pub(super) fn ended(mut self) {
        self.before = None;
    }
}

impl Drop for StartedCommands {
    fn drop(&mut self) {
        let Some(before) = self.before.take() else { return };
        let processes = Processes::read();
        let children = processes.children(std::process::id());
        let mut doomed: Vec<u32> = children.into_iter().filter(|child| !before.contains(child)).collect();
        let mut next = 0;
        while let Some(process) = doomed.get(next).copied() {
            doomed.extend(processes.children(process));
            next += 1;
        }
        if doomed.is_empty() {
            return;
        }
        tracing::warn!(
            processes = doomed.len(),
            "killing the command of a credential_process, which did not end in time"
        );
        // The shell of the command has this one as well.
        let killed = Command::new("sh")
            .args(["-c", "kill -KILL \"$@\"", "kill"])
            .args(doomed.iter().map(u32::to_string))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if let Err(error) = killed {
            tracing::error!(%error, "the command of a credential_process could not be killed");
        }
    }
}

/// The processes of this host, by their parent.
struct Processes(HashMap<u32, Vec<u32>>);

impl Processes {
    fn read() -> Self {
        let mut by_parent = HashMap::<u32, Vec<u32>>::new();
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        for id in ids {
            if let Some(parent) = parent(id) {
                by_parent.entry(parent).or_default().push(id);
            }
        }
        Self(by_parent)
    }

    fn children(&self, process: u32) -> Vec<u32> {
        self.0.get(&process).cloned().unwrap_or_default()
    }
}

/// Returns the parent of a process; `None` if it has ended.
fn parent(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may contain anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}
