//! `cache.memory = "auto"`, from files as a kernel writes them.

use std::fs;

use truehit::config::Memory;

use crate::support::directory;

/// A case: its name, the files, what is read, and the budget.
type Case = (&'static str, &'static [(&'static str, &'static str)], Option<u64>, u64);

const MIB: u64 = 1 << 20;
const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        2097152 kB\nMemFree:           12345 kB\n");

#[test]
fn the_budget_is_half_of_the_tightest_limit_or_a_quarter_of_the_machine() {
    let cases: [Case; 10] = [
        (
            "version 2, in a namespace of its own",
            &[MEMINFO, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "134217728\n")],
            Some(128 * MIB),
            64 * MIB,
        ),
        (
            "version 2, the limit is on a group above",
            &[
                MEMINFO,
                ("proc/self/cgroup", "0::/pod/app\n"),
                ("sys/fs/cgroup/pod/memory.max", "268435456\n"),
                ("sys/fs/cgroup/pod/app/memory.max", "max\n"),
            ],
            Some(256 * MIB),
            128 * MIB,
        ),
        (
            "version 2, the tighter of two",
            &[
                MEMINFO,
                ("proc/self/cgroup", "0::/pod/app\n"),
                ("sys/fs/cgroup/pod/memory.max", "268435456\n"),
                ("sys/fs/cgroup/pod/app/memory.max", "67108864\n"),
            ],
            Some(64 * MIB),
            32 * MIB,
        ),
        (
            "version 2 without a limit",
            &[MEMINFO, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "max\n")],
            None,
            512 * MIB,
        ),
        (
            "a group outside of the namespace",
            &[MEMINFO, ("proc/self/cgroup", "0::/../..\n"), ("sys/fs/cgroup/memory.max", "134217728\n")],
            Some(128 * MIB),
            64 * MIB,
        ),
        (
            "version 1",
            &[
                MEMINFO,
                ("proc/self/cgroup", "5:cpu:/x\n4:memory:/docker/1\n0::/\n"),
                ("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "134217728\n"),
            ],
            Some(128 * MIB),
            64 * MIB,
        ),
        (
            "version 1, as a container sees it: the path is the host's, the limit is in the root",
            &[
                MEMINFO,
                ("proc/self/cgroup", "4:memory:/docker/1\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n"),
            ],
            Some(128 * MIB),
            64 * MIB,
        ),
        (
            "version 1 without a limit",
            &[
                MEMINFO,
                ("proc/self/cgroup", "4:memory:/\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ],
            None,
            512 * MIB,
        ),
        ("a machine with much memory", &[("proc/meminfo", "MemTotal:  67108864 kB\n")], None, 1024 * MIB),
        ("nothing can be read", &[], None, 64 * MIB),
    ];
    for (name, files, limit, budget) in cases {
        let root = directory();
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let memory = Memory::read(&root);
        assert_eq!((memory.limit, memory.budget()), (limit, budget), "{name}");
    }
}
