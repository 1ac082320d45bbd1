//! The checks: each strategy's question, and what follows from the judgement of its answer.
//!
//! Each gives what was found and how to count it. What an answer does not prove is settled by bytes: a full GET held
//! against the stored content.

use std::sync::Arc;

use http::{HeaderMap, Method, Response, StatusCode, header, response};
use http_body::Body as _;
use http_body_util::BodyExt;

use super::Proxy;
use super::exchange::{Answer, Errand, Found, contradicts, digest_of, failed, sha256_of};
use super::take_in::{Filled, Known};
use crate::access_log::CheckNote;
use crate::metrics::CheckResult;
use crate::origin::{Origin, OriginError, Purpose};
use crate::rules::integrity::{self, WANT_REPR_DIGEST};
use crate::rules::judge::{self, Comparison, Exchange, Verdict};
use crate::rules::learn::Shown;
use crate::rules::outcome::{FetchReason, Unproven};
use crate::rules::policy::{DigestEndpoint, Strategy};
use crate::rules::question::{self, Check};
use crate::rules::validator::EntityTag;

/// The answer to a conditional request, and what it says.
pub(super) struct Judged<B> {
    pub(super) verdict: Verdict,
    answer: response::Parts,
    body: B,
    exchange: Exchange,
}

impl<O: Origin> Proxy<O> {
    pub(super) async fn check_conditional(
        self: &Arc<Self>,
        errand: Errand,
        check: Check,
    ) -> (Found<O::Body>, CheckResult) {
        let Judged { verdict, answer, body, exchange } = match self.judge_conditional(&errand, &check).await {
            Ok(judged) => judged,
            Err(error) => return failed(errand, error),
        };
        match verdict {
            Verdict::Same(confirmation) => {
                self.learn(&errand, Shown::NotModified);
                let bare = answer.status == StatusCode::NOT_MODIFIED && !answer.headers.contains_key(header::ETAG);
                let tagged = check.candidates.iter().any(|stored| stored.head().tag.is_some());
                self.upheld(errand, check, confirmation, bare && tagged).await
            }
            Verdict::Answered | Verdict::Changed => {
                let response = Response::from_parts(answer, body);
                if repeats_tag(&check, response.headers()) && response.status() == StatusCode::OK {
                    self.learn(&errand, Shown::ConditionIgnored);
                    return Box::pin(self.compare(errand, &check, response, exchange)).await;
                }
                (self.take_in(errand, response, exchange, FetchReason::Changed, Known::default()), CheckResult::Changed)
            }
            Verdict::Unproven(why) => Box::pin(self.unproven(errand, check, why)).await,
        }
    }

    pub(super) async fn check_head(self: &Arc<Self>, errand: Errand, check: Check) -> (Found<O::Body>, CheckResult) {
        let verdict = match self.judge_head(&errand, &check).await {
            Ok(verdict) => verdict,
            Err(error) => return failed(errand, error),
        };
        match verdict {
            Verdict::Same(confirmation) => {
                self.learn(&errand, Shown::HeadComparable);
                self.upheld(errand, check, confirmation, false).await
            }
            // HEAD's fields may differ from GET's for no better reason than that it is HEAD: the bytes tell.
            Verdict::Changed | Verdict::Answered => {
                let mut outgoing = || self.request(&errand, Method::GET);
                let (response, exchange) = match self.ask_origin(&errand, Purpose::Fetch, &mut outgoing).await {
                    Ok(answered) => answered,
                    Err(error) => return failed(errand, error),
                };
                let (found, result) = self.compare(errand.clone(), &check, response, exchange).await;
                let lied = result == CheckResult::Same;
                self.learn(&errand, if lied { Shown::HeadUseless } else { Shown::HeadComparable });
                (found, result)
            }
            Verdict::Unproven(why) => {
                self.learn(&errand, Shown::HeadUseless);
                self.unproven(errand, check, why).await
            }
        }
    }

    pub(super) async fn check_digest(self: &Arc<Self>, errand: Errand, check: Check) -> (Found<O::Body>, CheckResult) {
        let verdict = match self.judge_digest(&errand, &check).await {
            Ok(verdict) => verdict,
            Err(error) => return failed(errand, error),
        };
        match verdict {
            Verdict::Same(confirmation) => {
                self.learn(&errand, Shown::Digest);
                self.upheld(errand, check, confirmation, false).await
            }
            Verdict::Changed | Verdict::Answered => {
                self.learn(&errand, Shown::Digest);
                (self.fetch(errand, FetchReason::Changed).await, CheckResult::Changed)
            }
            Verdict::Unproven(why) => {
                self.learn(&errand, Shown::NoDigest);
                self.unproven(errand, check, why).await
            }
        }
    }

