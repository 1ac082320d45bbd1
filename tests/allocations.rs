//! How often a hit goes to the allocator: on its way through the rules, and through the whole proxy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "support/hit.rs"]
mod hit;
#[path = "support/house.rs"]
#[allow(dead_code, reason = "the tests of the proxy use the rest")]
mod house;
#[path = "support/reads.rs"]
mod reads;

use std::hint::black_box;

use allocation_counter::measure;
use hit::Hit;
use reads::Reads;
use truehit::rules::decide::Decision;
use truehit::rules::policy::Verify;

/// The most allocations that reading a browser's request may take: the key, twice, and its condition.
const ASK_MAX: u64 = 4;

/// The most that a whole hit of 1 KiB may take, from the request as a value to the end of the response's body. Growing
/// what is allocated counts too. This is what it takes now: whoever makes it take less lowers the bound.
const HIT_MAX: u64 = 7;

/// The same for a hit that is checked, with the exchange and its task. Two are the origin's, for its answer's head.
const CHECKED_MAX: u64 = 43;

#[test]
fn deciding_a_fresh_hit_allocates_nothing() {
    for vary in [None, Some("accept-encoding, accept-language")] {
        let hit = Hit::new(vary);
        let ask = hit.ask();
        let lookup = hit.lookup(&ask);
        let decided = measure(|| assert!(matches!(black_box(hit.decide(&ask, &lookup)), Decision::Serve(_))));
        assert_eq!(decided.count_total, 0, "with Vary: {vary:?}");
    }
}

#[test]
fn finding_what_is_stored_for_the_very_same_words_allocates_nothing() {
    for vary in [None, Some("accept-encoding, accept-language")] {
        let hit = Hit::new(vary);
        let ask = hit.ask();
        assert_eq!(measure(|| drop(black_box(hit.lookup(&ask)))).count_total, 0, "with Vary: {vary:?}");
    }
}

#[test]
fn reading_a_request_allocates_little() {
    let hit = Hit::new(None);
    let request = hit.request();
    let read = measure(|| drop(black_box(hit.read(request)))).count_total;
    assert!(read > 0, "the counter counts");
    assert!(read <= ASK_MAX, "{read} allocations");
}

#[test]
fn a_hit_allocates_little() {
    assert_reads_allocate(&Reads::new(Verify::WhenStale, "truehit; hit"), HIT_MAX);
}

#[test]
fn a_checked_hit_allocates_little() {
    let reads = Reads::new(Verify::EveryHit, "truehit; fwd=stale; fwd-status=304; detail=checked");
    assert_reads_allocate(&reads, CHECKED_MAX);
}

/// Holds the median of some reads to `max`. Single ones take more: the store looks after itself now and then, on the
/// thread of whoever reads.
fn assert_reads_allocate(reads: &Reads, max: u64) {
    let mut counts: Vec<_> = (0..31)
        .map(|_| {
            let request = Reads::request();
            measure(|| reads.read(request)).count_total
        })
        .collect();
    counts.sort_unstable();
    let count = counts[counts.len() / 2];
    assert!(count <= max, "{count} allocations; at most {max}");
}
