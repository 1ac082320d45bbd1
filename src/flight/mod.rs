//! Collapsing without lying: requests for one variant share exchanges, and none rides on one that is too old for it.
//!
//! Plain single-flight lets a request join a question that was asked before it arrived, so a client can read the value
//! from before its own acknowledged write. Here a request joins an exchange that runs only if that is
//! [`usable`](crate::rules::collapse::usable) for it, and otherwise the one batch that is queued behind it. The rules are
//! [`machine::Machine`]; this is its shell: a table of machines, tasks for the exchanges, and a way to wait.
//!
//! An exchange runs in a task of its own, so it survives every client. Its result is the head of the origin's response;
//! a body streams on elsewhere.

pub mod event;
pub mod machine;
mod seat;
mod table;

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use self::event::{Event, Exchange, How};
use self::seat::{Answer, Seat};
use self::table::{Deed, Table};
use crate::clock::Clock;
use crate::faults::{Fault, seeded};
use crate::rules::moment::Moment;
use crate::rules::policy::Collapse;

/// Everything under way, for all keys. Cheap to clone; all clones are one.
pub struct Flights<K, A>(Arc<Shared<K, A>>);

struct Shared<K, A> {
    table: Table<K, A, Start<A>>,
    /// How many members may wait at once, over all keys.
    waiters_max: usize,
    /// How long an exchange may run.
    patience: Duration,
    waiting: AtomicUsize,
    running: AtomicUsize,
}

/// What makes a batch's exchange, once it begins.
type Start<A> = Box<dyn FnOnce(Began) -> Pin<Box<dyn Future<Output = A> + Send>> + Send>;

/// An exchange that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Began {
    /// When: read before the exchange is built, so before anything of it is sent.
    pub at: Moment,
    /// Its number.
    pub exchange: Exchange,
}

/// As many requests wait for exchanges as may (the process's bound): this one must be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests wait for the origin")]
pub struct TooManyWaiters;

/// How a member's exchange ended.
#[derive(Debug)]
pub enum Landing<A> {
    /// It was answered.
    Answered {
        /// The answer, shared by all members.
        answer: Arc<A>,
        /// When the exchange began.
        began: Moment,
        /// This member's own `start` made the exchange.
        starter: bool,
    },
    /// It panicked, was dropped or ran out of time.
    Lost,
}

/// A request's place in a batch. Dropping it gives the place up.
#[must_use = "a member that is dropped has left"]
pub struct Member<K: Hash + Eq + Clone + Send + Sync + 'static, A: Send + Sync + 'static> {
    shared: Arc<Shared<K, A>>,
    seat: Arc<Seat<K, A>>,
    starter: bool,
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, A: Send + Sync + 'static> Flights<K, A> {
    /// Nothing under way yet. At most `waiters_max` requests wait at once; an exchange that has not been answered
    /// `patience` after it began is dropped and lost.
    #[must_use]
    pub fn new(clock: Clock, waiters_max: usize, patience: Duration) -> Self {
        Self(Arc::new(Shared {
            table: Table::new(clock),
            waiters_max,
            patience,
            waiting: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
        }))
    }

