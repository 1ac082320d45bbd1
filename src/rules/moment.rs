//! `Moment`: a point on the proxy's own monotonic time line, as plain data.
//!
//! The rules never read a clock; they are handed a [`Now`]. `Moment` orders exchanges and requests (which is all the
//! promise needs); the wall clock is used for one thing only, the apparent age of a response (RFC 9111 §4.2.3).

use std::time::{Duration, SystemTime};

/// Nanoseconds since the clock that made it was created. Never goes back, never jumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The moment `nanos` nanoseconds after the start of the clock.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the start of the clock.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero when `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `by` before this one, or the start of the clock.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(by)))
    }

    /// The moment `by` after this one.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What a clock says: the moment that orders events, and the wall time that dates are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The monotonic moment.
    pub at: Moment,
    /// The wall clock at that moment.
    pub wall: SystemTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_begins_at_zero() {
        let at = Moment::from_nanos(5_000_000_000);
        let second = Duration::from_secs(1);
        assert_eq!(at.as_nanos(), 5_000_000_000);
        assert_eq!((at.before(second), at.after(second)), (Moment(4_000_000_000), Moment(6_000_000_000)));
        assert_eq!((at.since(at.before(second)), at.before(second).since(at)), (second, Duration::ZERO));
        assert_eq!(at.before(Duration::from_secs(9)), Moment(0), "nothing is before its start");
        assert_eq!(at.after(Duration::MAX), Moment(u64::MAX), "nor after its end");
    }
}
