//! Connections to the origin, one pool for checks and one for everything else.
//!
//! An HTTP/1.1 connection is used by one request at a time and comes back only when the answer was read to its end. The
//! one used last is used first, so that the surplus grows old and is closed. Until the origin has shown that it sends
//! nothing after its answers, a connection first waits in quarantine ([`super::trust`]). HTTP/2 needs one connection only,
//! shared by all requests.
//!
//! Permits bound the requests under way, over HTTP/2 too; parked connections make room when a new one is needed. Together
//! they keep the open connections of a pool within `origin.connections_max`. Those that wait for a permit are bounded by
//! `origin.queue_max`. A connection that was upgraded belongs to its tunnel and counts no more.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::body::Upload;
use super::connect::{Connector, Dialled};
use super::network::OriginCounters;
use super::preface::Awaiting;
use super::trust::{After, QUARANTINE, Trust};
use super::{OriginError, RequestBody};
use crate::clock::Clock;
use crate::config;
use crate::faults::{Fault, seeded};
use crate::rules::moment::Moment;

/// How long a connection may take to become ready again after its answer was read: the rest of a request's content that
/// the origin did not wait for.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// How many connections are in quarantine at once: enough to prove an origin sound in one go.
const QUARANTINED_MAX: usize = 8;

/// A connection of HTTP/1.1.
pub(super) struct H1 {
    pub(super) sender: http1::SendRequest<RequestBody>,
    pub(super) awaiting: Awaiting,
    pub(super) opened: Moment,
}

type H2 = http2::SendRequest<RequestBody>;

/// Which connection a request may get.
#[derive(Clone, Copy)]
pub(super) enum Want {
    Any,
    /// A new one; of HTTP/2, one younger than this generation.
    Fresh(u64),
}

/// A connection for one request.
pub(super) enum Link {
    /// One of HTTP/1.1, for this request alone.
    Own {
        lease: Lease,
        reused: bool,
    },
    Shared(Shared),
}

/// The use of the HTTP/2 connection by one request.
pub(super) struct Shared {
    pub(super) sender: H2,
    pub(super) generation: u64,
    pub(super) reused: bool,
    pub(super) permit: OwnedSemaphorePermit,
}

/// What a response holds until it was read.
pub(super) enum Held {
    Own(Lease),
    Shared(OwnedSemaphorePermit),
}

pub(super) struct Pool {
    connector: Arc<Connector>,
    connect_timeout: Duration,
    idle_timeout: Duration,
    age_max: Duration,
    idle_max: usize,
    clock: Clock,
    counters: Arc<OriginCounters>,
    trust: Arc<Mutex<Trust>>,
    permits: Arc<Semaphore>,
    /// How many wait for a permit, and how many may.
    waiting: AtomicUsize,
    queue_max: usize,
    parked: Mutex<Parked>,
    /// Held while dialling, so that a lost connection is replaced once.
    shared: tokio::sync::Mutex<Option<(u64, Moment, H2)>>,
    generations: AtomicU64,
    speaks_h2: AtomicBool,
    /// Grows with each desynchronisation; what was in use at that time does not come back.
    epoch: AtomicU64,
}

/// Connections without a request. Both lists are in order of time.
#[derive(Default)]
struct Parked {
    /// Since when, and the silence after what is still to be counted, once it has lasted.
    idle: VecDeque<(Moment, Option<After>, H1)>,
    quarantine: VecDeque<(Moment, After, H1)>,
    sweeping: bool,
}

