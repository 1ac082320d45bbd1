//! `Visit`: one request as the log and the metrics see it, settled exactly once.
//!
//! A visit begins when a request's head has been read and is settled when its response's head is known; the body then
//! carries [`Settled`], which counts bytes and records everything when it is dropped. A client that leaves before there
//! is a response drops the visit unsettled, and that is recorded too.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::{Method, Request, StatusCode, Uri};

use crate::access_log::{AccessLog, CheckNote, Entry};
use crate::clock::Clock;
use crate::metrics::{Metrics, RouteMetrics};
use crate::origin::{OriginError, Purpose};
use crate::rules::moment::Moment;
use crate::rules::outcome::{Kind, Outcome};
use crate::rules::policy::Policy;
use crate::rules::refusal::Refusal;
use crate::server::Peer;

/// The status that is logged for a client that left before there was a response; it is never sent.
const CLIENT_LEFT: u16 = 499;

/// What counts and logs requests.
pub(super) struct Watch {
    pub(super) metrics: Arc<Metrics>,
    /// Per route, in the order of the configuration.
    pub(super) routes: Arc<Vec<Arc<RouteMetrics>>>,
    pub(super) access_log: Arc<AccessLog>,
    pub(super) clock: Clock,
}

impl Watch {
    /// Does something with the metrics of a route.
    pub(super) fn route(&self, policy: &Policy, count: impl FnOnce(&RouteMetrics)) {
        // Policies are numbered in the order in which the routes were installed.
        if let Some(route) = self.routes.get(policy.index) {
            count(route);
        }
    }
}

/// What a request has been through on its way to a reply.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ride {
    /// The check that was made for it, if one was.
    pub(super) check: Option<CheckNote>,
    /// Whether it rode on another request's exchange.
    pub(super) collapsed: bool,
}

/// A request whose response is not known yet. Until it is, the outcome is that the client left.
pub(super) struct Visit {
    settled: Settled,
}

/// What only the log wants to know.
struct Facts {
    arrived: SystemTime,
    method: Method,
    host: Option<Box<str>>,
    uri: Uri,
    peer: IpAddr,
}

impl Visit {
    /// A request has arrived.
    pub(super) fn begin<C>(
        watch: &Arc<Watch>,
        request: &Request<C>,
        host: impl FnOnce() -> Option<Box<str>>,
        policy: &Arc<Policy>,
        peer: &Peer,
        arrived: Moment,
    ) -> Self {
        watch.metrics.request_began();
        let facts = watch.access_log.is_on().then(|| {
            Box::new(Facts {
                arrived: watch.clock.wall(),
                method: request.method().clone(),
                host: host(),
                uri: request.uri().clone(),
                peer: peer.address.ip(),
            })
        });
        let settled = Settled {
            watch: Arc::clone(watch),
            policy: Arc::clone(policy),
            arrived,
            facts,
            outcome: Outcome::new(Kind::Refused, Refusal::ClientLeft.as_str()),
            status: StatusCode::from_u16(CLIENT_LEFT).unwrap_or(StatusCode::BAD_REQUEST),
            check: None,
            bytes: 0,
        };
        Self { settled }
    }

    /// The rules of the request's route.
    pub(super) fn policy(&self) -> &Policy {
        &self.settled.policy
    }

    /// The response's head is known.
    pub(super) fn settle(self, outcome: Outcome, status: StatusCode, ride: Ride) -> Settled {
        let Self { mut settled } = self;
        settled.outcome = Outcome { collapsed: ride.collapsed, ..outcome };
        settled.status = status;
        settled.check = ride.check;
        settled
    }
}

/// A request whose response is on its way out. Dropping it records the request.
pub struct Settled {
    watch: Arc<Watch>,
    policy: Arc<Policy>,
    arrived: Moment,
    facts: Option<Box<Facts>>,
    outcome: Outcome,
    status: StatusCode,
    check: Option<CheckNote>,
    bytes: u64,
}

impl std::fmt::Debug for Settled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settled").field("outcome", &self.outcome).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Settled {
    /// Bytes of content went out.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Bytes of content came from the origin and went straight on.
    pub(crate) fn received(&self, purpose: Purpose, bytes: usize) {
        self.watch.metrics.origin_body_bytes(purpose, bytes as u64);
    }

    /// The body broke off: the response's head had promised more.
    pub(crate) fn broke_off(&mut self, error: &OriginError) {
        self.outcome = Outcome { kind: Kind::Failed, reason: error.as_str(), ..self.outcome };
    }

    /// The rules of the request's route.
    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The outcome, as it stands.
    pub(super) const fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        let Self { watch, policy, arrived, facts, .. } = &*self;
        let elapsed = watch.clock.moment().since(*arrived);
        watch.route(policy, |route| route.request(&self.outcome, self.status, elapsed));
        watch.metrics.request_ended();
        watch.metrics.client_body_bytes(self.bytes);
        if self.outcome.is_hit() == Some(true) {
            watch.metrics.saved_bytes(self.bytes);
        }
        if let Some(facts) = facts {
            watch.access_log.record(&Entry {
                arrived: facts.arrived,
                method: &facts.method,
                route: &policy.name,
                host: facts.host.as_deref(),
                path: facts.uri.path(),
                query: facts.uri.query(),
                status: self.status,
                bytes: self.bytes,
                elapsed,
                outcome: &self.outcome,
                check: self.check,
                peer: Some(facts.peer),
            });
        }
    }
}
