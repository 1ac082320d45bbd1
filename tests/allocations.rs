//! How often a fresh hit goes to the allocator on its way through the rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "support/hit.rs"]
mod hit;

use std::hint::black_box;

use allocation_counter::measure;
use hit::Hit;
use truehit::rules::decide::Decision;

/// The most allocations that reading a browser's request may take: the key, the conditions, and the fields as they would
/// go to the origin.
const ASK_MAX: u64 = 10;

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
fn finding_what_does_not_vary_allocates_nothing() {
    let hit = Hit::new(None);
    let ask = hit.ask();
    assert_eq!(measure(|| drop(black_box(hit.lookup(&ask)))).count_total, 0);
}

#[test]
fn reading_a_request_allocates_little() {
    let hit = Hit::new(None);
    let read = measure(|| drop(black_box(hit.ask()))).count_total;
    assert!(read > 0, "the counter counts");
    assert!(read <= ASK_MAX, "{read} allocations");
}
