//! Replies: the one place that turns what was found into a response.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode, response};

use super::Proxy;
use super::draft::Draft;
use super::exchange::is_at_hand;
use super::take_in::Filled;
use super::visit::{Ride, Settled, Visit};
use crate::body::{Body, Content};
use crate::fill::Reader;
use crate::origin::{Origin, OriginError, Purpose};
use crate::rules::ask::Ask;
use crate::rules::digest::Algorithm;
use crate::rules::fields;
use crate::rules::forwarding::Via;
use crate::rules::integrity::{self, CONTENT_DIGEST, REPR_DIGEST};
use crate::rules::outcome::{Excuse, FetchReason, Kind, Outcome, PassReason, Proof, SkipReason};
use crate::rules::partial::PartialResponse;
use crate::rules::preconditions::{Preconditions, not_modified_head};
use crate::rules::promise::Served;
use crate::rules::range::ContentRange;
use crate::rules::refusal::{Refusal, Told};
use crate::rules::stored::{StoredHead, StoredResponse};
use crate::rules::validator::{self, EntityTag};

/// `Cache-Status` (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// `Proxy-Status` (RFC 9209).
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// How many fields are mostly added to a stored head: `Age`, `Via` and `Cache-Status`.
const OWN_FIELDS: usize = 3;

/// What a request gets.
pub(super) enum Reply<B> {
    /// A stored response, with the proof or the excuse that lets it out, and the status of the answer behind it.
    Stored { served: Served, status: Option<StatusCode>, ride: Ride },
    /// A stored part that has what was asked for, likewise; and the bytes that answer.
    Part { served: Served<PartialResponse>, part: (Bytes, ContentRange), status: Option<StatusCode>, ride: Ride },
    /// A representation as it arrives.
    Filling { filled: Arc<Filled>, reader: Reader, ride: Ride },
    /// A response that may not be shared.
    Alone { response: Box<Response<B>>, why: FetchReason, skip: SkipReason, ride: Ride },
    /// The origin failed.
    Failed { error: OriginError, ride: Ride },
    /// Answered here.
    Refused(Refusal),
    /// Not for a cache after all: the request passes.
    Pass(PassReason),
}

impl<B> Reply<B> {
    /// A stored part, if it has what is asked for.
    pub(super) fn part(
        ask: &Ask,
        served: Served<PartialResponse>,
        status: Option<StatusCode>,
        ride: Ride,
    ) -> Option<Self> {
        let part = served.part_for(ask)?;
        Some(Self::Part { served, part, status, ride })
    }

    /// Whether it can be rendered without waiting for anything.
    pub(super) fn is_ready(&self, ask: &Ask) -> bool {
        !matches!(self, Self::Pass(_)) && self.dear_digests(ask).is_empty()
    }

    /// The digests that it states and that nobody has computed yet, of content that is too much for a runtime's thread:
    /// to be computed before it is rendered.
    pub(super) fn dear_digests(&self, ask: &Ask) -> Vec<(Arc<StoredResponse>, Algorithm)> {
        let Self::Stored { served, .. } = self else { return Vec::new() };
        let stored = served.response();
        let own = lacks_tag(stored).then_some(Algorithm::Sha256);
        let all = own.into_iter().chain(stated(ask, stored).map(|(_, algorithm)| algorithm));
        all.filter(|one| !is_at_hand(stored, *one)).map(|one| (Arc::clone(stored), one)).collect()
    }
}

/// Whether the digest has to stand in for a tag: it gives clients what the origin lacks, a strong tag, and so 304s.
fn lacks_tag(stored: &StoredResponse) -> bool {
    stored.head().tag.is_none() && stored.head().status == StatusCode::OK
}

