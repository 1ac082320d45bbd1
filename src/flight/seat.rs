//! `Seat`: where the members of one exchange wait for it to land.
//!
//! One per exchange, shared by its members and by the entry in the table. It is written once.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use super::event::Exchange;
use crate::rules::moment::Moment;

pub(super) struct Seat<K, A> {
    pub(super) key: K,
    pub(super) exchange: Exchange,
    landed: OnceLock<Option<Answer<A>>>,
    waiting: Notify,
}

/// What an exchange brought, and when it began.
pub(super) struct Answer<A> {
    pub(super) answer: Arc<A>,
    pub(super) began: Moment,
}

// Not derived: that would ask for `A: Clone`.
impl<A> Clone for Answer<A> {
    fn clone(&self) -> Self {
        Self { answer: Arc::clone(&self.answer), began: self.began }
    }
}

impl<K, A> Seat<K, A> {
    pub(super) fn new(key: K, exchange: Exchange) -> Self {
        Self { key, exchange, landed: OnceLock::new(), waiting: Notify::new() }
    }

    /// Wakes every member, with the answer or with the news that there will be none.
    pub(super) fn land(&self, answer: Option<Answer<A>>) {
        // The machine lands each exchange once; a second landing would change nothing.
        let _ = self.landed.set(answer);
        self.waiting.notify_waiters();
    }

    pub(super) fn has_landed(&self) -> bool {
        self.landed.get().is_some()
    }

    /// Waits until the exchange has landed.
    pub(super) async fn landed(&self) -> Option<Answer<A>> {
        loop {
            // Made before looking, so that a landing in between is not missed.
            let woken = self.waiting.notified();
            if let Some(answer) = self.landed.get() {
                return answer.clone();
            }
            woken.await;
        }
    }
}
