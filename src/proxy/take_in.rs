//! Letting a representation in: what may be stored is recorded as it streams to whoever waits for it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Response, StatusCode, response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;

use super::Proxy;
use super::exchange::{Alone, Errand, Found, HASH_INLINE_MAX, Remembered, is_error};
use super::partial::framing;
use crate::faults::{Fault, seeded};
use crate::fill::{Fill, Hold, Pump, Reader};
use crate::metrics::EvictionCause;
use crate::origin::{CloseDelimited, Origin, OriginError, Purpose};
use crate::rules::admit::{admit, refused_at_sight};
use crate::rules::ask::Ask;
use crate::rules::collapse;
use crate::rules::decide::{excuse, excused_on_error, shared_by_check};
use crate::rules::groups::Groups;
use crate::rules::judge::Exchange;
use crate::rules::key::CacheKey;
use crate::rules::moment::Moment;
use crate::rules::outcome::{FetchReason, SkipReason};
use crate::rules::partial::{Place, RecordedPart};
use crate::rules::policy::Policy;
use crate::rules::stored::{Recorded, Standing, StoredHead, StoredResponse};
use crate::rules::validator::EntityTag;
use crate::rules::{fields, integrity};

/// Content that need not be awaited: what comes before what the origin has still to send, and what comes after it.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) before: Vec<Bytes>,
    pub(super) after: Option<Bytes>,
    /// The trailers, if all of the content came before and they have come after it.
    pub(super) trailers: Option<HeaderMap>,
}

impl Known {
    fn len(&self) -> u64 {
        self.before.iter().chain(&self.after).map(|chunk| chunk.len() as u64).sum()
    }
}

/// A response that is let in.
pub(super) struct Intake {
    /// The origin's own status.
    pub(super) answered: StatusCode,
    /// Its head as it is forwarded, but for hop-by-hop fields.
    pub(super) answer: response::Parts,
    /// Its head as it is stored.
    pub(super) head: StoredHead,
    /// Which part of the representation it is, if it is not the whole.
    pub(super) part: Option<Place>,
    pub(super) known: Known,
    pub(super) why: FetchReason,
    /// Why the request went out that it answers.
    pub(super) purpose: Purpose,
    pub(super) exchange: Exchange,
}

impl Intake {
    /// A whole answer of the origin, of which nothing is known yet.
    pub(super) fn whole(answer: response::Parts, head: StoredHead, why: FetchReason, exchange: Exchange) -> Self {
        Self {
            answered: answer.status,
            answer,
            head,
            part: None,
            known: Known::default(),
            why,
            purpose: Purpose::Fetch,
            exchange,
        }
    }
}

/// A way in, before the body is taken.
pub(super) struct Opened {
    pump: Pump,
    known: Known,
    exchange: Exchange,
    /// Whether only the end of the connection ends the body.
    close_delimited: bool,
}

/// A representation on its way in: its head, its body as it arrives, and for whom.
#[derive(Clone, Debug)]
pub(super) struct Filled {
    fill: Arc<Fill>,
    /// The origin's own status.
    pub(super) answered: StatusCode,
    /// The head as it is forwarded.
    pub(super) status: StatusCode,
    pub(super) fields: Arc<HeaderMap>,
    /// The head as it is stored.
    head: Arc<StoredHead>,
    /// Which part of the representation it is, if it is not the whole.
    part: Option<Place>,
    pub(super) why: FetchReason,
    /// The exchange that fetched it, or that confirmed it since.
    standing: Standing,
    /// Whether a check confirmed it while it was on its way.
    pub(super) confirmed: bool,
    /// The selecting fields of the request that it answers, canonical.
    selecting: Box<[u8]>,
    /// Why the request went out that it answers.
    purpose: Purpose,
}

impl Filled {
    /// The entity tag, if it is one by which a copy on its way in can be checked.
    pub(super) fn tag(&self) -> Option<&EntityTag> {
        self.head.tag.as_ref().filter(|_| self.head.tag_vouches)
    }

    /// The groups that it belongs to.
    pub(super) fn groups(&self) -> &Groups {
        &self.head.groups
    }

    /// Whether it is the response to the ask's selecting fields. (A cold batch is split by the `Vary` that comes back.)
    pub(super) fn selected_by(&self, ask: &Ask) -> bool {
        self.head.vary.selects(&ask.fields, &self.selecting)
    }

