//! The only place that reads the time.
//!
//! Everything else is handed a [`Now`] or a [`Moment`]. The clock stands on tokio's `Instant`, so a test that pauses
//! tokio's time moves this clock by moving that one.
//!
//! The wall time of a [`Now`] is the system's as the clock began, and goes on from there with the monotonic one. Ages are
//! reckoned from it (RFC 9111 §4.2.3), and somebody who sets the system's clock does not make what is stored older or
//! younger. [`Clock::wall`] is for those who read a log: it is what the system says now.

use std::time::SystemTime;

use crate::rules::moment::{Moment, Now};

/// A source of [`Now`]: cheap to copy, shared by the whole process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: tokio::time::Instant,
    /// The wall time at the start.
    began: SystemTime,
    /// The system's clock, where there is one that may be set.
    system: Option<fn() -> SystemTime>,
}

impl Clock {
    /// The system's clocks, starting now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn system() -> Self {
        Self::set_by(SystemTime::now)
    }

    /// The same with another wall clock, which somebody may set.
    #[must_use]
    pub fn set_by(wall: fn() -> SystemTime) -> Self {
        Self { start: tokio::time::Instant::now(), began: wall(), system: Some(wall) }
    }

    /// A clock whose wall time is `wall` now and moves with tokio's (pausable) time.
    #[must_use]
    pub fn fixed(wall: SystemTime) -> Self {
        Self { start: tokio::time::Instant::now(), began: wall, system: None }
    }

    /// The moment, without the wall clock: what ordering and deadlines need.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment::from_nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The moment and the wall time, which never jumps.
    #[must_use]
    pub fn now(&self) -> Now {
        let at = self.moment();
        Now { at, wall: self.began + at.since(Moment::default()) }
    }

    /// The time as the system has it, for people: it may jump.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        self.system.map_or_else(|| self.now().wall, |wall| wall())
    }
}
