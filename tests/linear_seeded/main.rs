//! The linearizability check can fail: with plain single-flight seeded, the same run has stale reads, and it finds them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../linear/history.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod history;
#[path = "../support/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;
#[path = "../support/register.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod register;
#[path = "../linear/run.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod run;

use history::Violation;
use register::Kind;
use run::{Plan, run, seed};
use truehit::faults::{Fault, seed as seed_fault};
use truehit::rules::policy::Verify;

#[tokio::test(start_paused = true)]
async fn joining_any_exchange_that_runs_is_caught() {
    seed_fault(Fault::JoinRunning);
    for kind in [Kind::Strong, Kind::Bare, Kind::Express, Kind::HeadOnly] {
        for (keys, overlap) in [(1, 1), (16, 2)] {
            let plan = Plan {
                kind,
                keys,
                overlap,
                verify: Verify::EveryHit,
                reads: 4_000,
                readers: 64,
                writers: 8,
                writer_pause_ms: 300 / keys as u64,
                failing: 0,
                leaving: 0,
                seed: seed(),
            };
            let history = run(plan).await.history;
            let violations = history.violations();
            let stale = violations.iter().filter(|found| matches!(found, Violation::Stale { .. })).count();
            let unasked = history.unasked().len();
            println!(
                "{kind:?}, {keys} keys, k={overlap}: {stale} stale, {unasked} unasked, of {}",
                history.reads.len()
            );
            assert!(stale > 0 && unasked > 0, "{plan:?}: nothing was found");
        }
    }
}
