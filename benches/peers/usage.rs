//! What processes use: CPU time and memory of a process with all its descendants, and the CPU time of the whole
//! machine.

use std::collections::HashMap;

/// USER_HZ, in which /proc counts CPU time on every architecture of Linux that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// One line of /proc/PID/stat.
struct Stat {
    parent: u32,
    /// Its own CPU time, and that of its children that have ended and were waited for.
    ticks: u64,
}

fn stat(process: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold anything. The state is the first field after it.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks })
}

/// The process and its descendants, with their CPU times.
fn tree(root: u32) -> HashMap<u32, Stat> {
    let mut others: HashMap<u32, Stat> = std::fs::read_dir("/proc")
        .expect("a mounted /proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|process| Some((process, stat(process)?)))
        .collect();
    let mut found: HashMap<u32, Stat> = others.remove_entry(&root).into_iter().collect();
    loop {
        let next: Vec<u32> =
            others.iter().filter(|(_, stat)| found.contains_key(&stat.parent)).map(|(process, _)| *process).collect();
        if next.is_empty() {
            return found;
        }
        found.extend(next.iter().filter_map(|process| others.remove_entry(process)));
    }
}

/// The CPU time that the process and its descendants have used, in seconds, user and system together.
pub fn cpu_seconds(root: u32) -> f64 {
    seconds(tree(root).values().map(|stat| stat.ticks).sum())
}

/// The CPU time of this process itself and of the children that it has waited for, load generators among them.
pub fn own_cpu_seconds() -> f64 {
    stat(std::process::id()).map_or(0.0, |stat| seconds(stat.ticks))
}

/// The CPU time that all of the machine has spent in processes, and what was stolen from it. Interrupts are left out:
/// whose they are is not known.
pub fn machine_cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").expect("a mounted /proc");
    let line = text.lines().next().unwrap_or_default();
    let fields: Vec<u64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, _irq, _softirq, steal, ..] = *fields else { return f64::NAN };
    seconds(user + nice + system + steal)
}

fn seconds(ticks: u64) -> f64 {
    crate::statistic::figure(ticks) / TICKS_PER_SECOND
}

/// The proportional set size of the process and its descendants, in KiB; `None` where this process may not read it.
pub fn pss_kib(root: u32) -> Option<u64> {
    tree(root).keys().map(|process| field(&format!("/proc/{process}/smaps_rollup"), "Pss:")).sum()
}

/// The resident set sizes of the process and its descendants, in KiB. What they share counts more than once.
pub fn rss_kib(root: u32) -> Option<u64> {
    tree(root).keys().map(|process| field(&format!("/proc/{process}/status"), "VmRSS:")).sum()
}

fn field(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}
