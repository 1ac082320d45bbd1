//! Faults of the coalescer: what the model check finds, and who is left waiting.

use std::time::Duration;

use stateright::{Checker, Model};
use truehit::clock::Clock;
use truehit::faults::Fault;
use truehit::flight::Flights;
use truehit::rules::policy::Collapse;

use crate::model::{Register, SMALL, Shell};
use crate::{holds_unless, interleavings};

/// Whether the checker, whose threads have the faults of this one, finds a read that is stale.
fn stale_reads(overlap: usize, shell: Shell) -> Vec<String> {
    #[cfg(feature = "seeded-faults")]
    let before_each_step = if truehit::faults::seeded(Fault::JoinRunning) {
        || std::mem::forget(truehit::faults::seed(Fault::JoinRunning))
    } else {
        || {}
    };
    #[cfg(not(feature = "seeded-faults"))]
    let before_each_step = || {};
    let model = Register { clients: 2, losses: 0, leaves: 0, overlap, shell, before_each_step, ..SMALL };
    let checker = model.checker().spawn_bfs().join();
    let discovered = checker.discovery("a read returns what was current while its client waited");
    discovered.map(|path| format!("k={overlap}: stale after {:?}", path.into_actions())).into_iter().collect()
}

#[tokio::test]
async fn the_model_check_finds_out_who_joins_what_runs() {
    for overlap in [1, 2] {
        for shell in [Shell::AtOnce, Shell::Late] {
            holds_unless(Fault::JoinRunning, async || stale_reads(overlap, shell)).await;
        }
    }
}

/// The schedules of some seeds; of each, what is wrong with it.
fn interleaved() -> Vec<String> {
    (0..100).flat_map(interleavings::run).collect()
}

/// Schedules have a runtime of their own, so none may be around them; and a thread of their own has no faults.
#[test]
fn schedules_find_out_who_joins_what_runs() {
    futures_util::FutureExt::now_or_never(holds_unless(Fault::JoinRunning, async || interleaved())).unwrap();
}

#[test]
fn schedules_find_out_that_nobody_is_told_of_a_lost_exchange() {
    futures_util::FutureExt::now_or_never(holds_unless(Fault::StrandLost, async || interleaved())).unwrap();
}

#[tokio::test(start_paused = true)]
async fn members_that_nobody_tells_of_a_lost_exchange_are_found_out() {
    holds_unless(Fault::StrandLost, async || {
        let clock = Clock::system();
        let flights: Flights<u8, ()> = Flights::new(clock, 10, Duration::from_secs(1));
        let rules = Collapse { enabled: true, overlap: 1, gather: 0.0, gather_max: Duration::ZERO };
        let hangs = |_| std::future::pending();
        let member = flights.join(0, clock.moment(), Duration::ZERO, &rules, hangs).unwrap();
        let landed = tokio::time::timeout(Duration::from_secs(10), member.landed()).await;
        landed.err().map(|_| "it waits ten seconds for an exchange that may take one".to_owned()).into_iter().collect()
    })
    .await;
}