    /// Finds a request its place: in an exchange that runs and that it may use, or in the queued one, or in a new one.
    ///
    /// `arrived` is a moment of the clock given to [`Flights::new`]. `start` makes the exchange, and is called only if
    /// the request opens a batch, when that begins. To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// As many requests wait as may.
    pub fn join<Fut>(
        &self,
        key: K,
        arrived: Moment,
        lease: Duration,
        collapse: &Collapse,
        start: impl FnOnce(Began) -> Fut + Send + 'static,
    ) -> Result<Member<K, A>, TooManyWaiters>
    where
        Fut: Future<Output = A> + Send + 'static,
    {
        let shared = &self.0;
        let room = |waiting| (waiting < shared.waiters_max).then_some(waiting + 1);
        shared.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).map_err(|_| TooManyWaiters)?;
        let boxed = || -> Start<A> { Box::new(move |began| Box::pin(start(began))) };
        let joined = shared.table.ask(key, arrived, lease, collapse, boxed);
        let member = Member { shared: Arc::clone(shared), seat: joined.seat, starter: joined.starter };
        for deed in joined.deeds {
            shared.perform(&member.seat.key, deed, None);
        }
        Ok(member)
    }

    /// How many requests wait for an exchange.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// How many exchanges run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }

    /// How many keys have something under way.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.0.table.keys()
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, A: Send + Sync + 'static> Member<K, A> {
    /// Whether this member opened the batch, so that its own `start` makes the exchange.
    #[must_use]
    pub const fn is_starter(&self) -> bool {
        self.starter
    }

    /// Waits until the exchange has ended. For how long is the caller's affair: a timeout around this is a member that
    /// leaves.
    pub async fn landed(self) -> Landing<A> {
        match self.seat.landed().await {
            Some(Answer { answer, began }) => Landing::Answered { answer, began, starter: self.starter },
            None => Landing::Lost,
        }
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, A: Send + Sync + 'static> Drop for Member<K, A> {
    fn drop(&mut self) {
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        if !self.seat.has_landed() {
            self.shared.feed(&self.seat.key, Event::Left { exchange: self.seat.exchange }, None);
        }
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, A: Send + Sync + 'static> Shared<K, A> {
    fn feed(self: &Arc<Self>, key: &K, event: Event, answer: Option<&Answer<A>>) {
        for deed in self.table.feed(key, event) {
            self.perform(key, deed, answer);
        }
    }

    /// Does a deed, outside the lock. `answer` is that of the event which led to it.
    fn perform(self: &Arc<Self>, key: &K, deed: Deed<K, A, Start<A>>, answer: Option<&Answer<A>>) {
        match deed {
            Deed::Launch(seat, start, at) => {
                self.running.fetch_add(1, Ordering::Relaxed);
                spawn(Crew { shared: Arc::clone(self), seat, at }.fly(start));
            }
            Deed::Wake(seat, How::Answered) => seat.land(answer.cloned()),
            Deed::Wake(seat, How::Lost) => seat.land(None),
            Deed::Ring(at) => spawn(ring(Arc::clone(self), key.clone(), at)),
            Deed::Forget(start) => drop(start),
        }
    }
}

/// The one that runs an exchange. However its task ends, it tells the machine, so that no member is stranded.
struct Crew<K: Hash + Eq + Clone + Send + Sync + 'static, A: Send + Sync + 'static> {
    shared: Arc<Shared<K, A>>,
    seat: Arc<Seat<K, A>>,
    at: Moment,
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, A: Send + Sync + 'static> Crew<K, A> {
    async fn fly(self, start: Start<A>) {
        let began = Began { at: self.at, exchange: self.seat.exchange };
        let exchange = async move { start(began).await };
        if let Ok(answer) = tokio::time::timeout(self.shared.patience, exchange).await {
            let answer = Answer { answer: Arc::new(answer), began: self.at };
            self.shared.feed(&self.seat.key, Event::Answered { exchange: self.seat.exchange }, Some(&answer));
        }
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, A: Send + Sync + 'static> Drop for Crew<K, A> {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::Relaxed);
        if !self.seat.has_landed() && !seeded(Fault::StrandLost) {
            self.shared.feed(&self.seat.key, Event::Lost { exchange: self.seat.exchange }, None);
        }
    }
}

async fn ring<K, A>(shared: Arc<Shared<K, A>>, key: K, at: Moment)
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    A: Send + Sync + 'static,
{
    // A loop, because the machine counts on a timer that is never early.
    loop {
        let left = at.since(shared.table.moment());
        if left.is_zero() {
            break;
        }
        tokio::time::sleep(left).await;
    }
    shared.feed(&key, Event::Gathered, None);
}

/// Spawns a task, or drops it where there is no runtime (any more): an exchange is lost by that, and says so.
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(task);
    }
}

impl<K, A> Clone for Flights<K, A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, A> fmt::Debug for Flights<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { waiting, running, .. } = &*self.0;
        f.debug_struct("Flights").field("waiting", waiting).field("running", running).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, A: Send + Sync + 'static> fmt::Debug for Member<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("exchange", &self.seat.exchange).finish_non_exhaustive()
    }
}
