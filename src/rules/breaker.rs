//! `Breaker`: whether the origin is asked at all, by how its last exchanges ended.
//!
//! It counts exchanges and not time: it opens when so many of the last [`REMEMBERED`] failed. So an origin that is down
//! opens it at once under load, one that fails every other exchange opens it a little later, and one that fails now and
//! then does not. While it is open nobody asks; then one exchange at a time, the probe, finds out whether that helps.
//! Times come in as moments, and chance as a number: nothing here reads a clock or rolls a die.

use std::time::Duration;

use super::moment::Moment;

/// How many exchanges are remembered: a bit each.
pub const REMEMBERED: u32 = u64::BITS;

/// By how much of itself an open time is prolonged at most, so that many sidecars do not try again at once.
const SPREAD: f64 = 0.25;

/// What an operator says of it (`[origin.breaker]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// How many of the last [`REMEMBERED`] exchanges open it; 0 for never.
    pub failures: u32,
    /// For how long it opens first.
    pub open_for: Duration,
    /// The longest that it stays open: the time doubles with each probe that fails.
    pub open_max: Duration,
}

/// Whether an exchange may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Exchange,
    /// It may, and what becomes of it decides whether others may.
    Probe,
    /// It may not, probably for as long as this.
    Refused(Duration),
}

/// How an exchange ended, as far as the origin's health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The origin answered, with whatever status: what it says is for its clients, that it speaks is enough here.
    Answered,
    /// It could not be reached, was silent for too long, or what came was no answer.
    Failed,
    /// It was given up, or failed for a reason of our own: that says nothing.
    Unknown,
}

/// What the operator sees. The number is the gauge's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Exchanges go on.
    Closed = 0,
    /// One exchange tries.
    HalfOpen = 1,
    /// None does.
    Open = 2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A bit for each remembered exchange, the last one lowest; set where it failed.
    Closed {
        history: u64,
    },
    /// `reopened` counts the probes that failed since it was closed.
    Open {
        until: Moment,
        reopened: u32,
    },
    HalfOpen {
        probing: bool,
        reopened: u32,
    },
}

/// The breaker of one origin.
#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: State,
}

