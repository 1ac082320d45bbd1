//! The machine and the programs on it: what heads a report, and how a program of the system is found.

use std::process::Command;

use serde::Serialize;

/// What the harness starts.
const PROGRAMS: [&str; 5] = ["nginx", "haproxy", "varnishd", "wrk", "h2load"];

#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    pub versions: Vec<String>,
    /// truehit's commit, and whether the checkout has other changes.
    pub commit: String,
}

pub fn describe() -> Machine {
    let versions = [
        first_line(system("nginx").arg("-v")),
        first_line(system("haproxy").arg("-v")),
        first_line(system("varnishd").arg("-V")),
        first_line(Command::new("wrk").arg("-v")),
        first_line(Command::new("h2load").arg("--version")),
    ];
    Machine {
        processor: file_field("/proc/cpuinfo", "model name"),
        cores: cores(),
        kernel: first_line(Command::new("uname").arg("-sr")),
        versions: versions.into(),
        commit: commit(),
    }
}

/// How many cores there are: what `worker_processes`, `nbthread` and truehit's workers are.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// What must be installed first.
pub fn missing() -> Vec<&'static str> {
    PROGRAMS.into_iter().filter(|program| system(program).arg("--version").output().is_err()).collect()
}

/// A command that may be where only the administrator's PATH looks.
pub fn system(program: &str) -> Command {
    let found = ["/usr/sbin", "/usr/local/sbin", "/sbin"]
        .into_iter()
        .map(|folder| std::path::Path::new(folder).join(program))
        .find(|path| path.exists());
    found.map_or_else(|| Command::new(program), Command::new)
}

/// The commit of the checkout, with `-dirty` if files differ from it.
fn commit() -> String {
    let mut git = Command::new("git");
    git.args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]);
    first_line(&mut git)
}

/// The first line that the command prints on either stream.
fn first_line(command: &mut Command) -> String {
    let Ok(output) = command.output() else { return "unknown".to_owned() };
    let printed = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&printed).lines().next().unwrap_or("unknown").trim().to_owned()
}

fn file_field(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, value)| value.trim()).to_owned()
}
