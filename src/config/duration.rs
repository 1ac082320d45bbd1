//! Durations as they are written: a decimal number and a unit, as `"250ms"`, `"1.5s"` or `"5m"`.
//!
//! The unit is never left out, so that nobody has to remember which one a bare number would have. The arithmetic is
//! exact: what cannot be said in whole nanoseconds is refused, and so is anything longer than [`LONGEST`].

use std::time::Duration;

/// The longest duration that can be written, 365 days: far above any sensible bound, and far below what would make
/// the arithmetic with instants overflow.
pub const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Units and their nanoseconds, largest first.
const UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads `"250ms"`; `None` where it is not a duration.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let (_, scale) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let nanos = super::decimal::times(number, scale)?;
    let whole = u64::try_from(nanos / 1_000_000_000).ok()?;
    let rest = u32::try_from(nanos % 1_000_000_000).ok()?;
    Some(Duration::new(whole, rest)).filter(|duration| *duration <= LONGEST)
}

/// Writes a duration in the largest unit that needs no fraction; [`parse`] reads the same duration back.
#[must_use]
pub fn render(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let (name, scale) = UNITS.into_iter().find(|(_, scale)| nanos.is_multiple_of(*scale)).unwrap_or(("ns", 1));
    format!("{}{name}", nanos / scale)
}
