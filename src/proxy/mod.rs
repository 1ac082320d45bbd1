//! The request's path: the one place where decisions meet I/O.
//!
//! A request becomes an [`Ask`] (or passes), the ask a lookup, the lookup a
//! [`Decision`](crate::rules::decide::Decision). What a policy excuses is answered in the call; for the rest, `answer` goes
//! through the [flights](crate::flight), where requests for the same thing share one exchange that began after they all
//! arrived. `read_ahead` reads content that says what is asked, `exchange` asks the origin, `take_in` lets a new
//! representation in, `pass` forwards, `reply` renders.

mod answer;
mod audit;
mod bounded;
mod breaker;
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

use bytes::Bytes;
use futures_util::future::Either;
use http::{HeaderValue, Request, Response, Version, header, request};

use crate::access_log::AccessLog;
use crate::body::Body;
use crate::clock::Clock;
use crate::config::Config;
use crate::fill::FillMemory;
use crate::flight::Flights;
use crate::metrics::{EvictionCause, Metrics};
use crate::origin::{BoxError, Origin};
use crate::routes::Routes;
use crate::rules::ask::{self, Ask};
use crate::rules::forwarding::{Marks, Via};
use crate::rules::key::ExchangeKey;
use crate::rules::learn::Learned;
use crate::rules::moment::Moment;
use crate::rules::outcome::PassReason;
use crate::rules::policy::Policy;
use crate::rules::query::{self, Carried};
use crate::rules::refusal::Refusal;
use crate::rules::wellformed::{self, Lengths};
use crate::server::{Drain, Peer};
use crate::store::Store;

use self::answer::Step;
use self::exchange::digest_of;
use self::pass::Passed;
use self::read_ahead::{NoQuery, ReadAhead};
use self::reply::Reply;
use self::take_in::Fillings;
use self::target::Target;
use self::visit::{Ride, Visit, Watch};

pub use self::breaker::OriginBreaker;
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
    /// Whether the origin is asked.
    pub breaker: OriginBreaker,
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
    /// Whom a request is for that does not say: HTTP/1.0 has no `Host`.
    own_authority: HeaderValue,
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

/// A request that has to wait for its reply.
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
    fn passing(mut self: Box<Self>, why: PassReason, ask: Option<Arc<Ask>>) -> Passed<C> {
        if let Some(ask) = &ask {
            self.head.headers.clone_from(ask.fields.received());
        }
        Passed { call: self, why, ask }
    }
}

fn at_once<B>(response: Response<Body<B>>) -> Handled<B> {
    Either::Left(ready(response))
}

fn later<B>(response: impl Future<Output = Response<Body<B>>> + Send + 'static) -> Handled<B> {
    Either::Right(Box::pin(response))
}

impl<O: Origin> Shared<O> {
    /// An empty store and no exchange running, within the bounds of `config`. An exchange that takes longer than all
    /// the origin's deadlines together counts as lost.
    #[must_use]
    pub fn new(config: &Config, drain: Drain, metrics: &Arc<Metrics>, clock: Clock) -> Self {
        let origin = &config.origin;
        let evictions = Arc::clone(metrics);
        // An audit is three of them.
        let patience = 3 * (origin.connect_timeout + origin.response_timeout) + origin.progress_timeout;
        Self {
            store: Store::new(config.cache.memory, config.cache.variants_max, move || {
                evictions.evicted(EvictionCause::Size);
            }),
            flights: Flights::new(clock, config.limits.waiters, patience),
            fill_memory: Arc::new(FillMemory::new(config.cache.body_bytes())),
            breaker: OriginBreaker::new(origin.breaker),
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
        shared.breaker.configure(config.origin.breaker);
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
            own_authority: HeaderValue::try_from(config.origin.place.authority())
                .unwrap_or(HeaderValue::from_static("localhost")),
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
        let target = Target::of(&request, &peer, &self.own_authority);
        let policy = self.routes.select(request.method(), target.authority(), request.uri().path());
        let host = || target.host().map(Into::into);
        let visit = Visit::begin(&self.watch, &request, host, policy, &peer, arrived);
        if let Some(refusal) = self.refusal(&request) {
            let mut response = self.render_refused(visit, refusal);
            if refusal.ends_connection() && request.version() < Version::HTTP_2 {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            return at_once(response);
        }
        let policy = Arc::clone(policy);
        let (mut head, content) = request.into_parts();
        let carried = if content.is_end_stream() { Carried::Nothing } else { Carried::Content };
        let call = |head, target, peer, policy| {
            Box::new(Call { head, content: ReadAhead::nothing_of(content), target, peer, policy, arrived })
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
        match self.step(&ask, &policy, arrived) {
            Step::Reply(reply) if reply.is_ready(&ask) => at_once(self.render(&ask, visit, reply)),
            step => {
                let call = call(head, target, peer, policy);
                later(self.handle_ask(call, Arc::new(ask), step, visit))
            }
        }
    }

    /// Answers a request whose content may say what is asked.
    async fn handle_query<C>(self: Arc<Self>, mut call: Box<Call<C>>, visit: Visit) -> Response<Body<O::Body>>
    where
        C: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
    {
        let read = match self.query(&call.head, &mut call.content, &call.policy).await {
            Ok(query) => {
                let Call { head, target, peer, policy, arrived, .. } = &mut *call;
                self.read(head, Carried::Query(query), target, peer, policy, *arrived)
            }
            Err(NoQuery::Pass(why)) => Err(why),
            Err(NoQuery::Broken(error)) => return self.render_failed(visit, &error, Ride::default()),
        };
        match read {
            Ok(ask) => {
                let step = self.step(&ask, &call.policy, self.clock.moment());
                self.handle_ask(call, Arc::new(ask), step, visit).await
            }
            Err(why) => self.pass(call.passing(why, None), visit).await,
        }
    }

    /// Answers a request that is known to be one for a cache.
    async fn handle_ask<C>(
        self: Arc<Self>,
        call: Box<Call<C>>,
        ask: Arc<Ask>,
        step: Step<O::Body>,
        visit: Visit,
    ) -> Response<Body<O::Body>>
    where
        C: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
    {
        match self.answer(&ask, step, &call.policy, &call.peer.interim).await {
            Reply::Pass(why) => Box::pin(self.pass(call.passing(why, Some(ask)), visit)).await,
            reply => {
                for (stored, algorithm) in reply.dear_digests(&ask) {
                    digest_of(&stored, algorithm).await;
                }
                self.render(&ask, visit, reply)
            }
        }
    }

    /// Why a request is answered here, before anything is made of it, if it is.
    fn refusal<C>(&self, request: &Request<C>) -> Option<Refusal> {
        let limits = &self.config.limits;
        if self.watch.metrics.requests_in_flight() > limits.requests {
            return Some(Refusal::Requests);
        }
        let lengths = Lengths { target: limits.target_bytes, content: limits.content_bytes };
        let loops = || self.marks.via.loops(request.headers()).then_some(Refusal::Loop);
        wellformed::refusal(request, lengths).or_else(loops)
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
}

/// This process's name in `Via`: like no other's, so that a request that comes back is known, and one that went through
/// another truehit is not taken for one that did.
fn instance() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("truehit-{:08x}", RandomState::new().hash_one(std::process::id()) >> 32)
}
