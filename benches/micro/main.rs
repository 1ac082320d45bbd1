//! What the pieces of a request cost, each by itself: nanoseconds, and how often they go to the allocator.
//!
//! `cargo bench --bench micro` runs them all, `cargo bench --bench micro -- flight` those with the word in their name.
//! Here times can be compared with each other, on one machine at one time; what holds from one change to the next are the
//! instructions that `make instructions` counts, and the allocations that `tests/allocations.rs` bounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod flight;
#[path = "../../tests/support/hit.rs"]
mod hit;
#[path = "../../tests/support/house.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod house;
mod proxy;
#[path = "../../tests/support/reads.rs"]
mod reads;
mod recorder;
mod rules;

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    // Single samples of a few microseconds scatter; their median over many does not.
    divan::Divan::default().sample_count(1000).config_with_args().main();
}
