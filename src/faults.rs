//! Faults that a test seeds on purpose, to show that a check can fail.
//!
//! A model check or a linearity run that has never failed has proved nothing about itself. So each rule that carries
//! the promise asks here whether it has been told to lie. Without the cargo feature `seeded-faults` the answer is the
//! constant `false`, the question costs nothing, and there is no way to change it. To add a fault: a variant here, a
//! question at the one place that it breaks, and a test in `tests/seeded` whose check finds nothing without it and
//! something with it.

/// A way to break the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A request may ride on any exchange that still runs, as plain single-flight would have it.
    JoinRunning,
    /// A body that ended before its declared length is whole.
    IgnoreLength,
    /// A weak entity tag is read as a strong one.
    WeakAsStrong,
    /// The authority is no part of a key.
    KeyWithoutHost,
    /// A cookie is no part of a key, on a route that keys by it.
    ShareAcrossCookie,
    /// Requests with different cookies may share an exchange.
    ExchangeAcrossCookie,
    /// A response with `Set-Cookie` is stored and shared like any other.
    StoreSetCookie,
    /// A body that broke off is whole.
    StoreTruncated,
    /// What is stored is served where the origin could not be asked, on every route.
    ServeOnCheckError,
    /// `Vary` is not read.
    DropVary,
    /// A digest endpoint's redirect is followed, and what it leads to taken for the answer.
    FollowRedirects,
    /// Members of a batch get what is stored by the time of its answer, not what its exchange brings.
    ServeStored,
    /// A connection is used again at once after an answer without a body, whatever may still come on it.
    ReuseSuspect,
    /// An answer with `Age` was made by the origin for this request.
    BelieveAge,
    /// A 304 that does not say which response it means means the one at hand, also where the origin decides by check
    /// who may see what.
    BelieveBare,
    /// A write invalidates nothing that was on its way in.
    ForgetWrites,
    /// What was fresh once is fresh for ever.
    FreshForEver,
    /// An exchange that panics, is dropped or runs out of time tells nobody.
    StrandLost,
}

/// Whether `fault` was seeded: never, in a build that serves.
#[cfg(not(feature = "seeded-faults"))]
#[must_use]
pub const fn seeded(_fault: Fault) -> bool {
    false
}

#[cfg(feature = "seeded-faults")]
pub use seeds::{Seeded, seed, seed_everywhere, seeded};

#[cfg(feature = "seeded-faults")]
mod seeds {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::Fault;

    thread_local! {
        /// One bit per fault. A thread's own, so that a test that seeds one, on a runtime of one thread, may run beside
        /// others.
        static SEEDED: Cell<u32> = const { Cell::new(0) };
    }

    /// The same for every thread of the process: a bench has a runtime of several.
    static EVERYWHERE: AtomicU32 = AtomicU32::new(0);

    /// A fault, until this is dropped.
    #[derive(Debug)]
    #[must_use = "a fault that is dropped is gone"]
    pub struct Seeded {
        before: u32,
    }

    /// Whether `fault` was seeded on this thread.
    #[must_use]
    pub fn seeded(fault: Fault) -> bool {
        (SEEDED.get() | EVERYWHERE.load(Ordering::Relaxed)) & bit(fault) != 0
    }

    /// Gives this thread `fault`.
    pub fn seed(fault: Fault) -> Seeded {
        let before = SEEDED.get();
        SEEDED.set(before | bit(fault));
        Seeded { before }
    }

    /// Gives every thread `fault`, for good.
    pub fn seed_everywhere(fault: Fault) {
        EVERYWHERE.fetch_or(bit(fault), Ordering::Relaxed);
    }

    impl Drop for Seeded {
        fn drop(&mut self) {
            SEEDED.set(self.before);
        }
    }

    const fn bit(fault: Fault) -> u32 {
        1 << fault as u32
    }
}
