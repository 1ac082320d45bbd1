//! Ending connections without breaking answers.
//!
//! Draining goes through phases. [`Drain::begin`] closes what is idle, and asks every client to go elsewhere with its
//! next request (`Connection: close`, GOAWAY); new connections are still served, as the load balancer may not have heard
//! yet. [`Drain::finish`] waits for what runs, up to a deadline, and then cuts the rest.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How far draining has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Serving,
    /// Old connections close when they can; new ones are served once.
    Draining,
    /// So do the new ones.
    Finishing,
    /// The deadline has passed.
    Cut,
}

/// The handle that ends connections. Clones are the same handle.
#[derive(Clone)]
pub struct Drain(Arc<State>);

struct State {
    phase: watch::Sender<Phase>,
    busy: watch::Sender<usize>,
}

impl Default for Drain {
    fn default() -> Self {
        Self(Arc::new(State { phase: watch::Sender::new(Phase::Serving), busy: watch::Sender::new(0) }))
    }
}

impl Drain {
    /// Closes idle connections, those that never sent a byte included, and lets each other one end with its answer.
    pub fn begin(&self) {
        self.enter(Phase::Draining);
    }

    /// Waits until every connection and every [`Busy`] is gone, or `deadline` has passed; then cuts those that are left
    /// and says how many. Stop accepting first.
    pub async fn finish(&self, deadline: Instant) -> usize {
        self.enter(Phase::Finishing);
        let mut busy = self.0.busy.subscribe();
        if timeout_at(deadline, busy.wait_for(|busy| *busy == 0)).await.is_ok() {
            return 0;
        }
        let left = *busy.borrow();
        self.enter(Phase::Cut);
        left
    }

    /// Whether draining has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.0.phase.borrow() > Phase::Serving
    }

    /// How many connections and other holders there are.
    #[must_use]
    pub fn busy_count(&self) -> usize {
        *self.0.busy.borrow()
    }

    /// Makes [`Drain::finish`] wait for the holder. A client's socket does so by itself, upgraded or not; a tunnel needs
    /// a guard to learn that it must end.
    #[must_use]
    pub fn busy(&self) -> Busy {
        self.0.busy.send_modify(|busy| *busy += 1);
        Busy(self.clone())
    }

    pub(super) fn phases(&self) -> watch::Receiver<Phase> {
        self.0.phase.subscribe()
    }

    fn enter(&self, next: Phase) {
        self.0.phase.send_if_modified(|phase| {
            let later = next > *phase;
            *phase = (*phase).max(next);
            later
        });
    }
}

/// Something that draining waits for.
pub struct Busy(Drain);

impl Busy {
    /// Completes when draining has run out of time: whoever holds this must end now.
    pub async fn cut(&self) {
        let mut phases = self.0.phases();
        // The sender lives as long as this guard, so only the phase can end the wait.
        let _ = phases.wait_for(|phase| *phase == Phase::Cut).await;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.busy.send_modify(|busy| *busy -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn finishing_waits_for_the_last_holder() {
        let drain = Drain::default();
        let busy = drain.busy();
        drain.begin();
        let finish = tokio::spawn({
            let drain = drain.clone();
            async move { drain.finish(Instant::now() + Duration::from_secs(5)).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!finish.is_finished());
        drop(busy);
        assert_eq!(finish.await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_outlasts_the_deadline_is_cut_and_counted() {
        let drain = Drain::default();
        let busy = drain.busy();
        assert_eq!(drain.finish(Instant::now() + Duration::from_secs(5)).await, 1);
        busy.cut().await;
    }
}
