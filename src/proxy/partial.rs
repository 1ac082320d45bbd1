//! Parts at the origin: asking for a range, letting one in, asking about one, and asking for what one lacks.

use std::sync::Arc;

use http::{Method, Response, StatusCode, header};
use http_body::Body as _;

use super::Proxy;
use super::exchange::{Answer, Errand, Found, failed};
use super::reply::Reply;
use super::take_in::{Filled, Intake, Known};
use super::visit::Ride;
use crate::access_log::CheckNote;
use crate::metrics::CheckResult;
use crate::origin::{CloseDelimited, Origin, Purpose};
use crate::rules::admit::{Framing, admit};
use crate::rules::ask::Ask;
use crate::rules::completion::Completion;
use crate::rules::decide::{excused_part, shared_by_check};
use crate::rules::judge::{Exchange, part};
use crate::rules::learn::Shown;
use crate::rules::moment::Moment;
use crate::rules::outcome::{FetchReason, SkipReason, Why};
use crate::rules::partial::{self, Kept, PartialResponse, RecordedPart};
use crate::rules::policy::{Policy, Strategy};
use crate::rules::promise::Served;
use crate::rules::range::ContentRange;

impl<O: Origin> Proxy<O> {
    /// Asks for the request's own range; where a part that has it is stored, whether that is current.
    pub(super) async fn exchange_range(self: &Arc<Self>, errand: Errand, why: FetchReason) -> Answer<O::Body> {
        let answering = errand.part.clone().filter(|part| part.answers(&errand.ask).is_some());
        match answering.filter(|part| part.can_be_checked(&errand.policy)) {
            Some(part) => self.check_part(errand, &part, why).await,
            None => Answer { found: self.fetch_range(errand, why).await, check: None },
        }
    }

    /// The reply from a stored part that has what is asked for, where a policy excuses it.
    pub(super) fn excused_part(&self, ask: &Ask, policy: &Policy, now: Moment) -> Option<Reply<O::Body>> {
        ask.range.as_ref()?;
        let resource = self.shared.store.lookup(&ask.key)?;
        let part = resource.part(&ask.fields)?;
        let invalidated = self.invalidated(ask, &ask.key, &part.head().groups);
        let excused = excused_part(ask, part, policy, invalidated, now)?;
        Reply::part(ask, Served::Excused(excused), None, Ride::default())
    }

    async fn fetch_range(self: &Arc<Self>, errand: Errand, why: FetchReason) -> Found<O::Body> {
        match self.ask_origin(&errand, Purpose::Fetch, &mut || self.request(&errand, Method::GET)).await {
            Err(error) => failed(errand, error).0,
            Ok((response, exchange)) => self.take_in_range(errand, response, exchange, why),
        }
    }

    /// Asks whether a stored part is current, by a request that brings the new one if it is not: conditions come before
    /// ranges (RFC 9110 §13.2.2).
    async fn check_part(
        self: &Arc<Self>,
        errand: Errand,
        stored: &Arc<PartialResponse>,
        why: FetchReason,
    ) -> Answer<O::Body> {
        self.watch.route(&errand.policy, |route| route.strategy(Strategy::Conditional, Why::Validator.as_str()));
        let (began, policy) = (self.clock.moment(), Arc::clone(&errand.policy));
        let mut outgoing = || {
            let mut request = self.check_request(&errand, Method::GET);
            stored.set_condition(request.headers_mut());
            request
        };
        let (found, result) = match self.ask_origin(&errand, Purpose::Check, &mut outgoing).await {
            Err(error) => failed(errand, error),
            Ok((response, exchange)) if response.status() == StatusCode::NOT_MODIFIED => {
                let (answer, _no_body) = response.into_parts();
                match part::conditional(stored, &answer, &errand.policy, exchange) {
                    Some(confirmation) => {
                        self.shared.store.insert_part(&errand.ask.key, Arc::clone(confirmation.response()));
                        (Found::ConfirmedPart(confirmation), CheckResult::Same)
                    }
                    None => (self.fetch_range(errand, why).await, CheckResult::Unproven),
                }
            }
            Ok((response, exchange)) => {
                (self.take_in_range(errand, response, exchange, FetchReason::Changed), CheckResult::Changed)
            }
        };
        let elapsed = self.clock.moment().since(began);
        self.watch.route(&policy, |route| route.check(Strategy::Conditional, result, elapsed));
        Answer { found, check: Some(CheckNote { strategy: Strategy::Conditional, result, elapsed }) }
    }

