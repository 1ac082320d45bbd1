//! The checks can fail: each fault of `src/faults.rs` is found by a check that finds nothing without it.
//!
//! A scenario runs a world and gives what is wrong with it. [`holds_unless`] runs it as it is, and asserts that nothing
//! is; and, in a build with the feature `seeded-faults`, once more with the fault, and asserts that something is. So
//! these are ordinary tests in `cargo test`, and show that they are not blind in
//! `cargo test --features seeded-faults --test seeded`. A fault is a thread's own, and each test runs on one thread.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../support/dice.rs"]
mod dice;
#[path = "../linear/history.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod history;
#[path = "../support/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;
#[path = "../flight/interleavings.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod interleavings;
#[path = "../model/register.rs"]
mod model;
#[path = "../support/peers.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod peers;
#[path = "../support/raw.rs"]
mod raw;
#[path = "../support/register.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod register;
#[path = "../linear/run.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod run;
#[path = "../support/sidecar.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod sidecar;
#[path = "../support/users.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod users;

mod coalescer;
mod reads;
mod stories;
mod whose;
mod wires;

use bytes::Bytes;
use http::{Request, Response};
use peers::{Origin, full};
use raw::{Raw, RawOrigin, soon};
use sidecar::Sidecar;
use truehit::faults::Fault;

/// Asserts that `scenario` finds nothing, and something where `fault` is seeded.
async fn holds_unless(fault: Fault, scenario: impl AsyncFn() -> Vec<String>) {
    let found = scenario().await;
    assert!(found.is_empty(), "{} found without {fault:?}, first: {}", found.len(), found[0]);
    #[cfg(feature = "seeded-faults")]
    {
        let _seeded = truehit::faults::seed(fault);
        let found = scenario().await;
        assert!(!found.is_empty(), "{fault:?} was not found: the check is blind to it");
        println!("{fault:?}: {} found, first: {}", found.len(), found[0]);
    }
}

/// The text of every Rust file below a folder of the repository.
fn texts(folder: &str) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                texts.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    texts
}

#[test]
fn every_fault_is_asked_about_in_one_place_and_has_a_test() {
    let (source, tests) = (texts("src"), texts("tests/seeded"));
    let (_, faults) = source.iter().find(|(file, _)| file.ends_with("faults.rs")).unwrap();
    let declared = faults.split("pub enum Fault {").nth(1).unwrap().split("\n}").next().unwrap();
    let names: Vec<_> = declared.lines().filter_map(|line| line.trim().strip_suffix(',')).collect();
    assert!(names.len() >= 12, "{names:?}");
    for name in names {
        let question = format!("seeded(Fault::{name})");
        let asked = source.iter().map(|(_, text)| text.matches(&question).count()).sum::<usize>();
        assert_eq!(asked, 1, "{question}");
        let seeds = format!("Fault::{name},");
        assert!(tests.iter().any(|(_, text)| text.contains(&seeds)), "no test seeds {name}");
    }
}