/// The digests that a client asks for, and the response does not state by itself (RFC 9530 §4).
///
/// What the origin has stated was verified when it was stored. The content is the whole representation, so both digests
/// are the same; a HEAD has no content to digest.
fn stated(ask: &Ask, stored: &StoredResponse) -> impl Iterator<Item = (HeaderName, Algorithm)> {
    let content = ask.wants.content.filter(|_| !ask.head_only);
    let wanted = [(REPR_DIGEST, ask.wants.repr), (CONTENT_DIGEST, content)].into_iter();
    wanted
        .filter_map(|(name, wanted)| Some((name, wanted?)))
        .filter(|(name, wanted)| !integrity::states(&stored.head().fields.to_map(0), name, *wanted))
}

impl<O: Origin> Proxy<O> {
    /// Renders a reply to an ask. The digests that it states are computed here, if they were not before
    /// ([`Reply::dear_digests`]).
    pub(super) fn render(&self, ask: &Ask, visit: Visit, reply: Reply<O::Body>) -> Response<Body<O::Body>> {
        match reply {
            Reply::Stored { served, status, ride } => self.render_stored(ask, visit, served, status, ride),
            Reply::Part { served, part, status, ride } => {
                let head = served.response().head();
                let mut parts = parts(head.status, head.fields.to_map(OWN_FIELDS));
                let outcome = self.outcome_of(&served, head, &mut parts.headers);
                let outcome = Outcome { fwd_status: status, ..outcome };
                let draft = Draft::of_part(parts, part, ask.range.as_ref());
                self.respond(ask, visit, draft, outcome, ride)
            }
            Reply::Filling { filled, reader, ride } => self.render_filling(ask, visit, &filled, reader, ride),
            Reply::Alone { response, why, skip, ride } => {
                let (mut parts, body) = response.into_parts();
                fields::remove_hop_by_hop(&mut parts.headers);
                let outcome = Outcome { fwd_status: Some(parts.status), ..Outcome::new(kind_of(why), skip.as_str()) };
                let content = Content::Passing(Box::new(body), Purpose::Fetch);
                let draft = Draft { parts, content, tag_vouches: false, strong_date: None };
                self.respond(ask, visit, draft, outcome, ride)
            }
            Reply::Failed { error, ride } => self.render_failed(visit, &error, ride),
            Reply::Refused(refusal) => self.render_refused(visit, refusal),
            // `handle` takes this one out before it renders.
            Reply::Pass(_) => self.render_refused(visit, Refusal::TargetForm),
        }
    }

    fn render_stored(
        &self,
        ask: &Ask,
        visit: Visit,
        served: Served,
        status: Option<StatusCode>,
        ride: Ride,
    ) -> Response<Body<O::Body>> {
        let stored = Arc::clone(served.response());
        let mut parts = parts(stored.head().status, stored.head().fields.to_map(OWN_FIELDS));
        let lacks_tag = lacks_tag(&stored);
        if lacks_tag {
            parts.headers.insert(header::ETAG, stored.sha256().entity_tag());
        }
        for (name, algorithm) in stated(ask, &stored) {
            integrity::state(&mut parts.headers, name, &stored.digest(algorithm));
        }
        let outcome = self.outcome_of(&served, stored.head(), &mut parts.headers);
        let outcome = Outcome { fwd_status: status, ..outcome };
        let (tag_vouches, strong_date) = (lacks_tag || stored.head().tag_vouches, stored.head().strong_date());
        let (bytes, trailers) = served.into_content();
        let draft = Draft { parts, content: Content::Full(bytes, trailers), tag_vouches, strong_date };
        self.respond(ask, visit, draft, outcome, ride)
    }

