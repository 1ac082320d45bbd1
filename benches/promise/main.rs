//! What the promise costs and what it keeps, in figures, over real sockets.
//!
//! `cargo bench --bench promise` prints Markdown. Everything runs in this process, over loopback: an origin, the proxy
//! with its server and its pooled connections, and clients that keep theirs. So the figures are ratios, measured side by
//! side; nothing here passes or fails. `-- --quick` is a short run, `-- stale`, `-- hot` and `-- bytes` are one figure
//! each. `cargo bench --bench promise --features seeded-faults -- --seed-fault` shows that stale reads would be found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod bytes;
mod client;
#[path = "../../tests/linear/history.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod history;
mod hot;
mod site;
mod stale;
mod stand;

/// What the command line asks for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A short run.
    pub quick: bool,
    /// With plain single-flight instead of the rule.
    pub seed_fault: bool,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    // `cargo bench` says `--bench`; `cargo test --all-targets` does not, and wants to know only that all of it runs.
    let options = Options { quick: has("--quick") || !has("--bench"), seed_fault: has("--seed-fault") };
    let named = ["stale", "hot", "bytes"].into_iter().any(has);
    if options.seed_fault && !seed_fault() {
        println!("`--seed-fault` needs `--features seeded-faults`.");
        return;
    }
    let wanted = |name| has(name) || (!named && !options.seed_fault);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if wanted("stale") || (options.seed_fault && !named) {
        runtime.block_on(stale::figure(options));
    }
    if wanted("hot") {
        runtime.block_on(hot::figure(options));
    }
    if wanted("bytes") {
        runtime.block_on(bytes::figure(options));
    }
}

/// Breaks the collapsing rule for the whole process, if this build can.
fn seed_fault() -> bool {
    #[cfg(feature = "seeded-faults")]
    truehit::faults::seed_everywhere(truehit::faults::Fault::JoinRunning);
    cfg!(feature = "seeded-faults")
}