    /// A reader for a request that may use it: the exchange began after it arrived, or the route excuses that.
    pub(super) fn reader(&self, ask: &Ask, policy: &Policy, invalidated: u64, now: Moment) -> Option<Reader> {
        let usable = collapse::usable(self.standing.confirmed, ask.arrived, Duration::ZERO)
            || excuse(ask, &self.head, self.standing, policy, invalidated, now).is_some();
        (usable && self.selected_by(ask)).then(|| self.fill.reader()).flatten()
    }

    /// Removes what is for the one request that went out: the fields that `private` and `no-cache` name (RFC 9111
    /// §5.2.2.7, §5.2.2.4).
    pub(super) fn remove_unshared(&self, fields: &mut HeaderMap) {
        let directives = &self.head.directives;
        for name in directives.private.fields().iter().chain(directives.no_cache.fields()) {
            fields.remove(name);
        }
    }

    /// A reader for the one whose own request it answers.
    pub(super) fn first_reader(&self) -> Option<Reader> {
        self.fill.reader()
    }

    /// Says that readers are to come.
    pub(super) fn hold(&self) -> Hold {
        self.fill.hold()
    }

    /// The same, confirmed by a later exchange.
    pub(super) fn confirmed(&self, standing: Standing) -> Self {
        Self { standing, confirmed: true, ..self.clone() }
    }

    /// The head as it is stored.
    pub(super) fn stored_head(&self) -> &StoredHead {
        &self.head
    }

    /// Whether it is being recorded.
    pub(super) fn records(&self) -> bool {
        self.fill.records()
    }
}

/// The representations on their way in that a check can ask about, by key: at most one each, the latest.
#[derive(Debug, Default)]
pub(super) struct Fillings(Mutex<HashMap<CacheKey, Arc<Filled>>>);

impl Fillings {
    pub(super) fn get(&self, key: &CacheKey) -> Option<Arc<Filled>> {
        self.lock().get(key).filter(|filled| filled.tag().is_some() && filled.records()).cloned()
    }

    fn begin(&self, key: &CacheKey, filled: &Arc<Filled>) {
        self.lock().insert(key.clone(), Arc::clone(filled));
    }

