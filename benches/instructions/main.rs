//! How many instructions truehit spends on a request, held against what is on record.
//!
//! The program runs under valgrind's callgrind, which counts user-space instructions: unlike a time, a count is the same
//! on a busy machine. What one request costs is the difference of two runs, one of which sends more requests than the
//! other, so that starting and ending cancel out. One scenario is one client on one connection, one request at a time,
//! with one worker thread.
//!
//! `make instructions` prints Markdown, and fails when a scenario has grown by more than [`record::TOLERANCE_PERCENT`].
//! `make instructions UPDATE=1` writes `record.txt` again. Where the instructions of a scenario's last, long run went,
//! `callgrind_annotate target/tmp/callgrind.hit` says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod client;
mod origin;
mod record;
mod sidecar;

use std::path::Path;
use std::process::{Command, ExitCode};

use client::Client;
use origin::Origin;
use record::{Change, Record, Verdict};
use sidecar::Sidecar;

/// Requests of the shorter run: enough that connections are open, buffers have grown and `check = "auto"` has settled.
const FEW: u64 = 500;

/// Requests of the longer run.
const MANY: u64 = 2_500;

/// Runs of each kind, of which the median counts.
const RUNS: usize = 3;

/// A way through truehit.
struct Scenario {
    /// Its name in the record.
    name: &'static str,
    /// `defaults.verify`.
    verify: &'static str,
    /// What the origin says beyond the content and its length.
    origin: &'static str,
    /// Whether each request has a target of its own.
    fresh_targets: bool,
    /// How `Cache-Status` begins once it has settled: the scenario is what its name says, or the run fails.
    status: &'static str,
    /// How many requests the origin gets for each of the client's once it has settled.
    origin_requests: u64,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "hit",
        verify: "when-stale",
        origin: "Cache-Control: max-age=3600\r\nETag: \"1\"\r\n",
        fresh_targets: false,
        status: "truehit; hit",
        origin_requests: 0,
    },
    Scenario {
        name: "checked",
        verify: "every-hit",
        origin: "ETag: \"1\"\r\n",
        fresh_targets: false,
        status: "truehit; fwd=stale; fwd-status=304; detail=checked",
        origin_requests: 1,
    },
    Scenario {
        name: "pass",
        verify: "every-hit",
        origin: "Cache-Control: no-store\r\n",
        fresh_targets: false,
        status: "truehit; fwd=uri-miss; fwd-status=200; detail=no-store",
        origin_requests: 1,
    },
    Scenario {
        name: "miss",
        verify: "every-hit",
        origin: "Cache-Control: max-age=3600\r\nETag: \"1\"\r\n",
        fresh_targets: true,
        status: "truehit; fwd=uri-miss; fwd-status=200; stored",
        origin_requests: 1,
    },
];

fn main() -> ExitCode {
    let has = |name: &str| std::env::args().any(|argument| argument == name);
    // `cargo bench` says `--bench`; `cargo test --all-targets` does not, and counts nothing: `tests/instructions.rs`
    // tests what judges the counts.
    if !has("--bench") {
        return ExitCode::SUCCESS;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/record.txt");
    let record: Record = std::fs::read_to_string(&file).expect("the record is there").parse().expect("a record");
    let counts: Vec<_> = SCENARIOS.iter().map(|one| (one.name.to_owned(), per_request(one))).collect();
    let measured = Record { comment: record.comment.clone(), compiler: compiler(), counts };
    let changes = record.changes(&measured);

    println!("| scenario | recorded | measured | difference |\n| --- | ---: | ---: | ---: |");
    for change in &changes {
        println!("{change}");
    }
    if has("--update") {
        std::fs::write(&file, measured.to_string()).expect("the record can be written");
        println!("\nWritten to benches/instructions/record.txt.");
        return ExitCode::SUCCESS;
    }
    if record.compiler != measured.compiler {
        println!("\nThe record is of {}, this is {}: expect differences.", record.compiler, measured.compiler);
    }
    for change in changes.iter().filter(|change| change.verdict() != Verdict::Within) {
        println!("\n{}", change.advice());
    }
    if changes.iter().any(Change::fails) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Instructions per request, to the nearest one.
fn per_request(scenario: &Scenario) -> u64 {
    let few = usual(scenario, FEW);
    let more = usual(scenario, MANY) - few;
    let requests = MANY - FEW;
    (more + requests / 2) / requests
}

/// Instructions of the median run with this many requests. What the allocator has free for the worker, and so how long it
/// looks for room, depends a little on how the threads took turns at the start.
fn usual(scenario: &Scenario, requests: u64) -> u64 {
    let mut runs: Vec<_> = (0..RUNS).map(|_| instructions(scenario, requests)).collect();
    runs.sort_unstable();
    runs[RUNS / 2]
}

/// Instructions of a whole run with this many requests.
fn instructions(scenario: &Scenario, requests: u64) -> u64 {
    let origin = Origin::open(scenario.origin);
    let sidecar = Sidecar::start(scenario.name, origin.address(), scenario.verify);
    let mut client = Client::connect(sidecar.address());
    let mut before = 0;
    for number in 0..requests {
        if number == FEW / 2 {
            before = origin.requests();
        }
        let target =
            if scenario.fresh_targets { format!("/products/{number:06}") } else { "/products/000017".to_owned() };
        let head = client.get(&target);
        let status = head.split_once("cache-status: ").map(|(_, rest)| rest.lines().next().unwrap());
        let expected = number < FEW / 2 || status.is_some_and(|status| status.starts_with(scenario.status));
        assert!(expected, "{}: not {}, but {head}", scenario.name, scenario.status);
    }
    let settled = (requests - FEW / 2) * scenario.origin_requests;
    assert_eq!(origin.requests() - before, settled, "{}: requests to the origin", scenario.name);
    drop(client);
    sidecar.end()
}

/// The compiler and what it compiles for, as in the record.
fn compiler() -> String {
    let output = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let said = String::from_utf8(output.stdout).unwrap();
    let line =
        |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).expect("rustc -vV says it").to_owned();
    format!("rustc {} {}", line("release: "), line("host: "))
}