impl Pool {
    pub(super) fn new(
        origin: &config::Origin,
        connector: Arc<Connector>,
        trust: Arc<Mutex<Trust>>,
        counters: Arc<OriginCounters>,
        clock: Clock,
    ) -> Arc<Self> {
        Arc::new(Self {
            connector,
            connect_timeout: origin.connect_timeout,
            idle_timeout: origin.idle_timeout,
            age_max: origin.age_max,
            idle_max: origin.idle_max,
            clock,
            counters,
            trust,
            permits: Arc::new(Semaphore::new(origin.connections_max.min(Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
            queue_max: origin.queue_max,
            parked: Mutex::default(),
            shared: tokio::sync::Mutex::default(),
            generations: AtomicU64::new(0),
            speaks_h2: AtomicBool::new(origin.protocol == config::OriginProtocol::H2),
            epoch: AtomicU64::new(0),
        })
    }

    /// A connection of HTTP/1.1 that is idle and may be used, if there is one.
    pub(super) fn at_hand(self: &Arc<Self>) -> Option<Link> {
        if self.speaks_h2.load(Ordering::Relaxed) {
            return None;
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let connection = self.take_idle()?;
        Some(Link::Own { lease: self.lease(connection, permit), reused: true })
    }

    /// A connection, within the connect timeout.
    pub(super) async fn acquire(self: &Arc<Self>, want: Want) -> Result<Link, OriginError> {
        let deadline = Instant::now() + self.connect_timeout;
        let permit = self.permit(deadline).await?;
        if self.speaks_h2.load(Ordering::Relaxed) {
            return self.acquire_shared(want, deadline, permit).await;
        }
        if let Want::Any = want
            && let Some(connection) = self.take_idle()
        {
            return Ok(Link::Own { lease: self.lease(connection, permit), reused: true });
        }
        self.make_room();
        match self.dial(deadline).await? {
            Dialled::H1(sender, awaiting) => {
                Ok(Link::Own { lease: self.lease(self.opened(sender, awaiting), permit), reused: false })
            }
            Dialled::H2(sender) => {
                self.speaks_h2.store(true, Ordering::Relaxed);
                let generation = self.next_generation();
                if let Ok(mut shared) = self.shared.try_lock() {
                    *shared = Some((generation, self.clock.moment(), sender.clone()));
                }
                Ok(Link::Shared(Shared { sender, generation, reused: false, permit }))
            }
        }
    }

    async fn acquire_shared(
        self: &Arc<Self>,
        want: Want,
        deadline: Instant,
        permit: OwnedSemaphorePermit,
    ) -> Result<Link, OriginError> {
        let locked = timeout_at(deadline, self.shared.lock()).await;
        let mut shared = locked.map_err(|_| OriginError::ConnectionTimeout)?;
        if let Some((generation, opened, sender)) = &*shared
            && !sender.is_closed()
            && self.clock.moment().since(*opened) < self.age_max
            && !matches!(want, Want::Fresh(after) if *generation <= after)
        {
            let (sender, generation) = (sender.clone(), *generation);
            return Ok(Link::Shared(Shared { sender, generation, reused: true, permit }));
        }
        *shared = None;
        match self.dial(deadline).await? {
            Dialled::H2(sender) => {
                let generation = self.next_generation();
                *shared = Some((generation, self.clock.moment(), sender.clone()));
                Ok(Link::Shared(Shared { sender, generation, reused: false, permit }))
            }
            // The origin changed its mind about ALPN.
            Dialled::H1(sender, awaiting) => {
                self.speaks_h2.store(false, Ordering::Relaxed);
                Ok(Link::Own { lease: self.lease(self.opened(sender, awaiting), permit), reused: false })
            }
        }
    }

    /// No further request may use that HTTP/2 connection: it did not answer.
    pub(super) fn forget(&self, generation: u64) {
        // Whoever holds the lock is replacing it already.
        if let Ok(mut shared) = self.shared.try_lock()
            && shared.as_ref().is_some_and(|(current, ..)| *current == generation)
        {
            *shared = None;
        }
    }

    /// Bytes came that nobody asked for, so every connection is suspect, and the origin with them.
    pub(super) fn desynchronised(&self) {
        self.counters.desyncs.fetch_add(1, Ordering::Relaxed);
        lock(&self.trust).broken();
        let mut parked = lock(&self.parked);
        self.epoch.fetch_add(1, Ordering::Relaxed);
        parked.idle.clear();
        parked.quarantine.clear();
    }

    async fn dial(self: &Arc<Self>, deadline: Instant) -> Result<Dialled, OriginError> {
        self.counters.dials.fetch_add(1, Ordering::Relaxed);
        // Boxed: dialling is rare, and takes three times as much room as all else that a request does at its origin.
        let dial = Box::pin(self.connector.dial(Arc::downgrade(self), deadline));
        let dialled = timeout_at(deadline, dial).await;
        dialled.unwrap_or(Err(OriginError::ConnectionTimeout))
    }

    async fn permit(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, OriginError> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let _place = Waiting::join(self).ok_or(OriginError::ConnectionLimit)?;
        let acquired = timeout_at(deadline, Arc::clone(&self.permits).acquire_owned()).await;
        acquired.ok().and_then(Result::ok).ok_or(OriginError::ConnectionLimit)
    }

    fn opened(&self, sender: http1::SendRequest<RequestBody>, awaiting: Awaiting) -> H1 {
        H1 { sender, awaiting, opened: self.clock.moment() }
    }

    fn lease(self: &Arc<Self>, connection: H1, permit: OwnedSemaphorePermit) -> Lease {
        Lease {
            connection,
            pool: Arc::clone(self),
            epoch: self.epoch.load(Ordering::Relaxed),
            permit,
            upload: None,
            declined: false,
        }
    }

    fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn take_idle(&self) -> Option<H1> {
        let now = self.clock.moment();
        let mut parked = lock(&self.parked);
        self.tidy(&mut parked, now);
        while let Some((since, after, connection)) = parked.idle.pop_back() {
            if !connection.sender.is_ready() {
                continue;
            }
            if let Some(after) = after.filter(|_| now.since(since) >= QUARANTINE) {
                lock(&self.trust).stayed_quiet(after, now);
            }
            return Some(connection);
        }
        None
    }

    /// Closes parked connections until the one about to be dialled is within `connections_max`.
    fn make_room(&self) {
        let mut parked = lock(&self.parked);
        while parked.len() > self.permits.available_permits() && parked.drop_oldest() {}
    }

    fn park(self: &Arc<Self>, connection: H1, epoch: u64, after: After) {
        let now = self.clock.moment();
        if connection.sender.is_closed() || now.since(connection.opened) >= self.age_max {
            return;
        }
        let suspect = !lock(&self.trust).is_sound(after, now) && !seeded(Fault::ReuseSuspect);
        let mut parked = lock(&self.parked);
        if epoch != self.epoch.load(Ordering::Relaxed) {
            return;
        }
        self.tidy(&mut parked, now);
        if !suspect {
            parked.idle.push_back((now, Some(after), connection));
        } else if parked.quarantine.len() < QUARANTINED_MAX.min(self.idle_max) {
            parked.quarantine.push_back((now.after(QUARANTINE), after, connection));
        }
        // A suspect that finds the quarantine full is closed here: under load, making room for each newcomer would let
        // none of them stay long enough to prove anything.
        while parked.len() > self.idle_max && parked.drop_oldest() {}
        if !parked.sweeping && parked.len() > 0 {
            parked.sweeping = true;
            self.sweep();
        }
    }

    /// Ends quarantines that are over, and drops what was idle for too long.
    fn tidy(&self, parked: &mut Parked, now: Moment) {
        while let Some((until, after, connection)) = parked.quarantine.pop_front_if(|(until, ..)| *until <= now) {
            // A connection that was closed proves nothing; stray bytes have been reported by its driver.
            if connection.sender.is_ready() {
                lock(&self.trust).stayed_quiet(after, now);
                // Idle since its answer, however late it is let out: the origin counts from there too.
                let since = until.before(QUARANTINE);
                let at = parked.idle.partition_point(|(other, ..)| *other <= since);
                parked.idle.insert(at, (since, None, connection));
            }
        }
        let expired = now.before(self.idle_timeout);
        let full = now.since(Moment::default()) >= self.idle_timeout;
        while full && parked.idle.pop_front_if(|(since, ..)| *since <= expired).is_some() {}
    }

    /// Keeps parked connections from outliving their time when no traffic comes by. Ends when nothing is parked.
    fn sweep(self: &Arc<Self>) {
        let pool = Arc::downgrade(self);
        let every = self.idle_timeout.max(QUARANTINE);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(pool) = pool.upgrade() else { return };
                let mut parked = lock(&pool.parked);
                pool.tidy(&mut parked, pool.clock.moment());
                if parked.len() == 0 {
                    parked.sweeping = false;
                    return;
                }
            }
        });
    }
}

impl Parked {
    fn len(&self) -> usize {
        self.idle.len() + self.quarantine.len()
    }