    fn end(&self, key: &CacheKey, filled: &Arc<Filled>) {
        let mut all = self.lock();
        if all.get(key).is_some_and(|latest| Arc::ptr_eq(latest, filled)) {
            all.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CacheKey, Arc<Filled>>> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: Origin> Proxy<O> {
    /// Whether a response may be stored.
    pub(super) fn admits(
        &self,
        errand: &Errand,
        answer: &response::Parts,
        body: &O::Body,
        exchange: Exchange,
    ) -> Result<StoredHead, SkipReason> {
        if let Some(refused) = refused_at_sight(answer, &errand.policy) {
            return Err(refused);
        }
        let head = StoredHead::read(answer.status, &answer.headers, &errand.policy, exchange.asked, exchange.answered);
        admit(&errand.ask, answer, &head, framing(answer, body), &errand.policy, exchange.answered.at)?;
        // RFC 5861 §4: an error may be cacheable, but not at the price of what may be served in its place.
        let kept = errand.stored.as_ref().filter(|_| is_error(answer.status)).and_then(|stored| {
            let invalidated = self.invalidated(&errand.ask, errand.ask.held_at(), &stored.head().groups);
            excused_on_error(&errand.ask, stored, &errand.policy, invalidated, exchange.answered.at)
        });
        if kept.is_some() { Err(SkipReason::StaleIfError) } else { Ok(head) }
    }

    /// Lets a response in: recorded and shared if it may be stored, for the one that asked alone if not.
    pub(super) fn take_in(
        self: &Arc<Self>,
        errand: Errand,
        response: Response<O::Body>,
        exchange: Exchange,
        why: FetchReason,
        known: Known,
    ) -> Found<O::Body> {
        let (answer, body) = response.into_parts();
        match self.admits(&errand, &answer, &body, exchange) {
            Err(skip) => self.alone(errand, Response::from_parts(answer, body), exchange, why, skip),
            Ok(head) => {
                let intake = Intake { known, ..Intake::whole(answer, head, why, exchange) };
                self.fill(errand, intake, body)
            }
        }
    }

    /// Lets a response through to the one that asked.
    pub(super) fn alone(
        &self,
        errand: Errand,
        response: Response<O::Body>,
        exchange: Exchange,
        why: FetchReason,
        skip: SkipReason,
    ) -> Found<O::Body> {
        self.watch.metrics.not_stored(skip);
        self.drop_if_gone(&errand, response.status());
        if let Some(Remembered { key, since }) = errand.remembered.filter(|_| skip.will_repeat()) {
            let (now, forget) = (exchange.answered.at, self.config.cache.uncacheable_for);
            // What is remembered for a while yet is not worth another change.
            if since.is_none_or(|since| now.since(since) >= forget / 2) {
                self.shared.store.remember_uncacheable(key, now);
            }
        }
        Found::Alone(Alone::new(response, why, skip, errand.stored))
    }

    /// Records a response while it streams to whoever may have it.
    pub(super) fn fill(self: &Arc<Self>, errand: Errand, intake: Intake, body: O::Body) -> Found<O::Body> {
        let (filled, opened) = self.open(&errand, intake);
        let (hold, stored) = (filled.hold(), errand.stored.clone());
        self.take_body(errand, Arc::clone(&filled), body, opened);
        match filled.fill.broken() {
            // Nobody has seen its head yet.
            Some(error) => Found::Failed { error, stored },
            None => Found::Filled { filled, _hold: hold },
        }
    }

    /// Opens the way in for a response. A reader that is made before its body is taken misses no byte.
    pub(super) fn open(&self, errand: &Errand, intake: Intake) -> (Arc<Filled>, Opened) {
        let Intake { answered, mut answer, head, part, known, why, purpose, exchange } = intake;
        fields::remove_hop_by_hop(&mut answer.headers);
        let close_delimited = answer.extensions.get::<CloseDelimited>().is_some();
        let (fill, pump) = Fill::start(Arc::clone(&self.shared.fill_memory), errand.policy.object_max);
        let filled = Arc::new(Filled {
            fill,
            answered,
            status: answer.status,
            fields: Arc::new(answer.headers),
            selecting: head.vary.selecting(&errand.ask.fields),
            head: Arc::new(head),
            part,
            why,
            standing: errand.standing,
            confirmed: false,
            purpose,
        });
        (filled, Opened { pump, known, exchange, close_delimited })
    }

    /// Takes its body in, in a task of its own.
    pub(super) fn take_body(self: &Arc<Self>, errand: Errand, filled: Arc<Filled>, body: O::Body, opened: Opened) {
        // What goes out as a part is for those who asked for that part.
        if filled.status != StatusCode::PARTIAL_CONTENT {
            self.shared.fillings.begin(&errand.ask.key, &filled);
        }
        let proxy = Arc::clone(self);
        let mut taken = Box::pin(async move {
            proxy.pump(&errand, &filled, body, opened).await;
            proxy.shared.fillings.end(&errand.ask.key, &filled);
        });
        // Polled here first: content that is at hand goes out with the head, in one write, and what has no content is stored
        // before its head goes out, with which a client has read all of it.
        if (&mut taken).now_or_never().is_none() {
            tokio::spawn(taken);
        }
    }

    /// What the origin no longer has is not worth its memory.
    fn drop_if_gone(&self, errand: &Errand, status: StatusCode) {
        // What the own target lacks, its twin may have.
        let gone = matches!(status.as_u16(), 404 | 410) && errand.ask.twin.is_none();
        if let Some(stored) = errand.stored.as_ref().filter(|_| gone) {
            self.shared.store.remove(&errand.ask.key, stored);
            self.watch.metrics.evicted(EvictionCause::Invalidated);
        }
    }

    /// Takes a body in to its end, and stores it if all of it was recorded.
    async fn pump(&self, errand: &Errand, filled: &Filled, mut body: O::Body, opened: Opened) {
        let Opened { pump, known, exchange, close_delimited } = opened;
        // The hint speaks of what is still to come.
        let declared = body.size_hint().exact().map(|rest| rest + known.len());
        let Known { before, after, mut trailers } = known;
        before.into_iter().for_each(|chunk| pump.push(chunk));
        let mut last = None;
        while !body.is_end_stream() {
            if let Err(abandoned) = poll_fn(|cx| pump.poll_room(cx)).await {
                return self.watch.metrics.not_stored(abandoned);
            }
            match self.next_frame(&mut body, filled.purpose).await {
                None => break,
                Some(Err(_)) if seeded(Fault::StoreTruncated) => break,
                Some(Err(error)) => {
                    self.watch.metrics.not_stored(SkipReason::Incomplete);
                    tracing::debug!(target = %errand.ask.target, %error, "a response body broke off");
                    return pump.fail(error);
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => {
                        self.watch.metrics.origin_body_bytes(filled.purpose, chunk.len() as u64);
                        // The last chunk is held back until the whole is stored: a client that has read it may ask
                        // again at once, and should find it. (It goes out even if the whole contradicts its digest: the
                        // rest has gone already, and the client has the field to judge by. But where nothing else says
                        // that the whole is there, the digest says that it is not.)
                        if body.is_end_stream() {
                            last = Some(chunk)
                        } else {
                            pump.push(chunk)
                        }
                        if last.is_none() && self.is_overdue(errand) {
                            pump.stop_recording(SkipReason::TooSlow);
                        }
                    }
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
            }
        }
        if let Some(after) = after {
            last.replace(after).into_iter().for_each(|chunk| pump.push(chunk));
        }
        let stored = match pump.recorded(last.as_ref()) {
            Ok(chunks) => self.keep_chunks(errand, filled, chunks, declared, trailers.clone(), exchange).await,
            Err(skip) => Err(skip),
        };
        if let Err(skip) = stored {
            self.watch.metrics.not_stored(skip);
            pump.stop_recording(skip);
            if skip == SkipReason::Contradicted {
                tracing::warn!(target = %errand.ask.target, "a response contradicts its own length or digest");
                if close_delimited {
                    let cut = "the connection closed before the content that its digest speaks of".to_owned();
                    return pump.fail(OriginError::ResponseIncomplete(cut));
                }
            }
        }
        last.into_iter().for_each(|chunk| pump.push(chunk));
        pump.finish(trailers);
    }

    /// Whether an exchange has taken as long as what it brings may be recorded or compared.
    pub(super) fn is_overdue(&self, errand: &Errand) -> bool {
        self.clock.moment().since(errand.standing.confirmed) > self.config.origin.total_timeout
    }

    /// What passes may be silent for as long as it likes. What is recorded may not, whether its client still waits or not.
    async fn next_frame(&self, body: &mut O::Body, purpose: Purpose) -> Option<Result<Frame<Bytes>, OriginError>> {
        let frame = body.frame();
        if purpose != Purpose::Pass {
            return frame.await;
        }
        let progress_timeout = self.config.origin.progress_timeout;
        tokio::time::timeout(progress_timeout, frame).await.unwrap_or(Some(Err(OriginError::ResponseTimeout)))
    }

    /// Stores a recorded body as what it is, the whole or a part.
    async fn keep_chunks(
        &self,
        errand: &Errand,
        filled: &Filled,
        chunks: Vec<Bytes>,
        declared: Option<u64>,
        trailers: Option<HeaderMap>,
        exchange: Exchange,
    ) -> Result<(), SkipReason> {
        match filled.part {
            None => {
                let recorded = complete(chunks, declared, &filled.fields, trailers).await?;
                self.store(errand, filled, recorded).await;
                Ok(())
            }
            Some(place) => self.store_part(errand, filled, RecordedPart::received(&chunks, place)?, exchange),
        }
    }

    async fn store(&self, errand: &Errand, filled: &Filled, recorded: Recorded) {
        let Errand { ask, policy, standing, .. } = errand;
        let hashes = filled.head.tag.as_ref().is_some_and(|tag| tag.weak) && recorded.len() > HASH_INLINE_MAX;
        let stored = if hashes {
            let (head, ask, standing): (StoredHead, Arc<Ask>, Standing) =
                ((*filled.head).clone(), Arc::clone(ask), *standing);
            tokio::task::spawn_blocking(move || StoredResponse::new(head, recorded, &ask.fields, standing)).await.ok()
        } else {
            Some(StoredResponse::new((*filled.head).clone(), recorded, &ask.fields, *standing))
        };
        if let Some(stored) = stored {
            self.put(ask, &ask.key, Arc::new(stored), shared_by_check(policy));
            if let Some(old) = &errand.stored {
                // RFC 9111 §4.3.3: a full answer "indicates that none of the stored responses nominated in the
                // conditional request are suitable". One with another `Vary` does not take the place of the one that
                // the request had selected, which would be selected again.
                if !shared_by_check(policy) && ask.twin.is_none() {
                    self.shared.store.remove(&ask.key, old);
                }
                self.watch.metrics.evicted(EvictionCause::Replaced);
            }
        }
    }
}

/// The whole of a recorded body; off the runtime's threads where it claims a digest and there is much to be hashed.
async fn complete(
    chunks: Vec<Bytes>,
    declared: Option<u64>,
    head: &Arc<HeaderMap>,
    trailers: Option<HeaderMap>,
) -> Result<Recorded, SkipReason> {
    let length = chunks.iter().map(Bytes::len).sum::<usize>();
    if length <= HASH_INLINE_MAX || integrity::claims(head, trailers.as_ref()).next().is_none() {
        return Recorded::complete(&chunks, declared, head, trailers);
    }
    let head = Arc::clone(head);
    let complete = move || Recorded::complete(&chunks, declared, &head, trailers);
    tokio::task::spawn_blocking(complete).await.unwrap_or(Err(SkipReason::Abandoned))
}
