//! `Goal`: what truehit is to reach in a row, and the `Verdict` on what it reached. A goal that is missed is said to be
//! missed.

use serde::Serialize;

use crate::contest::{Measured, Row};

#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// At least so many times the requests per second of CPU.
    Ratio(&'static str, f64),
    /// At most so many requests to the origin for each read.
    OriginPerRead(f64),
    /// At most so many direct round trips to the origin, in the median.
    RoundTrips(f64),
    /// A 99th percentile of the latency that is no longer.
    P99(&'static str),
}

#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub goal: String,
    pub measured: String,
    pub met: bool,
}

impl Goal {
    /// Compares the goal with what the row's base was measured to do; `None` if that was not measured.
    pub fn judge(self, row: &Row) -> Option<Verdict> {
        let base = row.find(row.base.as_deref()?)?;
        match self {
            Self::Ratio(peer, least) => {
                let ratio = base.ratio_to(row.find(peer)?)?;
                let measured = format!("{:.2} [{:.2}..{:.2}]", ratio.median, ratio.min, ratio.max);
                Some(at_least(format!("requests/CPU-s to {peer}"), ratio.median, measured, least))
            }
            Self::OriginPerRead(most) => {
                let per_read = base.median(|sample| sample.origin_per_read);
                Some(at_most("origin requests per read".to_owned(), per_read, format!("{per_read:.3}"), most))
            }
            Self::RoundTrips(most) => {
                let trips = round_trips(base);
                Some(at_most("p50 in direct round trips".to_owned(), trips, format!("{trips:.2}"), most))
            }
            Self::P99(peer) => {
                let (ours, theirs) = (base.median(|one| one.p99_ms), row.find(peer)?.median(|one| one.p99_ms));
                Some(Verdict {
                    goal: format!("p99 no longer than {peer}'s {theirs:.2} ms"),
                    measured: format!("{ours:.2} ms"),
                    met: ours <= theirs,
                })
            }
        }
    }
}

/// The median latency in direct round trips of the same round.
pub fn round_trips(measured: &Measured) -> f64 {
    measured.median(|sample| sample.direct_p50_ms.map_or(f64::NAN, |direct| sample.p50_ms / direct))
}

/// The verdict on a figure that is to be so high.
pub fn at_least(what: String, figure: f64, measured: String, least: f64) -> Verdict {
    Verdict { goal: format!("{what} at least {least:.2}"), measured, met: figure >= least }
}

/// The verdict on a figure that is to be so low.
pub fn at_most(what: String, figure: f64, measured: String, most: f64) -> Verdict {
    Verdict { goal: format!("{what} at most {most:.2}"), measured, met: figure <= most }
}
