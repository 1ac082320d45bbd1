//! Faults that the linearizability check finds: reads against writers that go around the proxy.

use truehit::faults::Fault;

use crate::holds_unless;
use crate::register::Kind;
use crate::run::{Plan, run};

const READS: usize = 1_600;

/// A world of one busy key, in which every other exchange finds a new version.
fn hot(kind: Kind) -> Plan {
    Plan::calm(kind, 1, 2, READS)
}

async fn found(plan: Plan) -> Vec<String> {
    run(plan).await.found()
}

#[tokio::test(start_paused = true)]
async fn a_request_that_rides_on_an_exchange_from_before_it_is_found_out() {
    for (kind, keys, overlap) in
        [(Kind::Strong, 1, 1), (Kind::Bare, 16, 2), (Kind::Express, 1, 2), (Kind::HeadOnly, 16, 1)]
    {
        holds_unless(Fault::JoinRunning, async || found(Plan::calm(kind, keys, overlap, READS)).await).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_weak_tag_that_is_believed_like_a_strong_one_is_found_out() {
    holds_unless(Fault::WeakAsStrong, async || found(hot(Kind::Weak)).await).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_cache_on_the_way_confirms_is_found_out() {
    holds_unless(Fault::BelieveAge, async || found(hot(Kind::Behind)).await).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_served_because_the_origin_failed_is_found_out() {
    let flaky = Plan { failing: 200, ..hot(Kind::Strong) };
    holds_unless(Fault::ServeOnCheckError, async || found(flaky).await).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_by_the_time_of_the_answer_is_found_out() {
    holds_unless(Fault::ServeStored, async || found(hot(Kind::Strong)).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_broke_off_and_is_served_as_whole_is_found_out() {
    let breaking = Plan { breaking: 200, ..hot(Kind::Strong) };
    holds_unless(Fault::StoreTruncated, async || found(breaking).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_shorter_than_it_said_and_served_again_is_found_out() {
    let short = Plan { short: 200, ..hot(Kind::Strong) };
    holds_unless(Fault::IgnoreLength, async || found(short).await).await;
}
