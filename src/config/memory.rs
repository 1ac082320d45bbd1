//! How much memory this process may use, for `cache.memory = "auto"`.
//!
//! A container's limit is read from its control group, version 2 or 1; without one, the machine's memory counts. What
//! is read is a plain value, so the rule that turns it into a budget needs no file.

use std::fs;
use std::path::{Path, PathBuf};

/// The most that `auto` takes of a machine without a limit: such a machine has other tenants.
const UNLIMITED_MOST: u64 = 1 << 30;

/// What `auto` takes where nothing could be read.
const UNKNOWN: u64 = 64 << 20;

/// What the system says about memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The tightest limit of the control groups that this process is in.
    pub limit: Option<u64>,
    /// The machine's memory.
    pub total: Option<u64>,
}

impl Memory {
    /// Reads `/proc` and `/sys/fs/cgroup` below `root`; what cannot be read is `None`.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let total = fs::read_to_string(root.join("proc/meminfo")).ok().as_deref().and_then(total_of);
        let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let limit = groups.lines().filter_map(|line| tightest(root, line)).min();
        // Version 1 says "no limit" with a number larger than any machine.
        Self { limit: limit.filter(|limit| total.is_none_or(|total| *limit < total)), total }
    }

    /// What stored responses may weigh: half of the limit; else a quarter of the machine, at most 1 GiB.
    #[must_use]
    pub fn budget(self) -> u64 {
        match (self.limit, self.total) {
            (Some(limit), _) => limit / 2,
            (None, Some(total)) => (total / 4).min(UNLIMITED_MOST),
            (None, None) => UNKNOWN,
        }
    }
}

/// `MemTotal:  16303428 kB`.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The tightest limit on the way from the group that a line of `/proc/self/cgroup` names up to the root.
///
/// In a container with a namespace of its own the line says `/` and the limit is in the root directory; elsewhere
/// any group above may be the one with the limit.
fn tightest(root: &Path, line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    let (mount, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        _ => return None,
    };
    let mount = root.join(mount);
    // A group outside of this namespace is shown with `..`; nothing below the mount can be meant by it.
    let path: PathBuf =
        Path::new(path).components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect();
    path.ancestors().filter_map(|group| read_limit(&mount.join(group).join(file))).min()
}

/// The number in a limit file; `max` and absent files are no limit.
fn read_limit(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
