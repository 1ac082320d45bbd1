//! What a fresh hit costs in the rules: reading the request, finding what is stored, deciding.
//!
//! `cargo bench --bench decide` prints Markdown: nanoseconds, the median of many batches, and allocations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../../tests/support/hit.rs"]
mod hit;

use std::hint::black_box;

use allocation_counter::measure;
use hit::Hit;
use tokio::time::Instant;

/// How many times one batch runs: long against the clock's resolution.
const BATCH: u32 = 1000;

fn main() {
    // `cargo bench` says `--bench`; `cargo test --all-targets` does not, and wants to know only that it runs.
    let batches = if std::env::args().any(|argument| argument == "--bench") { 501 } else { 3 };
    println!("| a fresh hit | ns | allocations |");
    println!("| --- | --- | --- |");
    for (name, vary) in [("no Vary", None), ("Vary: Accept-Encoding", Some("accept-encoding"))] {
        let hit = Hit::new(vary);
        let ask = hit.ask();
        let lookup = hit.lookup(&ask);
        row(name, "ask::read", batches, || drop(black_box(hit.ask())));
        row(name, "lookup", batches, || drop(black_box(hit.lookup(&ask))));
        row(name, "decide", batches, || drop(black_box(hit.decide(&ask, &lookup))));
        row(name, "all three", batches, || {
            let ask = hit.ask();
            let lookup = hit.lookup(&ask);
            drop(black_box(hit.decide(&ask, &lookup)));
        });
    }
}

fn row(name: &str, what: &str, batches: usize, run: impl Fn()) {
    let mut times: Vec<_> = (0..batches)
        .map(|_| {
            let begun = Instant::now();
            (0..BATCH).for_each(|_| run());
            begun.elapsed().as_nanos() / u128::from(BATCH)
        })
        .collect();
    times.sort_unstable();
    println!("| {name}: {what} | {} | {} |", times[times.len() / 2], measure(&run).count_total);
}
