//! The request's path: the one place where decisions meet I/O.
//!
//! A request becomes an [`Ask`] (or passes), the ask a lookup, the lookup a [`Decision`]. What needs the origin goes
//! through the [flights](crate::flight), where requests for the same thing share one exchange that began after they all
//! arrived; what comes back is a reply. `read_ahead` reads content that says
//! what is asked, `exchange` asks the origin, `take_in` lets a new representation in, `pass`
//! forwards, `reply` renders.

mod checks;
mod digest;
mod draft;
mod exchange;
mod interim;
mod partial;
mod pass;
mod posted;
mod read_ahead;
mod reply;
mod take_in;
mod target;
mod twin;
mod visit;

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::Either;
use http::{HeaderValue, Request, Response, request};

use crate::access_log::AccessLog;
use crate::body::Body;
use crate::clock::Clock;
use crate::config::Config;
use crate::fill::FillMemory;
use crate::flight::{Began, Flights, Landing, Member, TooManyWaiters};
use crate::metrics::{EvictionCause, Metrics};
use crate::origin::{BoxError, Origin};
use crate::routes::Routes;
use crate::rules::ask::{self, Ask};
use crate::rules::decide::{Decision, decide, excused, excused_on_error, excused_part, servable};
use crate::rules::forwarding::{Marks, Via};
use crate::rules::groups::Groups;
use crate::rules::key::ExchangeKey;
use crate::rules::learn::Learned;
use crate::rules::lookup::Lookup;
use crate::rules::moment::Moment;
use crate::rules::outcome::{Excuse, PassReason, Refusal};
use crate::rules::policy::Policy;
use crate::rules::promise::Served;
use crate::rules::query::{self, Carried};
use crate::rules::range::Extent;
use crate::rules::stored::StoredResponse;
use crate::server::{Drain, InterimSink, Peer};
use crate::store::Store;

use self::exchange::{Found, digest_of};
use self::pass::Passed;
use self::read_ahead::{NoQuery, ReadAhead};
use self::reply::Reply;
use self::take_in::Fillings;
use self::target::Target;
use self::visit::{Ride, Visit, Watch};

pub use self::exchange::Answer;
pub use self::visit::Settled;

/// What outlives a change of configuration: what is stored, what is running, what is counted.
pub struct Shared<O: Origin> {
    /// The stored responses.
    pub store: Store,
    /// Exchanges running and queued.
    pub flights: Flights<ExchangeKey, Answer<O::Body>>,
    /// The budget of bodies being filled.
    pub fill_memory: Arc<FillMemory>,
    /// Ends client connections; tunnels hold it too.
    drain: Drain,
    /// Bodies being filled whose tag can be asked about.
    fillings: Fillings,
}

/// The proxy under one configuration.
pub struct Proxy<O: Origin> {
    origin: O,
    /// For digest endpoints on other hosts.
    elsewhere: Option<reqwest::Client>,
    shared: Arc<Shared<O>>,
    routes: Routes,
    /// Per route, in the order of the configuration.
    learned: Vec<Mutex<Learned>>,
    config: Arc<Config>,
    clock: Clock,
    watch: Arc<Watch>,
    /// What it adds to what it passes on.
    marks: Arc<Marks>,
}

/// Why no proxy can be made of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// There is no route; a loaded configuration always ends with one.
    #[error("the configuration has no route")]
    NoRoutes,
    /// A digest endpoint is on another host, and no client for it can be made.
    #[error("no client for digest endpoints: {0}")]
    DigestClient(#[from] reqwest::Error),
}

/// The response to a request, or the wait for it, which is boxed: so a connection holds what waiting takes only while a
/// request waits.
pub type Handled<B> = Either<Ready<Response<Body<B>>>, Pin<Box<dyn Future<Output = Response<Body<B>>> + Send>>>;

/// A request on its way to a reply.
struct Call<C> {
    head: request::Parts,
    content: ReadAhead<C>,
    target: Target,
    peer: Peer,
    policy: Arc<Policy>,
    arrived: Moment,
}

