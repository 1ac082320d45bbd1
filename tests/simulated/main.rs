//! The proxy on a simulated network: HTTP/1.1 as hyper reads and writes it, on both sides, over connections in memory
//! that delay, stall, cut and reset by seed, and a network that is now and then not there at all. Time is paused, and one
//! thread does everything, so a seed repeats its run to the letter.
//!
//! `SEEDS` is how many seeds are run (100 otherwise), `LINEAR_SEED` the first of them: what failed runs alone.
//!
//! Why not turmoil: it needs the code that dials and listens to take its sockets from a type parameter, through
//! `src/origin` and `src/server`, for the tests' sake alone. So what is not simulated here is what stands directly on
//! sockets: the listener and its deadlines (`src/server`), and dialling, pools, quarantine and deadlines of the hop to the
//! origin (`src/origin`). Their place is taken by a connection for each exchange with deadlines of its own, and by hyper's
//! own server. Those parts meet the same bad network on real sockets, in `tests/relayed`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../support/dice.rs"]
mod dice;
#[path = "../linear/history.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod history;
#[path = "../support/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;
mod network;
#[path = "../support/register.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod register;
#[path = "../support/relay.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod relay;
#[path = "../linear/run.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod run;

use network::{Face, Network};
use register::Kind;
use relay::Weather;
use run::{Outcome, Plan, house, register, run_over};

const SEEDS: u64 = 100;

/// A small world, drawn from its seed.
fn plan(seed: u64) -> (Plan, Weather) {
    let mut dice = dice::Dice::new(seed);
    let kinds = [Kind::Strong, Kind::Bare, Kind::Express, Kind::HeadOnly, Kind::Weak];
    let kind = kinds[usize::try_from(dice.below(5)).unwrap()];
    let (keys, overlap) = (1 + usize::try_from(dice.below(3)).unwrap(), 1 + usize::try_from(dice.below(2)).unwrap());
    let weather = match dice.below(4) {
        0 => Weather::Slow,
        1 => Weather::Jitter(20),
        _ => Weather::Flaky(1 + dice.below(8)),
    };
    let leaving = 100 * dice.below(3);
    let calm = Plan::calm(kind, keys, overlap, 120);
    (Plan { readers: 8, writers: 3, writer_pause_ms: 80, leaving, seed, ..calm }, weather)
}

async fn play(plan: Plan, weather: Weather) -> Outcome {
    let register = register(&plan);
    let network = Network::new(register.clone(), weather, plan.seed);
    let house = house(&plan, network.clone());
    let comings_and_goings = tokio::spawn(network.clone().fails_now_and_then());
    let outcome = run_over(plan, register, Face::new(house.clone(), weather, plan.seed)).await;
    comings_and_goings.abort();
    assert_eq!(house.left_over().await, (0, 0, 0, 0), "waiting, running, keys, bytes: {weather:?}, {plan:?}");
    outcome
}

fn with_seed(seed: u64) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (plan, weather) = plan(seed);
    runtime.block_on(play(plan, weather))
}

#[test]
fn no_seed_makes_a_read_stale_torn_or_unasked() {
    let first = run::seed();
    let (mut read, mut failed, mut left, mut collapsed) = (0, 0, 0, 0);
    for seed in first..first + dice::number_or("SEEDS", SEEDS) {
        let outcome = with_seed(seed);
        let found = outcome.found();
        assert!(
            found.is_empty(),
            "LINEAR_SEED={seed} SEEDS=1, {:?}\n{} violations, first {}",
            plan(seed),
            found.len(),
            found[0]
        );
        read += outcome.history.reads.len();
        failed += outcome.failed;
        left += outcome.left;
        collapsed += outcome.collapsed;
    }
    println!("{read} reads ({collapsed} collapsed), {failed} failed, {left} left");
    assert!(read > failed && failed > 0, "{read} read, {failed} failed");
}

#[test]
fn a_seed_repeats_its_run() {
    let once = |seed| {
        let Outcome { history, failed, left, .. } = with_seed(seed);
        format!("{failed} {left} {history:#?}")
    };
    for seed in 1..6 {
        assert!(once(seed) == once(seed), "seed {seed} went another way the second time");
    }
}