    /// Lets in what a request for a range brought: a part that may be stored is recorded as it streams.
    fn take_in_range(
        self: &Arc<Self>,
        errand: Errand,
        response: Response<O::Body>,
        exchange: Exchange,
        why: FetchReason,
    ) -> Found<O::Body> {
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return self.take_in(errand, response, exchange, why, Known::default());
        }
        let (answer, body) = response.into_parts();
        let framing = framing(&answer, &body);
        let distrusted = self.learned(&errand.policy, |learned| learned.distrusted);
        match partial::admit(&errand.ask, &answer, framing, &errand.policy, exchange) {
            // Its tag is all by which a part can be checked.
            Ok(_) if distrusted => {
                self.alone(errand, Response::from_parts(answer, body), exchange, why, SkipReason::Partial)
            }
            // RFC 9110 §15.3.7: a 206 to `If-Range` leaves out what the client knows already: alone it is no head to
            // store.
            Ok(_) if on_condition(&errand) && errand.part.is_none() => {
                self.alone(errand, Response::from_parts(answer, body), exchange, why, SkipReason::Partial)
            }
            Ok((head, place)) => {
                // All of the representation is stored as that, if it is known to come.
                let range = framing.length.and_then(|length| place.range(length).ok());
                let all = range.is_some_and(ContentRange::is_all) && !on_condition(&errand);
                let part = (!all).then_some(place);
                self.fill(errand, Intake { part, ..Intake::whole(answer, head, why, exchange) }, body)
            }
            Err(skip) => self.alone(errand, Response::from_parts(answer, body), exchange, why, skip),
        }
    }

    /// Stores a part, with what is stored of the same representation already.
    pub(super) fn store_part(
        &self,
        errand: &Errand,
        filled: &Filled,
        part: RecordedPart,
        exchange: Exchange,
    ) -> Result<(), SkipReason> {
        let Errand { ask, policy, standing, .. } = errand;
        let store = &self.shared.store;
        let stored = store.lookup(&ask.key).and_then(|resource| resource.part(&ask.fields).cloned());
        let combined = stored.and_then(|stored| stored.combined(&part, &filled.fields, &ask.fields, policy, exchange));
        let kept = match combined {
            Some(kept) => kept,
            None if on_condition(errand) => return Err(SkipReason::Partial),
            None => Kept::of(filled.stored_head().clone(), part, &ask.fields, *standing)?,
        };
        match kept {
            Kept::Part(part) => store.insert_part(&ask.key, Arc::new(part)),
            Kept::Whole(whole) => self.put(ask, &ask.key, Arc::new(whole), shared_by_check(policy)),
        }
        Ok(())
    }

    /// Asks for what a stored part lacks; the answer to the request is the whole.
    pub(super) async fn complete(self: &Arc<Self>, errand: Errand, completion: Completion) -> Found<O::Body> {
        const WHY: FetchReason = FetchReason::Partial;
        let mut outgoing = || {
            let mut request = self.request(&errand, Method::GET);
            completion.set_range(request.headers_mut());
            request
        };
        let (response, exchange) = match self.ask_origin(&errand, Purpose::Fetch, &mut outgoing).await {
            Ok(answered) => answered,
            Err(error) => return failed(errand, error).0,
        };
        if !matches!(response.status(), StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE) {
            return self.take_in(errand, response, exchange, WHY, Known::default());
        }
        let (answer, body) = response.into_parts();
        let length = body.size_hint().exact();
        let completed = completion.judge(&answer, length, &errand.policy, exchange).and_then(|completed| {
            let framing = Framing { length: Some(completion.part().range().complete()), ..framing(&answer, &body) };
            let (head, at) = (&completed.head, exchange.answered.at);
            let admitted = admit(&errand.ask, &completed.answer, head, framing, &errand.policy, at);
            admitted.is_ok().then_some(completed)
        });
        match completed {
            Some(completed) => {
                let mut answer = completed.answer;
                let age = answer.headers.remove(header::AGE);
                answer.headers = completed.head.fields.to_map(1);
                age.into_iter().for_each(|age| drop(answer.headers.insert(header::AGE, age)));
                let before = completed.before.into_iter().collect();
                let intake = Intake {
                    answered: StatusCode::PARTIAL_CONTENT,
                    known: Known { before, after: completed.after, trailers: None },
                    ..Intake::whole(answer, completed.head, WHY, exchange)
                };
                self.fill(errand, intake, body)
            }
            // A range of something else: the part is of no use, and the request is for the whole.
            None => {
                if completion.is_unvalidated() {
                    self.learn(&errand, Shown::RestUseless);
                }
                self.shared.store.remove_part(&errand.ask.key, completion.part());
                self.fetch(errand, WHY).await
            }
        }
    }
}

/// Whether the request carries the client's own `If-Range`.
fn on_condition(errand: &Errand) -> bool {
    errand.ask.range.as_ref().is_some_and(crate::rules::range::RangeRequest::is_conditional)
}

/// What is known of a body before it arrives.
pub(super) fn framing<B: http_body::Body>(answer: &http::response::Parts, body: &B) -> Framing {
    Framing { length: body.size_hint().exact(), close_delimited: answer.extensions.get::<CloseDelimited>().is_some() }
}
