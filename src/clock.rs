//! The only place that reads the time.
//!
//! Everything else is handed a [`Now`] or a [`Moment`]. The clock stands on tokio's `Instant`, so a test that pauses
//! tokio's time moves this clock by moving that one; [`Clock::fixed`] does the same for the wall clock.

use std::time::SystemTime;

use crate::rules::moment::{Moment, Now};

/// A source of [`Now`]: cheap to copy, shared by the whole process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: tokio::time::Instant,
    wall: Wall,
}

#[derive(Clone, Copy, Debug)]
enum Wall {
    /// The system's clock, read each time: it may jump, and only apparent ages notice.
    System,
    /// This time at the start of the clock, and as much later as the clock has run.
    From(SystemTime),
}

impl Clock {
    /// The system's clocks, starting now.
    #[must_use]
    pub fn system() -> Self {
        Self { start: tokio::time::Instant::now(), wall: Wall::System }
    }

    /// A clock whose wall time is `wall` now and moves with tokio's (pausable) time.
    #[must_use]
    pub fn fixed(wall: SystemTime) -> Self {
        Self { start: tokio::time::Instant::now(), wall: Wall::From(wall) }
    }

    /// The moment, without the wall clock: what ordering and deadlines need.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment::from_nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The moment and the wall time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn now(&self) -> Now {
        let at = self.moment();
        let wall = match self.wall {
            Wall::System => SystemTime::now(),
            Wall::From(start) => start + at.since(Moment::default()),
        };
        Now { at, wall }
    }
}
