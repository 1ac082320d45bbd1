//! Reads through the proxy are linearizable: a hundred thousand of them, against writers that go around it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod history;
#[path = "../support/house.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod house;
#[path = "../support/register.rs"]
mod register;
mod run;
mod search;

use std::time::Duration;

use register::Kind;
use run::{Outcome, Plan, run, seed};
use truehit::rules::policy::Verify;

/// How many reads each kind of origin answers, over its four worlds.
const READS: usize = 26_000;

fn plan(kind: Kind, keys: usize, overlap: usize) -> Plan {
    Plan {
        kind,
        keys,
        overlap,
        verify: Verify::EveryHit,
        reads: READS / 4,
        readers: 64,
        writers: 8,
        // On one key, about every second exchange finds a new version.
        writer_pause_ms: 300 / keys as u64,
        failing: 0,
        leaving: 0,
        seed: seed(),
    }
}

#[track_caller]
fn assert_linearizable(plan: Plan, outcome: &Outcome) {
    let Outcome { history, torn, .. } = outcome;
    assert!(torn.is_empty(), "{plan:?}\n{} replies contradict themselves, first {}", torn.len(), torn[0]);
    let violations = history.violations();
    assert!(violations.is_empty(), "{plan:?}\n{} violations, first {:?}", violations.len(), violations[0]);
    let unasked = history.unasked();
    assert!(unasked.is_empty(), "{plan:?}\n{} replies without an exchange, first {:?}", unasked.len(), unasked[0]);
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

#[tokio::test(start_paused = true)]
async fn clients_that_leave_at_random_strand_nobody() {
    for (kind, keys, overlap) in [(Kind::Strong, 1, 1), (Kind::Bare, 1, 2), (Kind::HeadOnly, 16, 2)] {
        let plan = Plan { leaving: 400, failing: 20, ..plan(kind, keys, overlap) };
        let outcome = run(plan).await;
        assert_linearizable(plan, &outcome);
        let Outcome { history, house, left, failed, .. } = &outcome;
        assert!(*left > 500 && *failed > 10 && history.reads.len() > 500, "{left} left, {failed} failed");
        let flights = &house.shared.flights;
        let under_way = || (flights.waiting(), flights.running(), flights.keys(), house.shared.fill_memory.used());
        // What the last clients left behind ends by itself, within a virtual second.
        for _ in 0..1_000 {
            if under_way() == (0, 0, 0, 0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(under_way(), (0, 0, 0, 0), "waiting, running, keys, bytes: {plan:?}");
        println!("{kind:?}: {} read, {left} left, {failed} failed", history.reads.len());
    }
}
