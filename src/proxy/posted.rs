//! A POST whose response may answer later GETs of its target.
//!
//! It passes like any other, and what is stored for its target is invalidated. Only then is its response let in, as that
//! of a GET with the POST's own fields, and by the rules of the route that such a GET would take. A POST itself is never
//! answered from the store.

use std::sync::Arc;

use http::{Method, request, response};

use super::Proxy;
use super::exchange::Errand;
use super::read_ahead::ReadAhead;
use super::take_in::Intake;
use super::target::Target;
use crate::fill::Reader;
use crate::origin::{Origin, Purpose};
use crate::rules::ask::{self, Ask};
use crate::rules::judge::Exchange;
use crate::rules::moment::Now;
use crate::rules::outcome::FetchReason;
use crate::rules::policy::{Policy, Verify};
use crate::rules::posted::answers_gets;
use crate::rules::query::Carried;
use crate::rules::range::Extent;
use crate::rules::stored::Standing;
use crate::server::{InterimSink, Peer};
use crate::store::Invalidation;

/// A POST on its way, as the GET that its response may answer.
pub(super) struct Posted {
    ask: Arc<Ask>,
    policy: Arc<Policy>,
    asked: Now,
    /// The invalidation epoch in which it left.
    epoch: u64,
}

impl<O: Origin> Proxy<O> {
    /// Reads a POST that is about to leave as a GET, if one of its target could be answered from the store.
    pub(super) fn posted<C>(
        &self,
        head: &request::Parts,
        content: &ReadAhead<C>,
        target: &Target,
        peer: &Peer,
    ) -> Option<Posted> {
        if head.method != Method::POST || content.is_query() {
            return None;
        }
        let policy = self.routes.select(&Method::GET, target.authority(), head.uri.path());
        if policy.verify != Verify::WhenStale {
            return None;
        }
        let asked = self.clock.now();
        let mut get = head.clone();
        get.method = Method::GET;
        let mut ask =
            ask::read(&mut get, Carried::Nothing, target.scheme, target.authority(), policy, asked.at).ok()?;
        ask.fields.leave_by(self.hop(head.version, target, peer));
        let epoch = self.shared.store.epoch();
        Some(Posted { ask: Arc::new(ask), policy: Arc::clone(policy), asked, epoch })
    }

    /// Lets the response to a POST in, if it answers GETs: gives a reader for the client, or the body back. `posted` comes
    /// with what the POST itself invalidated, of which it is not.
    pub(super) fn record(
        self: &Arc<Self>,
        posted: Option<(Posted, Invalidation)>,
        target: &Target,
        answer: &response::Parts,
        body: O::Body,
    ) -> Result<Reader, O::Body> {
        let Some((Posted { ask, policy, asked, epoch }, invalidation)) = posted else { return Err(body) };
        // What else invalidated the target, or the groups of the answer, since the POST left may have come after it.
        if invalidation.before > epoch {
            return Err(body);
        }
        let standing = Standing { confirmed: asked.at, epoch: invalidation.opened };
        let exchange = Exchange { standing, asked: asked.wall, answered: self.clock.now() };
        let errand = Errand {
            ask,
            policy,
            extent: Extent::Whole,
            standing,
            stored: None,
            part: None,
            remembered: None,
            interim: InterimSink::default(),
        };
        let Ok(head) = self.admits(&errand, answer, &body, exchange) else { return Err(body) };
        let Errand { ask, policy, .. } = &errand;
        if !answers_gets(target.scheme, target.authority(), &ask.target, answer, &head, policy) {
            return Err(body);
        }
        let intake =
            Intake { purpose: Purpose::Pass, ..Intake::whole(answer.clone(), head, FetchReason::Absent, exchange) };
        let (filled, opened) = self.open(&errand, intake);
        // Taken before the body is: there is no asking again for what would be missed.
        let Some(reader) = filled.first_reader() else { return Err(body) };
        self.take_body(errand, filled, body, opened);
        Ok(reader)
    }
}
