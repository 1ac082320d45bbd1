//! One exchange: a question to the origin and what its answer means.
//!
//! It runs in a task of its own when it is shared, so that it survives the client that started it, and it ends at the
//! response head: a body that is let in streams on by itself.

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Proxy;
use super::take_in::{Filled, Known};
use crate::access_log::CheckNote;
use crate::faults::{Fault, seeded};
use crate::fill::Hold;
use crate::metrics::CheckResult;
use crate::origin::{Origin, OriginError, Outgoing, Purpose, RequestBody};
use crate::rules::ask::Ask;
use crate::rules::completion::Completion;
use crate::rules::decide::shared_by_check;
use crate::rules::digest::{Algorithm, Digest, Sha256};
use crate::rules::integrity;
use crate::rules::judge::Exchange;
use crate::rules::key::ExchangeKey;
use crate::rules::learn::Shown;
use crate::rules::lookup::Lookup;
use crate::rules::moment::Moment;
use crate::rules::outcome::{FetchReason, SkipReason};
use crate::rules::partial::PartialResponse;
use crate::rules::policy::{OnCheckError, Policy, Strategy, Verify};
use crate::rules::promise::Confirmation;
use crate::rules::question::{self, Check, Question};
use crate::rules::range::{self, Extent};
use crate::rules::stored::{Standing, StoredResponse};
use crate::server::InterimSink;

/// Content above this many bytes is hashed off the runtime's threads.
pub(super) const HASH_INLINE_MAX: usize = 16 * 1024;

/// The longest that a stored response may stay as it is while exchanges confirm it.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// How long it may on a route. Where each request is checked, what is served is what was confirmed, and only a reply that
/// an origin's failure excuses comes from the store: of the time for which it may, a tenth is given up.
fn kept_for(policy: &Policy) -> Duration {
    match (policy.verify, policy.on_check_error) {
        (Verify::EveryHit, OnCheckError::Fail) => KEPT_FOR,
        (Verify::EveryHit, OnCheckError::ServeStale(max)) => KEPT_FOR.min(max / 10),
        _ => Duration::ZERO,
    }
}

/// What an exchange found, shared by its members.
#[derive(Debug)]
pub struct Answer<B> {
    /// What it found.
    pub(super) found: Found<B>,
    /// The check that was made, if one was.
    pub(super) check: Option<CheckNote>,
}

#[derive(Debug)]
pub(super) enum Found<B> {
    /// What is stored by now may be served unasked, so nothing was asked: each member looks again.
    Stored,
    /// A stored response is current.
    Confirmed(Confirmation),
    /// A stored part is current.
    ConfirmedPart(Confirmation<PartialResponse>),
    /// A representation is on its way in.
    Filled {
        filled: Arc<Filled>,
        /// For those who wait for the exchange, until they read it themselves.
        _hold: Hold,
    },
    /// A response that is for one request alone.
    Alone(Alone<B>),
    /// The origin failed. What was stored is there for a policy that excuses it.
    Failed { error: OriginError, stored: Option<Arc<StoredResponse>> },
}

/// A response that may not be shared: the request that went out with its own fields takes it.
#[derive(Debug)]
pub(super) struct Alone<B> {
    response: Mutex<Option<Box<Response<B>>>>,
    pub(super) status: StatusCode,
    pub(super) why: FetchReason,
    pub(super) skip: SkipReason,
    /// What is stored for the request, should the status be an error that a policy excuses.
    pub(super) stored: Option<Arc<StoredResponse>>,
}

impl<B> Alone<B> {
    pub(super) fn new(
        response: Response<B>,
        why: FetchReason,
        skip: SkipReason,
        stored: Option<Arc<StoredResponse>>,
    ) -> Self {
        Self { status: response.status(), response: Mutex::new(Some(Box::new(response))), why, skip, stored }
    }

