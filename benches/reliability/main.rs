//! The fault matrix and the soak: what truehit does when things go wrong, in real processes, over real sockets.
//!
//! `make faults` runs every row at full size, `make faults ARGS=--quick` all of them in some three minutes, and
//! `make faults ARGS='G05 G10'` those that are named; `--percent=20` runs a fifth of the full counts and times. `make
//! soak` is the row that takes half an hour. truehit is a process, the origin is one (this executable, started again),
//! and so is whatever stands between them; all of them are ended with the row. Rows print Markdown, and what was printed
//! is in `target/reliability/`. The exit code says whether every goal was met.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod client;
#[path = "../../tests/support/dice.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod dice;
mod ledger;
mod load;
#[path = "../../tests/support/process.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod process;
mod relay;
mod report;
mod roles;
mod rows;
mod site;
mod stand;

use std::path::{Path, PathBuf};
use std::process::Command;

use report::Report;

/// How much of a row is run.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub quick: bool,
    /// How much of the full size, where it is not quick.
    percent: u64,
}

impl Scale {
    /// A count or time, by scale.
    pub const fn of(self, quick: u64, full: u64) -> u64 {
        if self.quick { quick } else { full * self.percent / 100 }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if roles::play(&arguments) {
        return;
    }
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    // `cargo bench` says `--bench`; `cargo test --all-targets` does not, and wants to know only that this starts.
    if !has("--bench") {
        return;
    }
    let percent = arguments.iter().find_map(|argument| argument.strip_prefix("--percent=")?.parse().ok());
    let scale = Scale { quick: has("--quick"), percent: percent.unwrap_or(100) };
    let named: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let known = |name: &str| rows::ALL.iter().any(|row| row.id == name);
    if let Some(unknown) = named.iter().find(|name| !known(name)) {
        eprintln!("no row is named {unknown}; there are {}", rows::ALL.map(|row| row.id).join(", "));
        std::process::exit(2);
    }
    let wanted = |row: &rows::Row| if named.is_empty() { !row.long } else { named.iter().any(|name| *name == row.id) };
    let rows: Vec<&rows::Row> = rows::ALL.iter().filter(|row| wanted(row)).collect();
    std::process::exit(i32::from(!run(&rows, scale)));
}

/// Runs the rows, prints what they find, and writes it down; whether all goals were met.
fn run(rows: &[&rows::Row], scale: Scale) -> bool {
    let mut page =
        format!("# {}\n\n{}\n", if rows.iter().any(|row| row.long) { "Soak" } else { "Faults" }, machine(scale));
    println!("{page}");
    let (mut reports, mut all_ran) = (Vec::new(), true);
    for row in rows {
        eprintln!("{}", row.id);
        // Each has a runtime of its own, so that nothing of one row goes on in the next.
        let ran = std::panic::catch_unwind(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
            runtime.block_on((row.run)(scale))
        });
        let text = match ran {
            Ok(report) => {
                let section = report.section();
                reports.push(report);
                section
            }
            Err(_) => {
                all_ran = false;
                format!("### {}\n\n**Did not run to its end**: the reason is on standard error.\n", row.id)
            }
        };
        println!("{text}");
        page += &format!("{text}\n");
    }
    let lines: Vec<String> = reports.iter().map(Report::line).collect();
    let table = format!("| row | what | size | goals |\n| --- | --- | --- | --- |\n{}\n", lines.join("\n"));
    println!("{table}");
    page += &table;
    let name = if rows.iter().any(|row| row.long) { "soak.md" } else { "faults.md" };
    let path = folder().join(name);
    std::fs::write(&path, page).expect("a file in the target folder");
    println!("Written: {}", path.display());
    all_ran && reports.iter().all(Report::passed)
}

/// `target/reliability`, made if it is not there.
fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let folder = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target")).join("reliability");
    std::fs::create_dir_all(&folder).expect("a folder for the results");
    folder
}

/// What the figures were found on.
fn machine(scale: Scale) -> String {
    let first_line = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&output).lines().next().unwrap_or("unknown").trim().to_owned()
    };
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let size = match scale {
        Scale { quick: true, .. } => "quick".to_owned(),
        Scale { percent: 100, .. } => "full".to_owned(),
        Scale { percent, .. } => format!("{percent} % of the full"),
    };
    format!(
        "{}, {} cores of {}, {}; commit {}; {size} size; load of the machine before: {}",
        first_line("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        processor.map_or("unknown", |(_, name)| name),
        first_line("uname", &["-sr"]),
        first_line(
            "git",
            &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
        ),
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').take(3).collect::<Vec<_>>().join(" "),
    )
}