impl<C> Call<C> {
    /// The same, to be passed on; with the `ask` that took its fields.
    fn passing(self, why: PassReason, ask: Option<Arc<Ask>>) -> Passed<C> {
        let Self { mut head, content, target, peer, .. } = self;
        if let Some(ask) = &ask {
            head.headers.clone_from(ask.fields.received());
        }
        Passed { head, content, target, peer, why, ask }
    }
}

fn at_once<B>(response: Response<Body<B>>) -> Handled<B> {
    Either::Left(ready(response))
}

fn later<B>(response: impl Future<Output = Response<Body<B>>> + Send + 'static) -> Handled<B> {
    Either::Right(Box::pin(response))
}

/// How many times a request takes part in a shared exchange before it makes its own.
const FLIGHTS_MAX: usize = 2;

impl<O: Origin> Shared<O> {
    /// An empty store and no exchange running, within the bounds of `config`. An exchange that takes longer than all
    /// the origin's deadlines together counts as lost.
    #[must_use]
    pub fn new(config: &Config, drain: Drain, metrics: &Arc<Metrics>, clock: Clock) -> Self {
        let origin = &config.origin;
        let evictions = Arc::clone(metrics);
        let patience = 2 * (origin.connect_timeout + origin.response_timeout) + origin.progress_timeout;
        Self {
            store: Store::new(config.cache.memory, config.cache.variants_max, move || {
                evictions.evicted(EvictionCause::Size);
            }),
            flights: Flights::new(clock, config.limits.waiters, patience),
            fill_memory: Arc::new(FillMemory::new(config.cache.fill_memory)),
            drain,
            fillings: Fillings::default(),
        }
    }
}

