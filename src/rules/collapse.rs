//! The one comparison behind both knobs of `verify`: which exchange may answer which request.
//!
//! An exchange is evaluated by the origin at some point after it began. If it began after a request arrived, that point
//! lies inside the request, so its answer was true while the client waited. A lease moves the line back by as much.

use std::time::Duration;

use crate::faults::{Fault, seeded};
use crate::rules::moment::Moment;

/// Whether an exchange that began at `began` may answer a request that arrived at `arrived` under `lease`.
///
/// `began` must have been read before the question left for the origin, and `arrived` after the request's head came in:
/// a clock read too early on the one side, or too late on the other, only says no more often.
#[must_use]
pub fn usable(began: Moment, arrived: Moment, lease: Duration) -> bool {
    began >= arrived.before(lease) || seeded(Fault::JoinRunning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_answers_whom_it_began_after() {
        let ms = |n: u64| Moment::from_nanos(n * 1_000_000);
        let rows = [
            ("it began later", ms(11), Duration::ZERO, true),
            ("it began at that very moment", ms(10), Duration::ZERO, true),
            ("it began before", ms(9), Duration::ZERO, false),
            ("it began before, within the lease", ms(9), Duration::from_millis(1), true),
            ("it began before the lease", ms(8), Duration::from_millis(1), false),
            ("any exchange that runs", ms(0), Duration::MAX, true),
        ];
        for (name, began, lease, expected) in rows {
            assert_eq!(usable(began, ms(10), lease), expected, "{name}");
        }
    }
}
