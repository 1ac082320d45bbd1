//! `Readiness`: where the process is in its life, for the probes and for whoever ends it.
//!
//! Three phases, entered once each and in order: starting, serving, draining. A process that drains still serves; it
//! only asks not to be sent anything new. There is no way back: what was told to drain is about to be replaced.

use std::sync::OnceLock;

use tokio::time::Instant;

/// The phases of a process's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not every listener is bound yet.
    Starting,
    /// Listeners bound, configuration valid.
    Serving,
    /// Told to drain at this moment; still serving.
    Draining(Instant),
}

/// The phase, shared by the probes, `/drain` and [`crate::lifecycle`]. Reading it takes no lock.
#[derive(Debug, Default)]
pub struct Readiness {
    serving: OnceLock<()>,
    draining: OnceLock<Instant>,
}

impl Readiness {
    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match (self.draining.get(), self.serving.get()) {
            (Some(since), _) => Phase::Draining(*since),
            (None, Some(())) => Phase::Serving,
            (None, None) => Phase::Starting,
        }
    }

    /// Every listener is bound and the configuration is in use.
    pub fn serve(&self) {
        self.serving.get_or_init(|| ());
    }

    /// Begins to drain, unless that began before; says when it began.
    pub fn drain(&self) -> Instant {
        *self.draining.get_or_init(Instant::now)
    }

    /// Whether every listener was bound; stays true while draining.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.serving.get().is_some()
    }

    /// Whether new traffic is welcome.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Serving
    }
}