    /// Asks by a conditional request.
    pub(super) async fn judge_conditional(
        &self,
        errand: &Errand,
        check: &Check,
    ) -> Result<Judged<O::Body>, OriginError> {
        let mut outgoing = || {
            let mut request = self.check_request(errand, Method::GET);
            question::set_condition(check, &errand.policy, request.headers_mut());
            request
        };
        let (response, exchange) = self.ask_origin(errand, Purpose::Check, &mut outgoing).await?;
        let (answer, body) = response.into_parts();
        if answer.status == StatusCode::NOT_MODIFIED
            && let Some(claimed) = judge::repr_claim(&answer)
        {
            for stored in &check.candidates {
                digest_of(stored, claimed.algorithm()).await;
            }
        }
        let verdict =
            judge::conditional(&check.candidates, check.selected, &answer, &errand.ask, &errand.policy, exchange);
        Ok(Judged { verdict, answer, body, exchange })
    }

    /// Asks by HEAD.
    pub(super) async fn judge_head(&self, errand: &Errand, check: &Check) -> Result<Verdict, OriginError> {
        let mut outgoing = || {
            let mut request = self.check_request(errand, Method::HEAD);
            request.headers_mut().insert(WANT_REPR_DIGEST, integrity::EITHER);
            request
        };
        let (response, exchange) = self.ask_origin(errand, Purpose::Check, &mut outgoing).await?;
        let (answer, _no_body) = response.into_parts();
        let Some(stored) = check.candidates.first() else { return Ok(Verdict::Unproven(Unproven::Filling)) };
        let own_digest = match judge::repr_claim(&answer) {
            Some(claimed) => Some(digest_of(stored, claimed.algorithm()).await),
            None => None,
        };
        Ok(judge::head(stored, own_digest, &answer, &errand.ask, &errand.policy, exchange))
    }

    /// Asks the digest endpoint.
    pub(super) async fn judge_digest(&self, errand: &Errand, check: &Check) -> Result<Verdict, OriginError> {
        let (answer, content, exchange) = match &errand.policy.digest_endpoint {
            None => return Ok(Verdict::Unproven(Unproven::NoDigest)),
            Some(DigestEndpoint::OnOrigin(template)) => self.digest_on_origin(errand, template).await?,
            Some(DigestEndpoint::Elsewhere(template)) => self.digest_elsewhere(errand, template).await?,
        };
        let Some(stored) = check.candidates.first() else { return Ok(Verdict::Unproven(Unproven::Filling)) };
        let sha256 = sha256_of(stored).await;
        Ok(judge::digest_endpoint(stored, sha256, &answer, &content, &errand.ask, &errand.policy, exchange))
    }

    /// Makes a full GET and holds it against the stored bytes as it arrives.
    pub(super) async fn check_body(self: &Arc<Self>, errand: Errand, check: Check) -> (Found<O::Body>, CheckResult) {
        match self.ask_origin(&errand, Purpose::Check, &mut || self.request(&errand, Method::GET)).await {
            Err(error) => failed(errand, error),
            Ok((response, exchange)) => self.compare(errand, &check, response, exchange).await,
        }
    }

    /// What a check's answer did not prove, bytes will: that is a second check, by `body`, and counts as one.
    async fn unproven(self: &Arc<Self>, errand: Errand, check: Check, why: Unproven) -> (Found<O::Body>, CheckResult) {
        self.watch.metrics.unproven(why);
        let began = self.clock.moment();
        let mut outgoing = || self.request(&errand, Method::GET);
        let (response, exchange) = match self.ask_origin(&errand, Purpose::Fetch, &mut outgoing).await {
            Ok(answered) => answered,
            Err(error) => return failed(errand, error),
        };
        let (policy, target) = (Arc::clone(&errand.policy), errand.ask.target.clone());
        let whole = response.status() == StatusCode::OK;
        let (found, result) = self.compare(errand, &check, response, exchange).await;
        if why == Unproven::Contradicted && whole && result == CheckResult::Changed {
            self.caught(&policy, &target, check.strategy);
        }
        let took = self.clock.moment().since(began);
        self.watch.route(&policy, |route| route.check(Strategy::Body, result, took));
        (found, CheckResult::Unproven)
    }