impl<O: Origin> Proxy<O> {
    /// A proxy to `origin` under `config`, with what it shares with its predecessor.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(
        origin: O,
        config: Arc<Config>,
        shared: Arc<Shared<O>>,
        metrics: &Arc<Metrics>,
        access_log: &Arc<AccessLog>,
        clock: Clock,
    ) -> Result<Self, SetupError> {
        let names = config.routes.iter().map(|route| &*route.policy.name);
        let watch = Arc::new(Watch {
            metrics: Arc::clone(metrics),
            routes: metrics.install_routes(names),
            access_log: Arc::clone(access_log),
            clock,
        });
        Ok(Self {
            origin,
            elsewhere: digest::client(&config)?,
            shared,
            routes: Routes::new(config.routes.clone()).ok_or(SetupError::NoRoutes)?,
            learned: config.routes.iter().map(|_| Mutex::default()).collect(),
            marks: Arc::new(Marks {
                via: Via::new(&instance()),
                host: config.origin.host.as_deref().and_then(|host| HeaderValue::from_str(host).ok()),
            }),
            config,
            clock,
            watch,
        })
    }

    /// Looks at, or adds to, what the origin has shown on a route.
    fn learned<T>(&self, policy: &Policy, look: impl FnOnce(&mut Learned) -> T) -> T {
        match self.learned.get(policy.index) {
            // Plain data: a panic under the lock leaves nothing half done that matters.
            Some(learned) => look(&mut learned.lock().unwrap_or_else(PoisonError::into_inner)),
            None => look(&mut Learned::default()),
        }
    }

    /// Answers a request: at once where nothing has to be waited for.
    pub fn handle<C>(self: Arc<Self>, request: Request<C>, peer: Peer) -> Handled<O::Body>
    where
        C: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
    {
        let arrived = self.clock.moment();
        let target = Target::of(&request, &peer);
        let policy = self.routes.select(request.method(), target.authority(), request.uri().path());
        let host = || target.host().map(Into::into);
        let visit = Visit::begin(&self.watch, &request, host, policy, &peer, arrived);
        if let Some(refusal) = target.refusal(&request, &self.marks.via) {
            return at_once(self.render_refused(visit, refusal));
        }
        let policy = Arc::clone(policy);
        let (mut head, content) = request.into_parts();
        let carried = if content.is_end_stream() { Carried::Nothing } else { Carried::Content };
        let call = |head, target, peer, policy| Call {
            head,
            content: ReadAhead::nothing_of(content),
            target,
            peer,
            policy,
            arrived,
        };
        if query::is_expected(&head, &policy) {
            let call = call(head, target, peer, policy);
            return later(self.handle_query(call, visit));
        }
        let ask = match self.read(&mut head, carried, &target, &peer, &policy, arrived) {
            Ok(ask) => ask,
            Err(why) => {
                let call = call(head, target, peer, policy);
                return later(async move { self.pass(call.passing(why, None), visit).await });
            }
        };
        let lookup = self.look_up(&ask);
        match self.excused(&ask, &lookup, &policy) {
            Some(reply) if reply.dear_digests(&ask).is_empty() => at_once(self.render(&ask, visit, reply)),
            _ => {
                let call = call(head, target, peer, policy);
                later(self.handle_ask(call, Arc::new(ask), lookup, visit))
            }
        }
    }

    /// Answers a request whose content may say what is asked.
    async fn handle_query<C>(self: Arc<Self>, mut call: Call<C>, visit: Visit) -> Response<Body<O::Body>>
    where
        C: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
    {
        let read = match self.query(&call.head, &mut call.content, &call.policy).await {
            Ok(query) => {
                let Call { head, target, peer, policy, arrived, .. } = &mut call;
                self.read(head, Carried::Query(query), target, peer, policy, *arrived)
            }
            Err(NoQuery::Pass(why)) => Err(why),
            Err(NoQuery::Broken(error)) => return self.render_failed(visit, &error, Ride::default()),
        };
        match read {
            Ok(ask) => {
                let lookup = self.look_up(&ask);
                self.handle_ask(call, Arc::new(ask), lookup, visit).await
            }
            Err(why) => self.pass(call.passing(why, None), visit).await,
        }
    }

    /// Answers a request that is known to be one for a cache.
    async fn handle_ask<C>(
        self: Arc<Self>,
        call: Call<C>,
        ask: Arc<Ask>,
        lookup: Lookup,
        visit: Visit,
    ) -> Response<Body<O::Body>>
    where
        C: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
    {
        match self.answer(&ask, lookup, &call.policy, &call.peer.interim).await {
            Reply::Pass(why) => Box::pin(self.pass(call.passing(why, Some(ask)), visit)).await,
            reply => {
                for (stored, algorithm) in reply.dear_digests(&ask) {
                    digest_of(&stored, algorithm).await;
                }
                self.render(&ask, visit, reply)
            }
        }
    }

    /// Reads a request as a cache does, and takes its fields if it is one for a cache.
    fn read(
        &self,
        head: &mut request::Parts,
        carried: Carried,
        target: &Target,
        peer: &Peer,
        policy: &Policy,
        arrived: Moment,
    ) -> Result<Ask, PassReason> {
        let mut ask = ask::read(head, carried, target.scheme, target.authority(), policy, arrived)?;
        ask.fields.leave_by(self.hop(head.version, target, peer));
        ask.twin = self.twin(&ask);
        Ok(ask)
    }

    /// The reply from what is stored, where a policy excuses it.
    fn excused(&self, ask: &Ask, lookup: &Lookup, policy: &Policy) -> Option<Reply<O::Body>> {
        if let Some(reply) = self.excused_part(ask, policy) {
            return Some(reply);
        }
        let stored = servable(ask, lookup, policy)?;
        let invalidated = self.invalidated(ask, ask.held_at(), &stored.head().groups);
        let excused = excused(ask, stored, policy, invalidated, ask.arrived)?;
        // What is to be validated meanwhile is left to `answer`, which can.
        (excused.excuse() != Excuse::StaleWhileRevalidate).then(|| Reply::Stored {
            served: Served::Excused(excused),
            status: None,
            ride: Ride::default(),
        })
    }

    /// Finds the reply to an ask, for which `found` is stored: from the store where a policy excuses it, or by an exchange.
    async fn answer(
        self: &Arc<Self>,
        ask: &Arc<Ask>,
        found: Lookup,
        policy: &Arc<Policy>,
        interim: &InterimSink,
    ) -> Reply<O::Body> {
        let store = &self.shared.store;
        let mut flights = 0;
        let mut found = Some(found);
        loop {
            if let Some(reply) = self.excused_part(ask, policy) {
                return reply;
            }
            let lookup = found.take().unwrap_or_else(|| self.look_up(ask));
            let invalidated = servable(ask, &lookup, policy)
                .map(|stored| self.invalidated(ask, ask.held_at(), &stored.head().groups))
                .unwrap_or_default();
            let absent = match decide(ask, &lookup, policy, invalidated, self.clock.moment()) {
                Decision::Serve(excused) => {
                    if excused.excuse() == Excuse::StaleWhileRevalidate {
                        self.revalidate(ask, policy, &lookup);
                    }
                    let served = Served::Excused(excused);
                    return Reply::Stored { served, status: None, ride: Ride::default() };
                }
                Decision::Refuse(refusal) => return Reply::Refused(refusal),
                Decision::Pass(why) => return Reply::Pass(why),
                Decision::Fetch(_) => true,
                Decision::Check => false,
            };
            // What is not stored is asked for as the request asks; what is stored is asked about as a whole.
            let ranged = ask.range.is_some() && lookup.found().is_none();
            let extent = if ranged { Extent::Range } else { Extent::Whole };
            let key = ask.exchange_key(&lookup.vary(), extent);
            let forget = self.config.cache.uncacheable_for;
            let alone = flights >= FLIGHTS_MAX
                || !policy.collapse.enabled
                || (absent && store.is_uncacheable(&key, self.clock.moment(), forget));
            if alone {
                let exchange = self.exchange(ask, policy, extent, self.clock.moment(), interim.clone());
                // Boxed, as most wait for an exchange that runs elsewhere.
                let answer = Box::pin(exchange).await;
                // An exchange of one's own began after the request arrived and went out with its fields.
                return self.usable(ask, policy, &answer, true).unwrap_or(Reply::Refused(Refusal::WaitedOut));
            }
            flights += 1;
            // A second try is seated with what begins after the request arrived: that it can use.
            let lease = if flights > 1 || ask.demands_validation() { Duration::ZERO } else { policy.verify.lease() };
            match self.ride((key, extent), ask, policy, lease, interim.clone()).await {
                Err(refusal) => return Reply::Refused(refusal),
                Ok(None) => {}
                Ok(Some((answer, starter))) => match self.usable(ask, policy, &answer, starter) {
                    Some(reply) => return reply,
                    None if matches!(answer.found, Found::Alone { .. }) => flights = FLIGHTS_MAX,
                    None => {}
                },
            }
        }
    }

    /// Validates what is served stale meanwhile (RFC 5861 §3), unless an exchange for it runs already. Nobody waits for
    /// the answer; where too many requests wait, it is left to a later one.
    fn revalidate(self: &Arc<Self>, ask: &Arc<Ask>, policy: &Arc<Policy>, lookup: &Lookup) {
        let joined = self.join(
            (ask.exchange_key(&lookup.vary(), Extent::Whole), Extent::Whole),
            ask,
            policy,
            Duration::MAX,
            InterimSink::default(),
        );
        if let Some(member) = joined.ok().filter(Member::is_starter) {
            tokio::spawn(member.landed());
        }
    }

    /// Finds a place in an exchange that began at most `lease` before the request arrived.
    fn join(
        self: &Arc<Self>,
        (key, extent): (ExchangeKey, Extent),
        ask: &Arc<Ask>,
        policy: &Arc<Policy>,
        lease: Duration,
        interim: InterimSink,
    ) -> Result<Member<ExchangeKey, Answer<O::Body>>, TooManyWaiters> {
        let (proxy, asker, rules) = (Arc::clone(self), Arc::clone(ask), Arc::clone(policy));
        let start = move |began: Began| async move { proxy.exchange(&asker, &rules, extent, began.at, interim).await };
        self.shared.flights.join(key, ask.arrived, lease, &policy.collapse, start)
    }

    /// Takes part in a shared exchange; `None` when it was lost and another is worth a try.
    async fn ride(
        self: &Arc<Self>,
        (key, extent): (ExchangeKey, Extent),
        ask: &Arc<Ask>,
        policy: &Arc<Policy>,
        lease: Duration,
        interim: InterimSink,
    ) -> Result<Option<(Arc<Answer<O::Body>>, bool)>, Refusal> {
        let member = self.join((key, extent), ask, policy, lease, interim).map_err(|_| Refusal::Waiters)?;
        match tokio::time::timeout(self.config.limits.wait_max, member.landed()).await {
            Err(_) => Err(Refusal::WaitedOut),
            Ok(Landing::Lost) => Ok(None),
            Ok(Landing::Answered { answer, starter, .. }) => Ok(Some((answer, starter))),
        }
    }

    /// The reply that one member may make of an exchange's answer, or `None` when it may not use it.
    fn usable(
        &self,
        ask: &Arc<Ask>,
        policy: &Policy,
        answer: &Answer<O::Body>,
        starter: bool,
    ) -> Option<Reply<O::Body>> {
        let now = self.clock.moment();
        let invalidated = |groups: &Groups| self.invalidated(ask, ask.held_at(), groups);
        let stale = |stored: &Option<Arc<StoredResponse>>| {
            let stored = stored.as_ref()?;
            excused_on_error(ask, stored, policy, invalidated(&stored.head().groups), now).map(Served::Excused)
        };
        let ride = Ride { check: answer.check, collapsed: !starter };
        match &answer.found {
            Found::Confirmed(confirmation) => {
                // A batch that formed before `Vary` was known may hold requests that select another variant; the one
                // that went out with its own fields asked for itself.
                if !starter && !confirmation.response().selected_by(&ask.fields) {
                    return None;
                }
                let checked = confirmation.vouch(ask.arrived).map(Served::Checked);
                let excused = || {
                    let stored = confirmation.response();
                    excused(ask, stored, policy, invalidated(&stored.head().groups), now).map(Served::Excused)
                };
                let served = checked.or_else(excused)?;
                Some(Reply::Stored { served, status: Some(confirmation.status()), ride })
            }
            Found::ConfirmedPart(confirmation) => {
                if !starter && !confirmation.response().selected_by(&ask.fields) {
                    return None;
                }
                let checked = confirmation.vouch(ask.arrived).map(Served::Checked);
                let excused = || {
                    excused_part(
                        ask,
                        confirmation.response(),
                        policy,
                        invalidated(&confirmation.response().head().groups),
                        now,
                    )
                    .map(Served::Excused)
                };
                Reply::part(ask, checked.or_else(excused)?, Some(confirmation.status()), ride)
            }
            Found::Filled(filled) => {
                // It is on its way in under the own key, whatever was looked up.
                let invalidated = self.invalidated(ask, &ask.key, filled.groups());
                let reader = filled.reader(ask, policy, invalidated, now)?;
                Some(Reply::Filling { filled: filled.clone(), reader, ride })
            }
            Found::Alone(alone) => {
                // RFC 5861 §4: an error status counts as an error.
                let served = exchange::is_error(alone.status).then(|| stale(&alone.stored)).flatten();
                if let Some(served) = served {
                    return Some(Reply::Stored { served, status: Some(alone.status), ride });
                }
                let response = starter.then(|| alone.take()).flatten()?;
                Some(Reply::Alone { response, why: alone.why, skip: alone.skip, ride })
            }
            Found::Failed { error, stored } => Some(match stale(stored) {
                Some(served) => Reply::Stored { served, status: None, ride },
                None => Reply::Failed { error: error.clone(), ride },
            }),
        }
    }
}

/// This process's name in `Via`: like no other's, so that a request that comes back is known, and one that went through
/// another truehit is not taken for one that did.
fn instance() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("truehit-{:08x}", RandomState::new().hash_one(std::process::id()) >> 32)
}
