//! Reads through the proxy are linearizable: a hundred thousand of them, against writers that go around it.
//!
//! `LINEAR_READS` is how many reads each world answers (a run of hours, optimised, has millions), `LINEAR_SEED` another
//! seed than the usual one. The same worlds over real sockets and bad networks are in `tests/relayed`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../support/dice.rs"]
mod dice;
mod history;
#[path = "../support/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;
#[path = "../support/register.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod register;
mod run;
mod search;

use std::time::Duration;

use register::Kind;
use run::{Outcome, Plan, house, reads_or, register, run, run_over};
use truehit::rules::policy::Verify;

/// How many reads each of the four worlds of a kind of origin answers.
const READS: usize = 6_500;

fn plan(kind: Kind, keys: usize, overlap: usize) -> Plan {
    Plan::calm(kind, keys, overlap, reads_or(READS))
}

#[track_caller]
fn assert_linearizable(plan: Plan, outcome: &Outcome) {
    let found = outcome.found();
    assert!(found.is_empty(), "{plan:?}\n{} violations, first {}", found.len(), found[0]);
}

async fn no_read_is_stale(kind: Kind) {
    for (keys, overlap) in [(1, 1), (1, 2), (16, 1), (16, 2)] {
        let plan = plan(kind, keys, overlap);
        let outcome = run(plan).await;
        assert_linearizable(plan, &outcome);
        let Outcome { history, register, failed, collapsed, .. } = &outcome;
        assert_eq!(history.reads.len() + failed, plan.reads / plan.readers * plan.readers);
        assert_eq!(*failed, 0);
        // A world in which nothing changes, or everything always, would show little.
        assert!(history.writes.len() > 50, "{} writes", history.writes.len());
        assert!(*collapsed > 1_000, "{collapsed} collapsed");
        println!(
            "{kind:?}, {keys} keys, k={overlap}: {} reads ({collapsed} collapsed), {} writes, origin {:?}",
            history.reads.len(),
            history.writes.len(),
            register.answers()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_read_is_stale_under_every_hit_with_strong_tags() {
    no_read_is_stale(Kind::Strong).await;
}

#[tokio::test(start_paused = true)]
async fn no_read_is_stale_under_every_hit_without_validators() {
    no_read_is_stale(Kind::Bare).await;
}

#[tokio::test(start_paused = true)]
async fn no_read_is_stale_under_every_hit_with_weak_tags_that_are_digests() {
    no_read_is_stale(Kind::Express).await;
}

#[tokio::test(start_paused = true)]
async fn no_read_is_stale_under_every_hit_where_only_head_tells() {
    no_read_is_stale(Kind::HeadOnly).await;
}

/// Nor where requests fail, bodies break off or end before their length, a tag proves nothing, or a cache on the way
/// confirms what it should not. Reads fail then, and say so.
#[tokio::test(start_paused = true)]
async fn no_read_is_stale_where_the_origin_does_what_it_should_not() {
    for kind in [Kind::Strong, Kind::Bare, Kind::Express, Kind::HeadOnly, Kind::Weak, Kind::Behind] {
        for keys in [1, 16] {
            let calm = Plan::calm(kind, keys, 2, reads_or(READS) / 6);
            let plan = Plan { failing: 60, breaking: 60, short: 30, ..calm };
            let outcome = run(plan).await;
            assert_linearizable(plan, &outcome);
            let (read, failed) = (outcome.history.reads.len(), outcome.failed);
            assert!(read > failed && failed > 10, "{plan:?}: {read} read, {failed} failed");
            println!("{kind:?}, {keys} keys: {read} read, {failed} failed");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_never_older_than_it_says() {
    let lease = Duration::from_millis(20);
    for (keys, overlap) in [(1, 1), (16, 2)] {
        let plan = Plan { verify: Verify::Lease(lease), ..plan(Kind::Strong, keys, overlap) };
        let Outcome { history, torn, .. } = run(plan).await;
        assert!(torn.is_empty(), "{plan:?}\n{torn:?}");
        let older = history.stale_by(lease);
        assert!(older.is_empty(), "{plan:?}\n{} reads, first {:?}", older.len(), older[0]);
        let behind = history.stale_by(Duration::ZERO).len();
        assert!(behind > 0, "{plan:?}: a lease that nobody used shows nothing");
        println!("{keys} keys, k={overlap}: {behind} of {} reads behind, none by more", history.reads.len());
    }
}

/// Seven thousand clients leave, at any point between their request and the last byte.
#[tokio::test(start_paused = true)]
async fn clients_that_leave_at_random_strand_nobody() {
    let mut all_left = 0;
    for (kind, keys, overlap) in [(Kind::Strong, 1, 1), (Kind::Bare, 1, 2), (Kind::HeadOnly, 16, 2)] {
        let plan = Plan { leaving: 400, failing: 20, breaking: 20, ..plan(kind, keys, overlap) };
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        let register = register(&plan);
        let house = house(&plan, register.clone());
        let outcome = run_over(plan, register, house.clone()).await;
        assert_linearizable(plan, &outcome);
        let Outcome { history, left, failed, .. } = &outcome;
        assert!(*left > 500 && *failed > 10 && history.reads.len() > 500, "{left} left, {failed} failed");
        assert_eq!(house.left_over().await, (0, 0, 0, 0), "waiting, running, keys, bytes: {plan:?}");
        // What the last clients left behind has ended, so its tasks have, too.
        tokio::task::yield_now().await;
        assert_eq!(tasks(), before, "tasks: {plan:?}");
        all_left += left;
        println!("{kind:?}: {} read, {left} left, {failed} failed", history.reads.len());
    }
    assert!(all_left >= 5_000, "{all_left} left");
}
