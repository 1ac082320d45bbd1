//! The breaker in use: one for the origin, asked by every check and every fetch.
//!
//! While nothing fails it costs a load of one atomic at either end of an exchange. Requests that pass neither feed it nor
//! obey it: how long a write takes says little about reads, and it is not for a cache to refuse one.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::origin::OriginError;
use crate::rules::breaker::{Admission, Breaker, BreakerSettings, Ended, Standing};
use crate::rules::moment::Moment;

/// The breaker of one origin.
#[derive(Debug)]
pub struct OriginBreaker {
    /// Whether there is nothing to ask it and nothing to tell it but failures.
    calm: AtomicBool,
    breaker: Mutex<Breaker>,
    /// Where chance comes from.
    random: RandomState,
}

/// An exchange that may be made. Dropped without an end, it was given up.
pub(super) struct Admitted<'a> {
    of: &'a OriginBreaker,
    admission: Admission,
}

impl OriginBreaker {
    /// A closed one.
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { calm: AtomicBool::new(true), breaker: Mutex::new(Breaker::new(settings)), random: RandomState::new() }
    }

    /// Goes by these settings from now on. Where they are others, it is closed: so can an operator close it.
    pub(super) fn configure(&self, settings: BreakerSettings) {
        let mut breaker = self.lock();
        if breaker.settings() != settings {
            *breaker = Breaker::new(settings);
            self.calm.store(true, Ordering::Relaxed);
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.lock().standing()
    }

    /// Lets an exchange begin, or says why not.
    pub(super) fn admit(&self, now: Moment) -> Result<Admitted<'_>, OriginError> {
        let admission = if self.calm.load(Ordering::Relaxed) { Admission::Exchange } else { self.lock().admit(now) };
        match admission {
            Admission::Refused(left) => Err(OriginError::Unavailable(left)),
            Admission::Exchange | Admission::Probe => Ok(Admitted { of: self, admission }),
        }
    }

    /// Notes an end; the standings before and after it.
    fn ended(&self, admission: Admission, ended: Ended, now: Moment) -> (Standing, Standing) {
        let mut breaker = self.lock();
        let before = breaker.standing();
        breaker.ended(admission, ended, now, self.chance(now));
        self.calm.store(breaker.is_calm(), Ordering::Relaxed);
        (before, breaker.standing())
    }

    /// A number from 0 to 1.
    fn chance(&self, now: Moment) -> f64 {
        let bits = u32::try_from(self.random.hash_one(now) >> 32).unwrap_or_default();
        f64::from(bits) / f64::from(u32::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        // Plain data, changed as a whole.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted<'_> {
    /// The exchange ended. Whether that opened the breaker.
    pub(super) fn ended<T>(mut self, answer: &Result<T, OriginError>, now: Moment) -> bool {
        let ended = match answer {
            Ok(_) => Ended::Answered,
            Err(error) if error.is_origins_fault() => Ended::Failed,
            Err(_) => Ended::Unknown,
        };
        let admission = std::mem::replace(&mut self.admission, Admission::Exchange);
        if ended != Ended::Failed && admission == Admission::Exchange && self.of.calm.load(Ordering::Relaxed) {
            return false;
        }
        match self.of.ended(admission, ended, now) {
            (Standing::Closed | Standing::HalfOpen, Standing::Open) => true,
            (Standing::HalfOpen, Standing::Closed) => {
                tracing::info!("the origin answers again");
                false
            }
            _ => false,
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if self.admission == Admission::Probe {
            // What is unknown opens nothing, so the moment does not matter.
            self.of.ended(Admission::Probe, Ended::Unknown, Moment::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SETTINGS: BreakerSettings =
        BreakerSettings { failures: 2, open_for: Duration::from_secs(1), open_max: Duration::from_secs(1) };
    const NOW: Moment = Moment::from_nanos(0);

    fn fails(breaker: &OriginBreaker) -> bool {
        breaker.admit(NOW).unwrap().ended(&Err::<(), _>(OriginError::ConnectionRefused), NOW)
    }

    fn opened() -> OriginBreaker {
        let breaker = OriginBreaker::new(SETTINGS);
        assert!(!fails(&breaker), "not by one");
        assert!(fails(&breaker));
        breaker
    }

    #[test]
    fn a_probe_that_is_given_up_leaves_its_place() {
        let breaker = opened();
        assert!(matches!(breaker.admit(NOW).err(), Some(OriginError::Unavailable(_))));
        let later = NOW.after(Duration::from_secs(2));
        let probe = breaker.admit(later).unwrap();
        assert!(breaker.admit(later).is_err());
        drop(probe);
        assert!(!breaker.admit(later).unwrap().ended(&Ok(()), later));
        assert_eq!(breaker.standing(), Standing::Closed);
    }

    #[test]
    fn other_settings_close_it_and_the_same_do_not() {
        let breaker = opened();
        breaker.configure(SETTINGS);
        assert_eq!(breaker.standing(), Standing::Open);
        breaker.configure(BreakerSettings { failures: 3, ..SETTINGS });
        assert_eq!(breaker.standing(), Standing::Closed);
        assert!(!fails(&breaker) && !fails(&breaker) && fails(&breaker));
    }
}
