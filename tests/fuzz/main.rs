//! A short fuzz on any machine: every target over its committed corpus, and over mutations of it for a while.
//!
//! The mutations are blind: flips, cuts, copies, splices of two inputs, and words that parsers look for. What coverage
//! guides is `make fuzz`, which runs the same targets under libFuzzer. `FUZZ_SECONDS` says how long each target runs
//! (half a second otherwise), `FUZZ_SEED` repeats a run. An input that fails is printed, and belongs into the corpus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod request;
mod targets;
mod written;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use targets::{TARGETS, Target};
use tokio::time::Instant;

/// Every target, of all files.
fn all_targets() -> impl Iterator<Item = &'static Target> {
    TARGETS.iter().chain(request::TARGETS).chain(written::TARGETS)
}

/// The longest input.
const LENGTH_MAX: usize = 4096;

/// What parsers of fields look for.
const WORDS: &[&str] = &[
    ",",
    ";",
    "=",
    "\"",
    "\\",
    "\n",
    ":",
    " ",
    "\t",
    "*",
    "W/",
    "W/\"1\"",
    "\"1\"",
    "max-age=",
    "s-maxage=1",
    "no-store",
    "private=\"",
    "no-cache",
    "min-fresh=",
    "max-stale",
    "only-if-cached",
    "must-understand",
    "stale-while-revalidate=60",
    "\ncache-control: ",
    "\nage: ",
    "\ndate: Thu, 01 Jan 2026 00:00:00 GMT",
    "\nexpires: 0",
    "\nvary: ",
    "\netag: ",
    "\nif-none-match: ",
    "\nrange: bytes=",
    "0",
    "9",
    "-",
    "2147483648",
    "18446744073709551616",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "sha-256=:",
    ":",
    "sha256:",
    "for=",
    "[2001:db8::1]",
    "\nconnection: ",
    "\x1e",
    "\u{fc}",
    "\0",
    "%2f",
    ":80",
    "gzip;q=0.5",
];

/// xorshift64*: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap() % end.max(1)
    }
}

#[test]
fn no_input_breaks_a_target() {
    let seconds =
        std::env::var("FUZZ_SECONDS").map_or(0.5, |seconds| seconds.parse().expect("FUZZ_SECONDS is a number"));
    let seed = std::env::var("FUZZ_SEED")
        .map_or_else(|_| u64::from(std::process::id()) | 1 << 32, |seed| seed.parse().expect("FUZZ_SEED is a number"));
    println!("FUZZ_SEED={seed}");
    std::thread::scope(|scope| {
        for target in all_targets() {
            scope.spawn(move || run(target, seed, Duration::from_secs_f64(seconds)));
        }
    });
}

#[test]
fn every_target_runs_under_libfuzzer_too() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for (name, _) in all_targets() {
        assert!(manifest.contains(&format!("\nname = \"{name}\"\n")), "fuzz/Cargo.toml has no {name}");
        assert!(folder.join("fuzz_targets").join(format!("{name}.rs")).is_file(), "{name} has no file");
    }
}

#[test]
fn a_target_that_fails_is_found() {
    let target: Target = ("never", |bytes| assert!(!bytes.contains(&b'!'), "there it is"));
    assert!(broken(&target, b"a").is_none());
    assert!(broken(&target, b"a!").is_some_and(|told| told.contains("a!") && told.contains("never")));
}

fn run(target: &Target, seed: u64, budget: Duration) {
    let corpus = corpus(target.0);
    let mut random = Random(seed);
    let mut count = 0_u64;
    let report = |input: &[u8]| {
        if let Some(told) = broken(target, input) {
            panic!("{told}\nwith FUZZ_SEED={seed}");
        }
    };
    corpus.iter().for_each(|input| report(input));
    let begun = Instant::now();
    while begun.elapsed() < budget {
        for _ in 0..100 {
            report(&mutated(&corpus, &mut random));
            count += 1;
        }
    }
    println!("{}: {} inputs of the corpus, {count} mutations", target.0, corpus.len());
}

/// What to tell if the target fails on this input.
fn broken((name, target): &Target, input: &[u8]) -> Option<String> {
    let failed = catch_unwind(AssertUnwindSafe(|| target(input))).is_err();
    failed.then(|| {
        format!("{name} fails; as a file in fuzz/corpus/{name} it will be remembered: {}", input.escape_ascii())
    })
}

/// The committed inputs of a target.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{name} has no corpus");
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// An input of the corpus, changed up to eight times.
fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(8) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(16)).min(input.len());
        match random.below(6) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = u8::try_from(random.below(256)).unwrap(),
            2 => drop(input.drain(at..end)),
            3 => {
                let copy = input[at..end].to_vec();
                let to = random.below(input.len() + 1);
                input.splice(to..to, copy);
            }
            4 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let word = WORDS[random.below(WORDS.len())].as_bytes();
                input.splice(at..at, word.iter().copied());
            }
        }
        input.truncate(LENGTH_MAX);
    }
    input
}
