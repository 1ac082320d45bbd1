//! Faults that a test seeds on purpose, to show that a check can fail.
//!
//! A model check or a linearity run that has never failed has proved nothing about itself. So each rule that carries
//! the promise asks here whether it has been told to lie. Without the cargo feature `seeded-faults` the answer is the
//! constant `false`, the question costs nothing, and there is no way to change it. To add a fault: a variant here, and
//! a question at the one place that it breaks.

/// A way to break the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A request may ride on any exchange that still runs, as plain single-flight would have it.
    JoinRunning,
}

/// Whether `fault` was seeded: never, in a build that serves.
#[cfg(not(feature = "seeded-faults"))]
#[must_use]
pub const fn seeded(_fault: Fault) -> bool {
    false
}

#[cfg(feature = "seeded-faults")]
pub use seeds::{clear, seed, seeded};

#[cfg(feature = "seeded-faults")]
mod seeds {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::Fault;

    /// One bit per fault, for the whole process: a test that seeds one has a test binary of its own.
    static SEEDED: AtomicU32 = AtomicU32::new(0);

    /// Whether `fault` was seeded.
    #[must_use]
    pub fn seeded(fault: Fault) -> bool {
        SEEDED.load(Ordering::Relaxed) & bit(fault) != 0
    }

    /// From here on the process has `fault`.
    pub fn seed(fault: Fault) {
        SEEDED.fetch_or(bit(fault), Ordering::Relaxed);
    }

    /// From here on the process has no fault.
    pub fn clear() {
        SEEDED.store(0, Ordering::Relaxed);
    }

    const fn bit(fault: Fault) -> u32 {
        1 << fault as u32
    }
}
