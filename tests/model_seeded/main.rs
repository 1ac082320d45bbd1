//! The model check can fail: with plain single-flight seeded, it finds the stale read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../model/register.rs"]
mod register;

use std::time::Duration;

use register::Register;
use stateright::{Checker, Model};
use truehit::faults::{Fault, seed};

#[test]
fn joining_any_exchange_that_runs_is_caught() {
    seed(Fault::JoinRunning);
    for overlap in [1, 2] {
        let model = Register {
            clients: 2,
            asks: 1,
            writes: 1,
            losses: 0,
            leaves: 0,
            overlap,
            gather: 0.0,
            lease: Duration::ZERO,
        };
        let checker = model.checker().spawn_bfs().join();
        let path = checker.assert_any_discovery("a read returns what was current while its client waited");
        println!("k={overlap}: stale after {:?}", path.into_actions());
    }
}