    /// How a stored response comes to be served, and its `Age` where that is due.
    fn outcome_of<R>(&self, served: &Served<R>, head: &StoredHead, fields: &mut HeaderMap) -> Outcome {
        match served {
            Served::Checked(checked) => Outcome::new(Kind::Checked, checked.proof().as_str()),
            Served::Excused(excused) => {
                // RFC 9111 §5.1: what was not validated for this request carries its age.
                let age = head.age(self.watch.clock.moment());
                fields.insert(header::AGE, HeaderValue::from(age.as_secs()));
                // RFC 9111 §5.2.2.4: with field names, a response is used without those fields unless it was validated.
                for name in head.directives.no_cache.fields() {
                    fields.remove(name);
                }
                let ttl = i64::try_from(head.lifetime().duration().as_secs())
                    .unwrap_or(i64::MAX)
                    .saturating_sub_unsigned(age.as_secs());
                let ttl = (excused.excuse() == Excuse::Fresh).then_some(ttl);
                Outcome { ttl, ..Outcome::new(Kind::Excused, excused.excuse().as_str()) }
            }
        }
    }

    fn render_filling(
        &self,
        ask: &Ask,
        visit: Visit,
        filled: &Filled,
        reader: Reader,
        ride: Ride,
    ) -> Response<Body<O::Body>> {
        let outcome = if filled.confirmed {
            Outcome::new(Kind::Checked, Proof::StrongTag.as_str())
        } else {
            Outcome { stored: filled.records(), ..Outcome::new(kind_of(filled.why), filled.why.as_str()) }
        };
        let status = if filled.confirmed { StatusCode::NOT_MODIFIED } else { filled.answered };
        let outcome = Outcome { fwd_status: Some(status), ..outcome };
        let mut parts = parts(filled.status, (*filled.fields).clone());
        if ride.collapsed {
            filled.remove_unshared(&mut parts.headers);
        }
        let (tag_vouches, strong_date) = (filled.tag().is_some(), filled.stored_head().strong_date());
        let draft = Draft { parts, content: Content::Filling(reader), tag_vouches, strong_date };
        self.respond(ask, visit, draft, outcome, ride)
    }