    /// Holds a full answer against the stored bytes: the stored response is confirmed, or the answer is let in, its
    /// first bytes taken from the stored ones that they equal.
    pub(super) async fn compare(
        self: &Arc<Self>,
        errand: Errand,
        check: &Check,
        response: Response<O::Body>,
        exchange: Exchange,
    ) -> (Found<O::Body>, CheckResult) {
        let (answer, mut body) = response.into_parts();
        let length = body.size_hint().exact();
        let begin = |stored| Comparison::begin(stored, &answer, length);
        let admitted = self.admits(&errand, &answer, &body, exchange);
        let Some((head, mut comparison)) = admitted.ok().zip(check.candidates.iter().find_map(begin)) else {
            let response = Response::from_parts(answer, body);
            return (
                self.take_in(errand, response, exchange, FetchReason::Changed, Known::default()),
                CheckResult::Changed,
            );
        };
        let mut trailers = None;
        let differing = loop {
            match body.frame().await {
                None => break None,
                Some(Err(error)) => return failed(errand, error),
                // What is compared is waited for, so it is not waited for without end.
                Some(Ok(_)) if !body.is_end_stream() && self.is_overdue(&errand) => {
                    return failed(errand, OriginError::ResponseTimeout);
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => {
                        self.watch.metrics.origin_body_bytes(Purpose::Check, chunk.len() as u64);
                        if !comparison.push(&chunk) {
                            break Some(chunk);
                        }
                    }
                    // Nothing of the content follows.
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
            }
        };
        if differing.is_none()
            && let Some(confirmation) = comparison.finish(head, &errand.ask.fields, exchange)
            // Its head would replace the stored one, and with it what that claims of the bytes.
            && !contradicts(&answer.headers, trailers.as_ref(), confirmation.response()).await
        {
            return (self.keep(&errand, confirmation), CheckResult::Same);
        }
        let before = [comparison.agreed()].into_iter().chain(differing).collect();
        let known = Known { before, after: None, trailers };
        let response = Response::from_parts(answer, body);
        (self.take_in(errand, response, exchange, FetchReason::Changed, known), CheckResult::Changed)
    }

    /// Asks whether a representation that is still on its way in is current, so that more readers may follow it.
    pub(super) async fn check_filling(
        self: &Arc<Self>,
        errand: Errand,
        filled: Arc<Filled>,
        why: FetchReason,
    ) -> Answer<O::Body> {
        let mut outgoing = || {
            let mut request = self.check_request(&errand, Method::GET);
            if let Some(tag) = filled.tag() {
                request.headers_mut().insert(header::IF_NONE_MATCH, tag.to_header_value());
            }
            request
        };
        let began = self.clock.moment();
        let policy = Arc::clone(&errand.policy);
        let (found, result) = match self.ask_origin(&errand, Purpose::Check, &mut outgoing).await {
            Err(error) => failed(errand, error),
            Ok((response, _)) if response.status() == StatusCode::NOT_MODIFIED => {
                let repeated = EntityTag::of(response.headers()).is_some_and(|tag| filled.tag() == Some(&tag));
                if repeated && !response.headers().contains_key(header::AGE) {
                    let filled = Arc::new(filled.confirmed(errand.standing));
                    (Found::Filled { _hold: filled.hold(), filled }, CheckResult::Same)
                } else {
                    self.watch.metrics.unproven(Unproven::Filling);
                    (self.fetch(errand, why).await, CheckResult::Unproven)
                }
            }
            Ok((response, exchange)) => {
                (self.take_in(errand, response, exchange, FetchReason::Changed, Known::default()), CheckResult::Changed)
            }
        };
        let took = self.clock.moment().since(began);
        self.watch.route(&policy, |route| route.check(Strategy::Conditional, result, took));
        Answer { found, check: Some(CheckNote { strategy: Strategy::Conditional, result, elapsed: took }) }
    }
}

/// Whether a full answer carries the very tag that the condition named.
fn repeats_tag(check: &Check, answer: &HeaderMap) -> bool {
    EntityTag::of(answer)
        .is_some_and(|tag| check.candidates.iter().any(|stored| stored.head().tag.as_ref() == Some(&tag)))
}