impl Breaker {
    /// A closed one, that remembers nothing.
    #[must_use]
    pub const fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: State::Closed { history: 0 } }
    }

    /// By what it goes.
    #[must_use]
    pub const fn settings(&self) -> BreakerSettings {
        self.settings
    }

    /// Where it stands.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match self.state {
            State::Closed { .. } => Standing::Closed,
            State::Open { .. } => Standing::Open,
            State::HalfOpen { .. } => Standing::HalfOpen,
        }
    }

    /// Whether an exchange may begin without asking, and end well without saying so.
    #[must_use]
    pub const fn is_calm(&self) -> bool {
        matches!(self.state, State::Closed { history: 0 })
    }

    /// Whether an exchange may begin.
    pub fn admit(&mut self, now: Moment) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Exchange,
            State::Open { until, .. } if now < until => Admission::Refused(until.since(now)),
            State::Open { reopened, .. } | State::HalfOpen { probing: false, reopened } => {
                self.state = State::HalfOpen { probing: true, reopened };
                Admission::Probe
            }
            State::HalfOpen { probing: true, .. } => Admission::Refused(self.settings.open_for),
        }
    }

    /// An exchange that was admitted ended. `chance`, from 0 to 1, prolongs the time that it opens for, if it does.
    ///
    /// What was admitted before it opened says nothing once it has: the probe alone does.
    pub fn ended(&mut self, admission: Admission, ended: Ended, now: Moment, chance: f64) {
        self.state = match (self.state, admission, ended) {
            (State::Closed { history }, _, Ended::Answered) => State::Closed { history: history << 1 },
            (State::Closed { history }, _, Ended::Failed) => {
                let history = history << 1 | 1;
                let opens = self.settings.failures > 0 && history.count_ones() >= self.settings.failures;
                if opens { self.open(0, now, chance) } else { State::Closed { history } }
            }
            (State::HalfOpen { .. }, Admission::Probe, Ended::Answered) => State::Closed { history: 0 },
            (State::HalfOpen { reopened, .. }, Admission::Probe, Ended::Failed) => {
                self.open(reopened.saturating_add(1), now, chance)
            }
            (State::HalfOpen { reopened, .. }, Admission::Probe, Ended::Unknown) => {
                State::HalfOpen { probing: false, reopened }
            }
            (state, _, _) => state,
        };
    }

    fn open(&self, reopened: u32, now: Moment, chance: f64) -> State {
        let doubled = 2_u32.checked_pow(reopened).and_then(|times| self.settings.open_for.checked_mul(times));
        let longest = self.settings.open_max.max(self.settings.open_for);
        let time = doubled.unwrap_or(longest).min(longest);
        State::Open { until: now.after(time + time.mul_f64(SPREAD * chance.clamp(0.0, 1.0))), reopened }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::secs;

    const START: Moment = Moment::from_nanos(0);
    const SETTINGS: BreakerSettings = BreakerSettings { failures: 20, open_for: secs(1), open_max: secs(30) };

    /// A breaker after these exchanges, one after the other: `x` failed, `.` was answered, `?` was given up.
    fn after(exchanges: &str) -> Breaker {
        let mut breaker = Breaker::new(SETTINGS);
        for exchange in exchanges.chars() {
            let ended = match exchange {
                'x' => Ended::Failed,
                '.' => Ended::Answered,
                _ => Ended::Unknown,
            };
            breaker.ended(Admission::Exchange, ended, START, 0.0);
        }
        breaker
    }

    #[test]
    fn what_opens_it() {
        let rows = [
            ("nothing yet", String::new(), Standing::Closed),
            ("an origin that is down, soon", "x".repeat(19), Standing::Closed),
            ("an origin that is down", "x".repeat(20), Standing::Open),
            ("one that fails every other exchange, a little later", ".x".repeat(19), Standing::Closed),
            ("one that fails every other exchange", ".x".repeat(20), Standing::Open),
            ("not one that fails every fourth", "x...".repeat(100), Standing::Closed),
            (
                "failures that are long ago count no more",
                format!("{}{}x", "x".repeat(19), ".".repeat(64)),
                Standing::Closed,
            ),
            ("what says nothing changes nothing", format!("{}{}x", "x".repeat(19), "?".repeat(64)), Standing::Open),
        ];
        for (sentence, exchanges, expected) in rows {
            assert_eq!(after(&exchanges).standing(), expected, "{sentence}");
        }
        let mut never = Breaker::new(BreakerSettings { failures: 0, ..SETTINGS });
        (0..1000).for_each(|_| never.ended(Admission::Exchange, Ended::Failed, START, 0.0));
        assert_eq!(never.standing(), Standing::Closed, "0 failures never open it");
    }

    #[test]
    fn it_is_calm_while_it_remembers_no_failure() {
        assert!(after("....").is_calm());
        assert!(!after("x").is_calm());
        assert!(!after(&format!("x{}", ".".repeat(63))).is_calm());
        assert!(after(&format!("x{}", ".".repeat(64))).is_calm());
        assert!(!after(&"x".repeat(20)).is_calm());
    }

    #[test]
    fn one_exchange_at_a_time_finds_out() {
        let mut breaker = after(&"x".repeat(20));
        assert_eq!(breaker.admit(START), Admission::Refused(secs(1)));
        let later = START.after(secs(1));
        assert_eq!(breaker.admit(later), Admission::Probe);
        assert_eq!(breaker.standing(), Standing::HalfOpen);
        assert_eq!(breaker.admit(later), Admission::Refused(secs(1)), "another one tries");
        breaker.ended(Admission::Exchange, Ended::Answered, later, 0.0);
        assert_eq!(breaker.standing(), Standing::HalfOpen, "what began before it opened says nothing");
        breaker.ended(Admission::Probe, Ended::Unknown, later, 0.0);
        assert_eq!(breaker.admit(later), Admission::Probe, "a probe that was given up leaves its place");
        breaker.ended(Admission::Probe, Ended::Answered, later, 0.0);
        assert!(breaker.is_calm());
        assert_eq!(breaker.admit(later), Admission::Exchange);
    }

    #[test]
    fn each_probe_that_fails_doubles_the_time_up_to_its_bound() {
        let mut breaker = after(&"x".repeat(20));
        let mut now = START;
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(breaker.admit(now), Admission::Refused(secs(expected)));
            now = now.after(secs(expected));
            assert_eq!(breaker.admit(now), Admission::Probe);
            breaker.ended(Admission::Probe, Ended::Failed, now, 0.0);
        }
        now = now.after(secs(30));
        assert_eq!(breaker.admit(now), Admission::Probe);
        breaker.ended(Admission::Probe, Ended::Answered, now, 0.0);
        (0..20).for_each(|_| breaker.ended(Admission::Exchange, Ended::Failed, now, 1.0));
        let first = Admission::Refused(Duration::from_millis(1250));
        assert_eq!(breaker.admit(now), first, "once closed, it begins anew; chance prolongs it by a quarter at most");
    }

    fn any_ended() -> impl Strategy<Value = Ended> {
        proptest::sample::select(vec![Ended::Answered, Ended::Failed, Ended::Unknown])
    }

    proptest! {
        /// Whatever happens, in whatever order: never two probes at a time, and never refused for ever.
        #[test]
        fn there_is_one_probe_at_most_and_always_an_end(
            steps in proptest::collection::vec((any_ended(), any::<bool>(), 0_u64..3000, 0.0..1.0), 0..300),
        ) {
            let mut breaker = Breaker::new(BreakerSettings { failures: 3, ..SETTINGS });
            let (mut now, mut probes) = (START, 0);
            for (ended, asks, millis, chance) in steps {
                now = now.after(Duration::from_millis(millis));
                if asks {
                    match breaker.admit(now) {
                        Admission::Probe => probes += 1,
                        Admission::Refused(left) => prop_assert!(left <= secs(30).mul_f64(1.0 + SPREAD)),
                        Admission::Exchange => prop_assert_eq!(breaker.standing(), Standing::Closed),
                    }
                    prop_assert!(probes <= 1);
                } else if probes == 1 {
                    breaker.ended(Admission::Probe, ended, now, chance);
                    probes = 0;
                } else {
                    breaker.ended(Admission::Exchange, ended, now, chance);
                }
            }
            if probes == 1 {
                breaker.ended(Admission::Probe, Ended::Unknown, now, 0.0);
            }
            prop_assert!(!matches!(breaker.admit(now.after(secs(60))), Admission::Refused(_)));
        }
    }
}
