//! How much memory the process takes, and how much it may.
//!
//! Counted is what the system cannot take back: the resident pages that no file stands behind. The limit is what the
//! operator says, else the least `memory.max` of the process' cgroup (version 2) and those above it, else the machine's
//! memory. Both are read anew at each look: limits may be changed while a process runs.

use std::{fs, path::Path};

/// Where the system shows processes.
const PROC: &str = "/proc";
/// Where cgroups are shown.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Memory in use, in bytes; zeros where the system does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) bytes: u64,
    pub(super) bytes_max: u64,
}

impl Usage {
    /// What is in use, as a share of what may be.
    pub(super) fn share(self) -> f64 {
        // Whole KiB: exact up to a share that needs more than 2^32 of them.
        let kib = |bytes: u64| f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX));
        if self.bytes_max == 0 {
            return 0.0;
        }
        kib(self.bytes) / kib(self.bytes_max).max(1.0)
    }
}

/// What this process takes, and how much it may unless `bytes_max` says so.
pub(super) fn usage(bytes_max: Option<u64>) -> Usage {
    let proc = Path::new(PROC);
    let bytes_max = bytes_max.or_else(|| limit(proc, Path::new(CGROUPS)));
    Usage {
        bytes: resident(proc).unwrap_or(0),
        bytes_max: bytes_max.unwrap_or(0),
    }
}

/// Resident memory without files behind it.
fn resident(proc: &Path) -> Option<u64> {
    let status = fs::read_to_string(proc.join("self/status")).ok()?;
    Some(kib_of(&status, "RssAnon:")? + kib_of(&status, "RssShmem:")?)
}

/// The least limit there is.
fn limit(proc: &Path, cgroups: &Path) -> Option<u64> {
    let machine = fs::read_to_string(proc.join("meminfo")).ok();
    let machine = machine.and_then(|text| kib_of(&text, "MemTotal:"));
    let cgroup = fs::read_to_string(proc.join("self/cgroup")).ok();
    let cgroup = cgroup.and_then(|text| limit_of(cgroups, own_cgroup(&text)?));
    cgroup.into_iter().chain(machine).min()
}

/// The process' cgroup, as a path below the root of all.
fn own_cgroup(text: &str) -> Option<&str> {
    // Version 2 has the one hierarchy 0, without controllers.
    text.lines().find_map(|line| line.strip_prefix("0::/"))
}

/// The least limit of a cgroup and those above it; `max` is none.
fn limit_of(cgroups: &Path, own: &str) -> Option<u64> {
    let folder = cgroups.join(own);
    let above = folder.ancestors().take_while(|folder| folder.starts_with(cgroups));
    let limits = above.filter_map(|folder| fs::read_to_string(folder.join("memory.max")).ok());
    limits.filter_map(|text| text.trim().parse().ok()).min()
}

/// The value of a line such as `MemTotal:  16384 kB`, in bytes.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::{Usage, limit, usage};

    const MIB: u64 = 1024 * 1024;

    fn write(folder: &Path, file: &str, text: &str) {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        fs::write(path, text).expect("write");
    }

    #[test]
    fn the_least_limit_above_a_process_holds() {
        let folder = tempfile::tempdir().expect("folder");
        let (proc, cgroups) = (folder.path().join("proc"), folder.path().join("cgroup"));
        assert_eq!(limit(&proc, &cgroups), None);
        write(&proc, "meminfo", "MemFree: 1 kB\nMemTotal:       16384 kB\n");
        assert_eq!(limit(&proc, &cgroups), Some(16 * MIB));
        // Version 1 has no line of its own here.
        write(&proc, "self/cgroup", "4:memory:/a\n");
        write(&cgroups, "memory.max", "1048576\n");
        assert_eq!(limit(&proc, &cgroups), Some(16 * MIB));
        write(&proc, "self/cgroup", "0::/a/b\n");
        assert_eq!(limit(&proc, &cgroups), Some(MIB));
        write(&cgroups, "memory.max", "max\n");
        write(&cgroups, "a/memory.max", "2097152\n");
        write(&cgroups, "a/b/memory.max", "4194304\n");
        assert_eq!(limit(&proc, &cgroups), Some(2 * MIB));
        write(&cgroups, "a/memory.max", "max\n");
        assert_eq!(limit(&proc, &cgroups), Some(4 * MIB));
        write(&cgroups, "a/b/memory.max", "nonsense\n");
        assert_eq!(limit(&proc, &cgroups), Some(16 * MIB));
        // A process in the namespace of its own cgroup sees that as the root.
        write(&proc, "self/cgroup", "0::/\n");
        write(&cgroups, "memory.max", "3145728\n");
        assert_eq!(limit(&proc, &cgroups), Some(3 * MIB));
    }

    #[test]
    fn this_process_takes_some_memory_and_more_when_it_takes_more() {
        let before = usage(None);
        assert!(before.bytes > 0 && before.bytes_max > before.bytes, "{before:?}");
        let taken = vec![1_u8; 64 << 20];
        let after = usage(Some(before.bytes));
        assert!(
            after.bytes > before.bytes + taken.len() as u64 / 2,
            "{before:?}, {after:?}"
        );
        assert!(after.share() > 1.0);
    }

    #[test]
    fn what_nobody_knows_is_no_pressure() {
        let unknown = Usage {
            bytes: MIB,
            bytes_max: 0,
        };
        assert_eq!(unknown.share().to_bits(), 0.0_f64.to_bits());
        let half = Usage {
            bytes: 50 * MIB,
            bytes_max: 100 * MIB,
        };
        assert_eq!(half.share().to_bits(), 0.5_f64.to_bits());
    }
}