    fn drop_oldest(&mut self) -> bool {
        self.idle.pop_front().is_some() || self.quarantine.pop_front().is_some()
    }
}

/// A place among those that wait for a permit.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn join(pool: &'a Pool) -> Option<Self> {
        let more = |waiting: usize| (waiting < pool.queue_max).then_some(waiting + 1);
        let joined = pool.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        joined.is_ok().then_some(Self(&pool.waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The use of one HTTP/1.1 connection. Dropping it closes the connection; [`Lease::release`] gives it back.
pub(super) struct Lease {
    pub(super) connection: H1,
    pool: Arc<Pool>,
    epoch: u64,
    permit: OwnedSemaphorePermit,
    /// The content that goes out on it, if it is streamed.
    pub(super) upload: Option<Upload>,
    /// Whether the answer is an error: the origin wants no more content than it has.
    pub(super) declined: bool,
}

impl Lease {
    /// The answer was read to its end.
    pub(super) fn release(self, after: After) {
        let Self { mut connection, pool, epoch, permit, upload, declined } = self;
        if connection.sender.is_ready() {
            pool.park(connection, epoch, after);
            // Only now: whoever waits for the permit is to find the connection.
            drop(permit);
            return;
        }
        if connection.sender.is_closed() {
            return;
        }
        // RFC 9112 §9.3: content that an error answers early need not be sent to its end; who goes on sending it holds its
        // client, too.
        if let Some(upload) = upload.as_ref().filter(|_| declined) {
            return upload.stop();
        }
        // The driver has not come round to it yet, or is still writing the request's content.
        tokio::spawn(async move {
            match timeout(READY_WITHIN, connection.sender.ready()).await {
                Ok(Ok(())) => pool.park(connection, epoch, after),
                Ok(Err(_)) => {}
                Err(_) => upload.iter().for_each(Upload::stop),
            }
            drop(permit);
        });
    }
}

/// A panic while the lock was held cannot leave these lists in a state that matters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