    /// Answers the client's own conditions and ranges, leaves out what HEAD and 304 have no place for, and signs.
    pub(super) fn respond(
        &self,
        ask: &Ask,
        visit: Visit,
        mut draft: Draft<O::Body>,
        outcome: Outcome,
        ride: Ride,
    ) -> Response<Body<O::Body>> {
        // RFC 9110 §13.2.1: conditions are for what would otherwise be a 200, or a part of one; §13.2.2: they come before
        // ranges.
        let selected = matches!(draft.parts.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
        if selected && is_not_modified(&ask.preconditions, &draft.parts.headers) {
            draft.parts.status = StatusCode::NOT_MODIFIED;
            draft.parts.headers = not_modified_head(&draft.parts.headers);
            draft.content = Content::Empty;
        } else if ask.head_only {
            // RFC 9530 §2: it is the digest of "the actual message content", and here there is none.
            draft.parts.headers.remove(CONTENT_DIGEST);
            draft.content = Content::Empty;
        } else if let Some(range) = &ask.range {
            draft = draft.cut(range);
            draft.state_content_digest(ask.wants.content);
        }
        let Draft { mut parts, content, .. } = draft;
        let settled = visit.settle(outcome, parts.status, ride);
        sign(&mut parts, &settled, &self.marks.via);
        Response::from_parts(parts, Body::new(content, settled))
    }

    /// The one mapping of an origin's failure to a response: status by RFC 9209 §2.3, and `Proxy-Status`.
    pub(super) fn render_failed(&self, visit: Visit, error: &OriginError, ride: Ride) -> Response<Body<O::Body>> {
        let status = match error {
            OriginError::ConnectionTimeout | OriginError::ResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
            OriginError::ConnectionLimit | OriginError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            OriginError::RequestIncomplete(_) => StatusCode::BAD_REQUEST,
            OriginError::RequestLate => StatusCode::REQUEST_TIMEOUT,
            OriginError::RequestTooLong => StatusCode::PAYLOAD_TOO_LARGE,
            OriginError::Dns(_)
            | OriginError::ConnectionRefused
            | OriginError::ConnectionTerminated(_)
            | OriginError::TlsProtocol(_)
            | OriginError::TlsCertificate(_)
            | OriginError::Protocol(_)
            | OriginError::ResponseIncomplete(_) => StatusCode::BAD_GATEWAY,
        };
        let outcome = Outcome::new(Kind::Failed, error.as_str());
        let mut response = self.problem(visit, status, outcome, ride, error.as_str(), &error.to_string());
        if let OriginError::Unavailable(left) = error {
            response.headers_mut().insert(header::RETRY_AFTER, retry_after(*left));
        }
        response
    }

    /// A refusal, and what was wrong.
    pub(super) fn render_refused(&self, visit: Visit, refusal: Refusal) -> Response<Body<O::Body>> {
        let Told { status, error, detail } = refusal.told();
        let outcome = Outcome::new(Kind::Refused, refusal.as_str());
        self.problem(visit, status, outcome, Ride::default(), error, detail)
    }

    /// An answer of our own: `Proxy-Status` for machines, `application/problem+json` (RFC 9457) for people.
    fn problem(
        &self,
        visit: Visit,
        status: StatusCode,
        outcome: Outcome,
        ride: Ride,
        error: &str,
        detail: &str,
    ) -> Response<Body<O::Body>> {
        let problem = serde_json::json!({
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": detail,
            "reason": outcome.reason,
        });
        let text = Bytes::from(format!("{problem}\n"));
        let mut parts = parts(status, HeaderMap::new());
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // RFC 9110 §15.6.4: with a 503, the server "MAY send a Retry-After header field [..] to suggest an appropriate
        // amount of time for the client to wait".
        if status == StatusCode::SERVICE_UNAVAILABLE {
            parts.headers.insert(header::RETRY_AFTER, retry_after(Duration::ZERO));
        }
        if let Ok(value) = HeaderValue::try_from(format!("truehit; error={error}")) {
            parts.headers.insert(PROXY_STATUS, value);
        }
        let settled = visit.settle(outcome, status, ride);
        Response::from_parts(parts, Body::new(Content::Full(text, None), settled))
    }
}

/// `Retry-After` (RFC 9110 §10.2.3) for this time: whole seconds, one at least.
fn retry_after(left: Duration) -> HeaderValue {
    let begun = u64::from(left.subsec_nanos() > 0);
    HeaderValue::from((left.as_secs() + begun).max(1))
}

/// `Via` and `Cache-Status`: what an intermediary adds to every response that it forwards or stores. Where the route keeps
/// targeted fields from clients, they end here.
pub(super) fn sign(parts: &mut response::Parts, settled: &Settled, via: &Via) {
    let policy = settled.policy();
    for name in policy.targeted.iter().filter(|_| !policy.targeted_forwarded) {
        parts.headers.remove(name);
    }
    via.append(&mut parts.headers, parts.version);
    if let Some(member) = settled.outcome().cache_status() {
        parts.headers.append(CACHE_STATUS, member);
    }
}

/// Whether a response with this head answers the request with a 304.
fn is_not_modified(conditions: &Preconditions, head: &HeaderMap) -> bool {
    if conditions.is_empty() {
        return false;
    }
    // RFC 9111 §4.3.2: without a Last-Modified, the Date is compared with If-Modified-Since.
    let dated = if head.contains_key(header::LAST_MODIFIED) { header::LAST_MODIFIED } else { header::DATE };
    conditions.not_modified(EntityTag::of(head).as_ref(), validator::date_of(head, dated))
}

/// How a fetch counts: something was stored and is not current, or nothing usable was.
const fn kind_of(why: FetchReason) -> Kind {
    match why {
        FetchReason::Absent => Kind::Miss,
        FetchReason::Partial => Kind::Partial,
        FetchReason::VaryMismatch => Kind::VaryMiss,
        FetchReason::Changed | FetchReason::Unproven | FetchReason::Uncheckable => Kind::Changed,
    }
}

fn parts(status: StatusCode, fields: HeaderMap) -> response::Parts {
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = status;
    parts.headers = fields;
    parts
}
