//! The reply to a request that a cache may answer: from the store where a policy excuses it, or by an exchange, shared
//! with whoever may share it.

use std::sync::Arc;
use std::time::Duration;

use super::Proxy;
use super::exchange::{self, Answer, Found, Remembered, Wanted};
use super::reply::Reply;
use super::visit::Ride;
#[cfg(feature = "seeded-faults")]
use crate::faults::{Fault, seeded};
use crate::flight::{Began, Landing, Member, TooManyWaiters};
use crate::metrics::Metrics;
use crate::origin::Origin;
use crate::rules::ask::Ask;
#[cfg(feature = "seeded-faults")]
use crate::rules::decide::unexcused;
use crate::rules::decide::{Decision, decide, excused, excused_on_error, excused_part, servable};
use crate::rules::groups::Groups;
use crate::rules::key::ExchangeKey;
use crate::rules::lookup::Lookup;
use crate::rules::moment::Moment;
use crate::rules::outcome::Excuse;
use crate::rules::policy::Policy;
use crate::rules::promise::Served;
use crate::rules::range::Extent;
use crate::rules::refusal::Refusal;
use crate::rules::stored::StoredResponse;
use crate::server::InterimSink;

/// How many times a request takes part in a shared exchange before it makes its own.
const FLIGHTS_MAX: usize = 2;

/// What follows for an ask from what is stored.
pub(super) enum Step<B> {
    /// This reply.
    Reply(Reply<B>),
    /// This reply, while what was found is validated.
    ReplyAndValidate(Reply<B>, Lookup),
    /// The origin is to be asked; `absent` says that nothing is stored for it.
    Exchange { lookup: Lookup, absent: bool },
}

/// Counts a panic of a shared exchange. It is nobody's request, so no handler's panic is counted; those who wait for it
/// make another.
struct CountedPanic<'a>(&'a Metrics);

impl Drop for CountedPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.handler_panicked();
        }
    }
}

impl<O: Origin> Proxy<O> {
    /// Looks at what is stored for an ask, and decides.
    pub(super) fn step(&self, ask: &Ask, policy: &Policy, now: Moment) -> Step<O::Body> {
        if let Some(reply) = self.excused_part(ask, policy, now) {
            return Step::Reply(reply);
        }
        let lookup = self.look_up(ask);
        let invalidated = servable(ask, &lookup, policy)
            .map(|stored| self.invalidated(ask, ask.held_at(), &stored.head().groups))
            .unwrap_or_default();
        match decide(ask, &lookup, policy, invalidated, now) {
            Decision::Serve(excused) => {
                let validates = excused.excuse() == Excuse::StaleWhileRevalidate;
                let served = Served::Excused(excused);
                let reply = Reply::Stored { served, status: None, ride: Ride::default() };
                if validates { Step::ReplyAndValidate(reply, lookup) } else { Step::Reply(reply) }
            }
            Decision::Refuse(refusal) => Step::Reply(Reply::Refused(refusal)),
            Decision::Pass(why) => Step::Reply(Reply::Pass(why)),
            Decision::Fetch(_) => Step::Exchange { lookup, absent: true },
            Decision::Check => Step::Exchange { lookup, absent: false },
        }
    }