    /// The response, once.
    pub(super) fn take(&self) -> Option<Box<Response<B>>> {
        self.response.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The statuses that RFC 5861 §4 counts as errors.
pub(super) fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// What an exchange is about: one request's fields and rules, and when it began.
#[derive(Clone)]
pub(super) struct Errand {
    pub(super) ask: Arc<Ask>,
    pub(super) policy: Arc<Policy>,
    pub(super) extent: Extent,
    pub(super) standing: Standing,
    /// What is stored for the request, if anything.
    pub(super) stored: Option<Arc<StoredResponse>>,
    /// The part that is stored for the request, where the whole is not.
    pub(super) part: Option<Arc<PartialResponse>>,
    /// Where it is remembered that the response is not storable, should it not be.
    pub(super) remembered: Option<Remembered>,
    /// Where interim responses go: to the client whose fields go out.
    pub(super) interim: InterimSink,
}

/// What is remembered of the responses to such requests.
#[derive(Clone)]
pub(super) struct Remembered {
    /// Under which key.
    pub(super) key: ExchangeKey,
    /// Since when they are known not to be storable.
    pub(super) since: Option<Moment>,
}

/// What a request wants of an exchange.
pub(super) struct Wanted {
    pub(super) extent: Extent,
    pub(super) remembered: Remembered,
    pub(super) interim: InterimSink,
}

/// The way that an exchange goes.
enum Way {
    Check(Check),
    Fetch(FetchReason),
    Range(FetchReason),
    Complete(Completion),
    CheckFilling(Arc<Filled>, FetchReason),
}

impl<O: Origin> Proxy<O> {
    /// Asks the origin, on behalf of everyone who arrived before `began`.
    ///
    /// What is rare is boxed, so that an exchange takes the room of a plain fetch or a conditional check.
    pub(super) async fn exchange(
        self: &Arc<Self>,
        ask: &Arc<Ask>,
        policy: &Arc<Policy>,
        wanted: Wanted,
        began: Moment,
    ) -> Answer<O::Body> {
        let (errand, way) = self.set_out(ask, policy, wanted, began);
        let found = match way {
            Way::Check(check) => return self.check(errand, check).await,
            Way::Range(why) => return Box::pin(self.exchange_range(errand, why)).await,
            Way::CheckFilling(filled, why) => return Box::pin(self.check_filling(errand, filled, why)).await,
            Way::Complete(completion) => Box::pin(self.complete(errand, completion)).await,
            Way::Fetch(why) => self.fetch(errand, why).await,
        };
        Answer { found, check: None }
    }

    /// What an exchange that begins is about, and which way it goes.
    fn set_out(&self, ask: &Arc<Ask>, policy: &Arc<Policy>, wanted: Wanted, began: Moment) -> (Errand, Way) {
        let store = &self.shared.store;
        let resource = store.lookup(&ask.key);
        let part = resource.as_ref().and_then(|resource| resource.part(&ask.fields)).cloned();
        let lookup = if ask.twin.is_none() { Lookup::select(resource, &ask.fields) } else { self.look_up(ask) };
        let (question, learned) = self.learned(policy, |learned| {
            learned.forget_if_old(began, self.config.cache.relearn_after);
            (question::choose(ask, &lookup, policy, learned), *learned)
        });
        let epoch = if seeded(Fault::ForgetWrites) { u64::MAX } else { store.epoch() };
        let errand = Errand {
            ask: Arc::clone(ask),
            policy: Arc::clone(policy),
            // What has been stored since the request looked is asked about as a whole.
            extent: if lookup.found().is_some() { Extent::Whole } else { wanted.extent },
            standing: Standing { confirmed: began, epoch },
            stored: lookup.found().cloned(),
            // There are no bytes of the whole to hold a part against where no tag is believed.
            part: part.filter(|_| lookup.found().is_none() && !learned.distrusted),
            remembered: Some(wanted.remembered),
            interim: wanted.interim,
        };
        let missing = |why| if errand.part.is_some() { FetchReason::Partial } else { why };
        let completion = || {
            let part = errand.part.as_ref().filter(|_| ask.is_conditional())?;
            Completion::of(part, policy).or_else(|| Completion::unvalidated(part, policy, &learned, began))
        };
        let tagged = ask.is_conditional() && !learned.distrusted;
        let filling = || self.shared.fillings.get(&ask.key).filter(|filled| tagged && filled.selected_by(ask));
        let way = if errand.extent == Extent::Range {
            Way::Range(missing(lookup.why_missing()))
        } else {
            match question {
                Question::Check(check) => Way::Check(check.for_twin(ask, policy)),
                Question::Whole(why) => match filling() {
                    Some(filled) => Way::CheckFilling(filled, why),
                    None => completion().map_or_else(|| Way::Fetch(missing(why)), Way::Complete),
                },
            }
        };
        (errand, way)
    }

    /// Makes a check, and counts it.
    async fn check(self: &Arc<Self>, errand: Errand, check: Check) -> Answer<O::Body> {
        self.watch.route(&errand.policy, |route| route.strategy(check.strategy, check.why.as_str()));
        let began = self.clock.moment();
        let (strategy, policy) = (check.strategy, Arc::clone(&errand.policy));
        let (found, result) = match strategy {
            Strategy::Conditional => self.check_conditional(errand, check).await,
            Strategy::Head => Box::pin(self.check_head(errand, check)).await,
            Strategy::DigestEndpoint => Box::pin(self.check_digest(errand, check)).await,
            Strategy::Body => Box::pin(self.check_body(errand, check)).await,
        };
        let took = self.clock.moment().since(began);
        self.watch.route(&policy, |route| route.check(strategy, result, took));
        Answer { found, check: Some(CheckNote { strategy, result, elapsed: took }) }
    }

    /// Asks for the whole representation.
    pub(super) async fn fetch(self: &Arc<Self>, errand: Errand, why: FetchReason) -> Found<O::Body> {
        match self.ask_origin(&errand, Purpose::Fetch, &mut || self.request(&errand, Method::GET)).await {
            Err(error) => failed(errand, error).0,
            Ok((response, exchange)) => self.take_in(errand, response, exchange, why, Known::default()),
        }
    }

    /// Keeps what was confirmed. What is stored and says the same may stay for a while, and spares the store the change.
    pub(super) fn keep(&self, errand: &Errand, confirmation: Confirmation) -> Found<O::Body> {
        let by_tag = shared_by_check(&errand.policy);
        let new = confirmation.response();
        let stays = |old: &Arc<StoredResponse>| new.says_no_more_than(old, kept_for(&errand.policy));
        if !errand.stored.as_ref().is_some_and(stays) {
            self.put(&errand.ask, errand.ask.held_at(), Arc::clone(new), by_tag);
        }
        Found::Confirmed(confirmation)
    }

    /// Sends a request to the origin, unless the breaker holds it back, and times it.
    pub(super) async fn ask_origin(
        &self,
        errand: &Errand,
        purpose: Purpose,
        outgoing: &mut Outgoing<'_>,
    ) -> Result<(Response<O::Body>, Exchange), OriginError> {
        let asked = self.clock.now();
        let admitted = self.shared.breaker.admit(asked.at);
        let admitted = admitted.inspect_err(|error| self.watch.metrics.held_back(purpose, error))?;
        let response = self.origin.send(purpose, outgoing).await;
        let answered = self.clock.now();
        let took = answered.at.since(asked.at);
        self.watch.metrics.origin(purpose, response.as_ref().map(Response::status), took);
        if admitted.ended(&response, answered.at) {
            self.watch.metrics.breaker_opened();
            tracing::warn!(
                error = response.as_ref().err().map(tracing::field::display),
                "the origin fails; it is left alone for a while"
            );
        }
        Ok((response?, Exchange { standing: errand.standing, asked: asked.wall, answered }))
    }

    /// A request with the asker's own fields, as its GET would have had them. What a GET is for a target, a query's own
    /// method is for its content, which goes out again.
    pub(super) fn request(&self, errand: &Errand, method: Method) -> Request<RequestBody> {
        let (method, body) = match &errand.ask.query {
            Some(query) if method == Method::GET => (query.method().clone(), RequestBody::Full(query.bytes().clone())),
            _ => (method, RequestBody::Empty),
        };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = http::Uri::from(errand.ask.target.clone());
        *request.headers_mut() = errand.ask.fields.to_leave();
        if errand.extent == Extent::Whole {
            range::remove(request.headers_mut());
        }
        self.forward_interim(&errand.interim, &mut request);
        request
    }

    /// The same without the client's `Cache-Control`: a check already is what its `no-cache` asks for, and some origins
    /// ignore conditions that come with one.
    pub(super) fn check_request(&self, errand: &Errand, method: Method) -> Request<RequestBody> {
        let mut request = self.request(errand, method);
        request.headers_mut().remove(header::CACHE_CONTROL);
        request.headers_mut().remove(header::PRAGMA);
        request
    }

    /// What GETs have shown is believed of GETs: an origin may know conditions on those and on no query, or the other
    /// way about. (For a query nothing hangs on it: where its condition is ignored, its answer is compared as it is.)
    pub(super) fn learn(&self, errand: &Errand, shown: Shown) {
        if errand.ask.query.is_some() {
            return;
        }
        let relearn_after = self.config.cache.relearn_after;
        self.learned(&errand.policy, |learned| learned.learn(shown, errand.standing.confirmed, relearn_after));
    }
}

/// Whether the content's digest is known, or soon computed.
pub(super) fn is_at_hand(stored: &StoredResponse, algorithm: Algorithm) -> bool {
    stored.is_digested(algorithm) || stored.len() <= HASH_INLINE_MAX
}

/// The content's digest, computed off the runtime's threads when there is much of it.
pub(super) async fn digest_of(stored: &Arc<StoredResponse>, algorithm: Algorithm) -> Digest {
    if is_at_hand(stored, algorithm) {
        return stored.digest(algorithm);
    }
    let owned = Arc::clone(stored);
    match tokio::task::spawn_blocking(move || owned.digest(algorithm)).await {
        Ok(digest) => digest,
        // The pool is shutting down: the thread at hand will do.
        Err(_) => stored.digest(algorithm),
    }
}

/// The content's SHA-256, computed likewise.
pub(super) async fn sha256_of(stored: &Arc<StoredResponse>) -> Sha256 {
    digest_of(stored, Algorithm::Sha256).await;
    stored.sha256()
}

/// Whether an answer whose content equals that of `stored` claims another digest for it, in head or trailers.
pub(super) async fn contradicts(head: &HeaderMap, trailers: Option<&HeaderMap>, stored: &Arc<StoredResponse>) -> bool {
    for claim in integrity::claims(head, trailers) {
        if digest_of(stored, claim.algorithm()).await != claim {
            return true;
        }
    }
    false
}

pub(super) fn failed<B>(errand: Errand, error: OriginError) -> (Found<B>, CheckResult) {
    tracing::debug!(target = %errand.ask.target, %error, "the origin failed");
    (Found::Failed { error, stored: errand.stored }, CheckResult::Error)
}
