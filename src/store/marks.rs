//! `Marks`: which epoch the latest invalidation of something opened, for any number of things in a fixed space.
//!
//! Things are told by a hash. Its low bits choose a place, others tell which thing of that place was marked last. What
//! was marked there before is not forgotten: its epoch becomes the floor of the place, below which nothing of it is
//! current. So a thing that was invalidated always shows an epoch at least as high, and one that was not shows too high
//! an epoch only if two others have met in its place.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many places there are.
const PLACES: usize = 16 * 1024;

/// The bits of a mark that hold the epoch; the rest tell the thing. Enough for five years of 100,000 invalidations a
/// second; a later epoch raises the floor alone.
const EPOCH_BITS: u32 = 44;
const EPOCH_MAX: u64 = (1 << EPOCH_BITS) - 1;

/// The epochs of the latest invalidations.
#[derive(Debug)]
pub(super) struct Marks(Box<[Place]>);

#[derive(Debug, Default)]
struct Place {
    /// The thing marked last, in the high bits, and its epoch; 0 while there is none.
    latest: AtomicU64,
    /// The highest epoch of any other.
    floor: AtomicU64,
}

impl Marks {
    /// Nothing was invalidated.
    pub(super) fn new() -> Self {
        Self((0..PLACES).map(|_| Place::default()).collect())
    }

    /// The epoch that the latest invalidation of the thing of this hash opened, or a later one; 0 if there was none.
    pub(super) fn of(&self, hash: u64) -> u64 {
        let place = self.place(hash);
        // In this order: whoever takes a mark's place has raised the floor to it before.
        let latest = place.latest.load(Ordering::Acquire);
        let floor = place.floor.load(Ordering::Acquire);
        if is_of(latest, hash) { epoch(latest).max(floor) } else { floor }
    }

    /// Raises the mark of the thing of this hash to `opened`, never lowers it: of two invalidations at once, the earlier
    /// may get here last.
    pub(super) fn raise(&self, hash: u64, opened: u64) {
        let place = self.place(hash);
        if opened > EPOCH_MAX {
            place.floor.fetch_max(opened, Ordering::AcqRel);
            return;
        }
        let mut latest = place.latest.load(Ordering::Acquire);
        loop {
            let raised = match is_of(latest, hash) {
                true if epoch(latest) >= opened => return,
                true => opened,
                false => {
                    place.floor.fetch_max(epoch(latest), Ordering::AcqRel);
                    opened
                }
            };
            let mark = thing(hash) | raised;
            match place.latest.compare_exchange_weak(latest, mark, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(other) => latest = other,
            }
        }
    }

    #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
    fn place(&self, hash: u64) -> &Place {
        #[expect(clippy::cast_possible_truncation, reason = "a place is chosen by the low bits")]
        let index = hash as usize % self.0.len();
        &self.0[index]
    }
}

/// The bits of a hash that tell a thing from others of its place.
const fn thing(hash: u64) -> u64 {
    hash & !EPOCH_MAX
}

const fn epoch(mark: u64) -> u64 {
    mark & EPOCH_MAX
}

const fn is_of(mark: u64, hash: u64) -> bool {
    mark != 0 && thing(mark) == thing(hash)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Hashes of one place and of others.
    fn hash(thing: u64, place: u64) -> u64 {
        thing << EPOCH_BITS | place
    }

    #[test]
    fn what_shares_a_place_is_told_apart() {
        let marks = Marks::new();
        let (one, two, three) = (hash(1, 5), hash(2, 5), hash(3, 5));
        marks.raise(one, 10);
        assert_eq!((marks.of(one), marks.of(two), marks.of(hash(1, 6))), (10, 0, 0));
        marks.raise(two, 11);
        assert_eq!((marks.of(one), marks.of(two)), (10, 11), "what was marked before is the floor");
        assert_eq!(marks.of(three), 10, "of which everything of the place is");
    }

    #[test]
    fn a_mark_is_never_lowered() {
        let marks = Marks::new();
        marks.raise(hash(1, 5), 10);
        marks.raise(hash(1, 5), 9);
        assert_eq!(marks.of(hash(1, 5)), 10);
        marks.raise(hash(2, 5), 8);
        assert_eq!((marks.of(hash(1, 5)), marks.of(hash(2, 5))), (10, 10), "whoever came later in time");
    }

    #[test]
    fn an_epoch_that_does_not_fit_holds_for_the_whole_place() {
        let marks = Marks::new();
        marks.raise(hash(1, 5), EPOCH_MAX + 1);
        assert_eq!(
            (marks.of(hash(1, 5)), marks.of(hash(2, 5)), marks.of(hash(1, 6))),
            (EPOCH_MAX + 1, EPOCH_MAX + 1, 0)
        );
    }

    proptest! {
        #[test]
        fn what_was_invalidated_is_never_forgotten(
            raised in proptest::collection::vec((0u64..6, 0u64..2, 1u64..40), 0..40),
        ) {
            let marks = Marks::new();
            let mut latest: HashMap<u64, u64> = HashMap::new();
            for (thing, place, opened) in raised {
                let hash = hash(thing, place);
                marks.raise(hash, opened);
                let known = latest.entry(hash).or_default();
                *known = opened.max(*known);
                for (hash, opened) in &latest {
                    prop_assert!(marks.of(*hash) >= *opened);
                }
            }
        }
    }

    #[test]
    fn nor_by_those_who_meet_in_one_place() {
        let marks = Marks::new();
        let threads = 4;
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let marks = &marks;
                scope.spawn(move || {
                    for round in 0..2_000u64 {
                        let (hash, opened) = (hash(thread + 1, 5), round * threads + thread + 1);
                        marks.raise(hash, opened);
                        assert!(marks.of(hash) >= opened, "thread {thread}, round {round}");
                    }
                });
            }
        });
    }
}