    /// Finds the reply to an ask, whose first step is known: from the store where a policy excuses it, or by an exchange.
    pub(super) async fn answer(
        self: &Arc<Self>,
        ask: &Arc<Ask>,
        mut step: Step<O::Body>,
        policy: &Arc<Policy>,
        interim: &InterimSink,
    ) -> Reply<O::Body> {
        let store = &self.shared.store;
        let is_believed = |since| self.clock.moment().since(since) < self.config.cache.uncacheable_for;
        let mut flights = 0;
        loop {
            let (lookup, absent) = match step {
                Step::Reply(reply) => return reply,
                Step::ReplyAndValidate(reply, lookup) => {
                    self.revalidate(ask, policy, &lookup);
                    return reply;
                }
                Step::Exchange { lookup, absent } => (lookup, absent),
            };
            // What is not stored is asked for as the request asks; what is stored is asked about as a whole.
            let ranged = ask.range.is_some() && lookup.found().is_none();
            let extent = if ranged { Extent::Range } else { Extent::Whole };
            let key = ask.exchange_key(&lookup.vary(), extent);
            let since = if absent { store.uncacheable_since(&key) } else { None };
            let alone = flights >= FLIGHTS_MAX || !policy.collapse.enabled || since.is_some_and(is_believed);
            let wanted = Wanted { extent, remembered: Remembered { key, since }, interim: interim.clone() };
            if alone {
                let exchange = self.exchange(ask, policy, wanted, self.clock.moment());
                // Boxed, as most wait for an exchange that runs elsewhere.
                let answer = Box::pin(exchange).await;
                // An exchange of one's own began after the request arrived and went out with its fields.
                return self.usable(ask, policy, &answer, true).unwrap_or(Reply::Refused(Refusal::WaitedOut));
            }
            flights += 1;
            // A second try is seated with what begins after the request arrived: that it can use.
            let lease = if flights > 1 || ask.demands_validation() { Duration::ZERO } else { policy.verify.lease() };
            match self.ride(wanted, ask, policy, lease).await {
                Err(refusal) => return Reply::Refused(refusal),
                Ok(None) => {}
                Ok(Some((answer, starter))) => match self.usable(ask, policy, &answer, starter) {
                    Some(reply) => return reply,
                    None if matches!(answer.found, Found::Alone { .. }) => flights = FLIGHTS_MAX,
                    None => {}
                },
            }
            step = self.step(ask, policy, self.clock.moment());
        }
    }

    /// Validates what is served stale meanwhile (RFC 5861 §3), unless an exchange for it runs already. Nobody waits for
    /// the answer; where too many requests wait, it is left to a later one.
    fn revalidate(self: &Arc<Self>, ask: &Arc<Ask>, policy: &Arc<Policy>, lookup: &Lookup) {
        let wanted = Wanted {
            extent: Extent::Whole,
            remembered: Remembered { key: ask.exchange_key(&lookup.vary(), Extent::Whole), since: None },
            interim: InterimSink::default(),
        };
        let joined = self.join(wanted, ask, policy, Duration::MAX);
        if let Some(member) = joined.ok().filter(Member::is_starter) {
            tokio::spawn(member.landed());
        }
    }

    /// Finds a place in an exchange that began at most `lease` before the request arrived.
    fn join(
        self: &Arc<Self>,
        wanted: Wanted,
        ask: &Arc<Ask>,
        policy: &Arc<Policy>,
        lease: Duration,
    ) -> Result<Member<ExchangeKey, Answer<O::Body>>, TooManyWaiters> {
        let (proxy, asker, rules) = (Arc::clone(self), Arc::clone(ask), Arc::clone(policy));
        let key = wanted.remembered.key.clone();
        let start = move |began: Began| async move {
            let _counted = CountedPanic(&proxy.watch.metrics);
            // What an exchange brought that ended between this request's look and its joining needs no other.
            let answered = || matches!(proxy.step(&asker, &rules, proxy.clock.moment()), Step::Reply(_));
            if !lease.is_zero() && answered() {
                return Answer { found: Found::Stored, check: None };
            }
            proxy.exchange(&asker, &rules, wanted, began.at).await
        };
        self.shared.flights.join(key, ask.arrived, lease, &policy.collapse, start)
    }

    /// Takes part in a shared exchange; `None` when it was lost and another is worth a try.
    async fn ride(
        self: &Arc<Self>,
        wanted: Wanted,
        ask: &Arc<Ask>,
        policy: &Arc<Policy>,
        lease: Duration,
    ) -> Result<Option<(Arc<Answer<O::Body>>, bool)>, Refusal> {
        let member = self.join(wanted, ask, policy, lease).map_err(|_| Refusal::Waiters)?;
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
            Found::Stored => None,
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
            Found::Filled { filled, .. } => {
                #[cfg(feature = "seeded-faults")]
                if seeded(Fault::ServeStored)
                    && let Some(stored) = self.look_up(ask).found()
                {
                    let served = Served::Excused(unexcused(stored));
                    return Some(Reply::Stored { served, status: None, ride });
                }
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
