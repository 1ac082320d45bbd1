//! `StoredResponse`: a complete response as the store holds it.
//!
//! It is immutable and whole, or it does not exist: the only way to content is [`Recorded`], and the only constructor
//! of that takes bytes whose end was seen and whose length agrees with what the head declared. Freshening makes a new
//! head around the same content. The content's bytes are readable in this folder only; they leave it inside
//! [`Checked`](super::promise::Checked) or [`Excused`](super::promise::Excused).

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::digest::{Algorithm, Digest, Sha256, Sha512};
use super::directives::ResponseDirectives;
use super::field_names::FieldNames;
use super::fields::{self, StoredFields};
use super::freshness::Lifetime;
use super::groups::Groups;
use super::moment::{Moment, Now};
use super::outcome::SkipReason;
use super::policy::Policy;
use super::recognise::{self, Recipe};
use super::request_fields::RequestFields;
use super::validator::{self, EntityTag};
use super::vary::Vary;
use super::{freshness, integrity, targeted};
use crate::faults::{Fault, seeded};

/// A response body whose every byte was received: the end was seen, and the declared length and digests agree.
#[derive(Clone, Debug)]
pub struct Recorded {
    bytes: Bytes,
    trailers: Option<Box<HeaderMap>>,
    /// Computed when something first needs it.
    sha256: OnceLock<Box<Sha256>>,
    /// Likewise, and rarely.
    sha512: OnceLock<Box<Sha512>>,
}

impl Recorded {
    /// The whole of a body that ended cleanly, copied into memory of its own size (slices of a read buffer would keep
    /// the buffer alive).
    ///
    /// # Errors
    /// [`SkipReason::Contradicted`] if the bytes disagree with `declared`, the `Content-Length`, or with a digest that
    /// `head` or `trailers` claim (RFC 9530). Digests are computed where one is claimed: callers with more than a few
    /// KiB do this off the runtime threads.
    pub fn complete(
        chunks: &[Bytes],
        declared: Option<u64>,
        head: &HeaderMap,
        trailers: Option<HeaderMap>,
    ) -> Result<Self, SkipReason> {
        let length = chunks.iter().map(Bytes::len).sum::<usize>();
        if declared.is_some_and(|declared| declared != length as u64) && !seeded(Fault::IgnoreLength) {
            return Err(SkipReason::Contradicted);
        }
        let mut whole = Vec::with_capacity(length);
        for chunk in chunks {
            whole.extend_from_slice(chunk);
        }
        let (sha256, sha512) = (OnceLock::new(), OnceLock::new());
        let recorded = Self { bytes: Bytes::from(whole), trailers: trailers.map(Box::new), sha256, sha512 };
        let agrees = |claim: Digest| recorded.digest(claim.algorithm()) == claim;
        if integrity::claims(head, recorded.trailers.as_deref()).all(agrees) {
            Ok(recorded)
        } else {
            Err(SkipReason::Contradicted)
        }
    }

    fn sha256(&self) -> Sha256 {
        **self.sha256.get_or_init(|| Box::new(Sha256::of(&self.bytes)))
    }

    fn digest(&self, algorithm: Algorithm) -> Digest {
        match algorithm {
            Algorithm::Sha256 => Digest::Sha256(self.sha256()),
            Algorithm::Sha512 => Digest::Sha512(**self.sha512.get_or_init(|| Box::new(Sha512::of(&self.bytes)))),
        }
    }

    fn is_digested(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Sha256 => self.sha256.get().is_some(),
            Algorithm::Sha512 => self.sha512.get().is_some(),
        }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// A response head ready to be stored: filtered, copied, parsed once.
#[derive(Clone, Debug)]
pub struct StoredHead {
    /// The status.
    pub status: StatusCode,
    /// The fields to serve: hop-by-hop and per-exchange fields are gone.
    pub fields: StoredFields,
    /// `Cache-Control`, parsed.
    pub directives: ResponseDirectives,
    /// The origin's entity tag.
    pub tag: Option<EntityTag>,
    /// Whether that tag is strong and not one that another body of the same second could share.
    pub tag_vouches: bool,
    /// The origin's `Last-Modified`.
    pub last_modified: Option<SystemTime>,
    /// Whether that date is a strong validator of the content (RFC 9110 §8.8.2.2).
    dated: bool,
    /// The fields that select this response.
    pub vary: Vary,
    /// The groups with which it is invalidated.
    pub groups: Groups,
    /// `corrected_initial_age` (RFC 9111 §4.2.3).
    initial_age: Duration,
    /// When the head was received.
    received: Moment,
    /// Freshness lifetime (RFC 9111 §4.2.1).
    lifetime: Lifetime,
}

impl StoredHead {
    /// Reads a head as it came from the origin: asked for at `asked`, received `now`.
    #[must_use]
    pub fn read(status: StatusCode, received: &HeaderMap, policy: &Policy, asked: SystemTime, now: Now) -> Self {
        let mut fields = fields::storable_head(received, policy.set_cookie);
        let vouches = EntityTag::of(&fields).is_some_and(|tag| validator::vouches(&tag, &fields));
        let dated = validator::date_vouches(&fields);
        // RFC 9110 §6.6.1: a response without `Date`, or with an invalid one, gets that of its reception. It is not the
        // origin's own, so it cannot make a tag vouch.
        if validator::date_of(&fields, header::DATE).is_none()
            && let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(now.wall))
        {
            fields.insert(header::DATE, date);
        }
        let mut head =
            Self::of(status, fields, vouches, freshness::initial_age(received, asked, now.wall), policy, now);
        head.dated = head.last_modified.is_some() && dated;
        head
    }

    fn of(
        status: StatusCode,
        mut fields: HeaderMap,
        tag_vouches: bool,
        initial_age: Duration,
        policy: &Policy,
        now: Now,
    ) -> Self {
        let directives = targeted::effective(&fields, &policy.targeted);
        // RFC 9111 §5.2.2.7: with field names, "a shared cache MUST NOT store the specified field name(s)".
        for name in directives.private.fields() {
            fields.remove(name);
        }
        let tag = EntityTag::of(&fields);
        Self {
            status,
            tag_vouches,
            last_modified: validator::date_of(&fields, header::LAST_MODIFIED),
            dated: false,
            vary: Vary::of(&fields),
            groups: Groups::of(&fields),
            lifetime: freshness::lifetime(status, &directives, &fields, policy.heuristic_max),
            tag,
            directives,
            initial_age,
            received: now.at,
            fields: StoredFields::of(&fields),
        }
    }

    /// The head after an answer without content updated it (RFC 9111 §3.2, §4.3.4).
    #[must_use]
    pub fn freshened(&self, update: &HeaderMap, policy: &Policy, asked: SystemTime, now: Now) -> Self {
        let initial_age = freshness::initial_age(update, asked, now.wall);
        if let Some(fields) = self.fields.redated(update, policy.set_cookie) {
            let stated = self.directives.s_maxage.or(self.directives.max_age).is_some();
            let dated = policy.heuristic_max.is_some() || fields.contains_key(header::EXPIRES);
            let anew = || freshness::lifetime(self.status, &self.directives, &fields.to_map(0), policy.heuristic_max);
            // Only what is reckoned from `Date` has changed with it.
            let lifetime = if dated && !stated { anew() } else { self.lifetime };
            return Self { fields, initial_age, lifetime, received: now.at, ..self.clone() };
        }
        // Whether the tag vouches was settled when the content came: the `Date` of a 304 makes the tag look older, but
        // not the copy.
        let fields = fields::freshen(&self.fields.to_map(0), update, policy.set_cookie);
        let mut fresh = Self::of(self.status, fields, self.tag_vouches, initial_age, policy, now);
        fresh.dated = self.dated && fresh.last_modified == self.last_modified;
        fresh.fields.share_with(&self.fields);
        fresh
    }

    /// `current_age` (RFC 9111 §4.2.3).
    #[must_use]
    pub fn age(&self, at: Moment) -> Duration {
        self.initial_age.saturating_add(at.since(self.received))
    }

    /// The origin's `Last-Modified`, if it is a strong validator of the content (RFC 9110 §8.8.2.2).
    #[must_use]
    pub const fn strong_date(&self) -> Option<SystemTime> {
        if self.dated { self.last_modified } else { None }
    }

    /// Freshness lifetime (RFC 9111 §4.2.1).
    #[must_use]
    pub const fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// Whether there is a validator of any kind: what RFC 9111 §4.3.1 lets a cache ask by.
    #[must_use]
    pub const fn has_validator(&self) -> bool {
        self.tag.is_some() || self.last_modified.is_some()
    }

    /// What the head weighs in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.fields.weight() + self.groups.weight()
    }
}

/// What a stored response costs beyond its bytes: `Arc`s and the parsed head. With what the store adds for a key, what is
/// counted for a response of 1 KiB is a little more than the process was seen to grow by.
pub(super) const ENTRY_OVERHEAD: usize = 512;

/// When and by what a response was last confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When the exchange began that fetched it or last confirmed it.
    pub confirmed: Moment,
    /// The invalidation epoch in which that exchange began: an invalidation that opened a later one, and touches this
    /// response, makes it one that must be validated (RFC 9111 §4.4).
    pub epoch: u64,
}

impl Standing {
    /// Whether an invalidation touched the response since the exchange began: `invalidated` is the epoch that the latest
    /// one to touch it opened.
    #[must_use]
    pub const fn is_invalidated(&self, invalidated: u64) -> bool {
        invalidated > self.epoch
    }
}

/// The selecting fields of the request that a response answers (RFC 9111 §4.1), in canonical form and word for word;
/// `None` where it varies by nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Selection(Option<Arc<[Box<[u8]>; 2]>>);

impl Selection {
    fn of(vary: &Vary, request: &RequestFields) -> Self {
        let varies = vary.names().is_some_and(|names| !names.is_empty());
        Self(varies.then(|| Arc::new([vary.selecting(request), vary.words(request)])))
    }

    fn canonical(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |forms| &forms[0])
    }

    fn words(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |forms| &forms[1])
    }

    fn weight(&self) -> usize {
        self.0.as_ref().map_or(0, |forms| forms.iter().map(|form| size_of::<Box<[u8]>>() + form.len()).sum())
    }
}

/// A complete stored response.
#[derive(Clone, Debug)]
pub struct StoredResponse {
    head: Arc<StoredHead>,
    /// Shared by all heads that freshening makes.
    content: Arc<Recorded>,
    /// Which digest of the content the origin's tag is, if it is one.
    recognised: Option<Recipe>,
    /// By what a request selects it.
    selection: Selection,
    standing: Standing,
}

impl StoredResponse {
    /// A response to store. `request` is the request that it answers.
    ///
    /// A weak tag is held against the known digest recipes here, which hashes the content: callers with more than a
    /// few KiB of it do this off the runtime threads.
    #[must_use]
    pub fn new(mut head: StoredHead, recorded: Recorded, request: &RequestFields, standing: Standing) -> Self {
        head.fields.set_content_length(recorded.len() as u64);
        let recognised = match &head.tag {
            Some(tag) if tag.weak => recognise::is_digest_of(tag, &recorded.bytes),
            _ => None,
        };
        Self {
            recognised,
            selection: Selection::of(&head.vary, request),
            head: Arc::new(head),
            content: Arc::new(recorded),
            standing,
        }
    }

    /// The same content under a head that an answer to `request` updated, confirmed by the exchange of `standing`.
    ///
    /// Where the update names more in `Vary`, the response is from now on the one for what this request says of it.
    #[must_use]
    pub fn freshened(
        &self,
        update: &HeaderMap,
        request: &RequestFields,
        policy: &Policy,
        asked: SystemTime,
        now: Now,
        standing: Standing,
    ) -> Self {
        let mut fresh = self.clone();
        let mut head = self.head.freshened(update, policy, asked, now);
        // What was not confirmed is still what an invalidation of the groups that it had has touched.
        if standing == self.standing {
            head.groups = head.groups.and(&self.head.groups);
        }
        fresh.head = Arc::new(head);
        if fresh.head.vary != self.head.vary {
            fresh.selection = Selection::of(&fresh.head.vary, request);
        }
        fresh.standing = standing;
        fresh
    }

    /// The same content under the head of a full answer that repeated its bytes.
    #[must_use]
    pub fn reheaded(&self, mut head: StoredHead, request: &RequestFields, standing: Standing) -> Self {
        if head.tag != self.head.tag {
            return Self::new(head, (*self.content).clone(), request, standing);
        }
        head.fields.set_content_length(self.content.len() as u64);
        head.fields.share_with(&self.head.fields);
        Self {
            recognised: self.recognised,
            selection: Selection::of(&head.vary, request),
            head: Arc::new(head),
            content: Arc::clone(&self.content),
            standing,
        }
    }

    /// Has the names of its fields shared with others, as `share` says. Only while the head is nobody else's.
    pub fn share_names(&mut self, share: impl FnOnce(&FieldNames) -> FieldNames) {
        if let Some(head) = Arc::get_mut(&mut self.head) {
            let shared = share(head.fields.names());
            head.fields.share_names(shared);
        }
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> &StoredHead {
        &self.head
    }

    /// When and by what it was last confirmed.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Which digest of the content the tag is, if it was recognised as one.
    #[must_use]
    pub const fn recognised(&self) -> Option<Recipe> {
        self.recognised
    }

    /// The content's length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.content.len()
    }

    /// Whether there is no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// The content's digest, computed on the first call for each algorithm (about 9 us per KiB on a CPU without SHA
    /// extensions), or when the content was recorded under a head that claimed it.
    #[must_use]
    pub fn digest(&self, algorithm: Algorithm) -> Digest {
        self.content.digest(algorithm)
    }

    /// Whether [`digest`](Self::digest) has been computed.
    #[must_use]
    pub fn is_digested(&self, algorithm: Algorithm) -> bool {
        self.content.is_digested(algorithm)
    }

    /// The content's SHA-256, as [`digest`](Self::digest) computes it.
    #[must_use]
    pub fn sha256(&self) -> Sha256 {
        self.content.sha256()
    }

    /// Whether the content at `offset` begins with `bytes`: how a full answer is compared as it arrives.
    #[must_use]
    pub fn continues_with(&self, offset: usize, bytes: &[u8]) -> bool {
        self.content.bytes.get(offset..).is_some_and(|rest| rest.starts_with(bytes))
    }

    /// The first `length` bytes of the content: for a [`Comparison`](super::judge::Comparison) that found them equal to
    /// what the origin has just sent.
    pub(super) fn agreed_prefix(&self, length: usize) -> Bytes {
        self.content.bytes.slice(..length.min(self.len()))
    }

    /// Whether the request's selecting fields are those that this response was stored for (RFC 9111 §4.1).
    #[must_use]
    pub fn selected_by(&self, request: &RequestFields) -> bool {
        self.head.vary.selects(request, self.selection.canonical())
    }

    /// Whether the request has the selecting fields of the one that this response answered, word for word.
    #[must_use]
    pub fn is_asked_for_again(&self, request: &RequestFields) -> bool {
        self.head.vary.repeats(request, self.selection.words())
    }

    /// Whether it is selected by a request whose values of the fields of [`StoredHead::vary`] are these, canonical.
    #[must_use]
    pub fn selected_as(&self, selecting: &[u8]) -> bool {
        self.head.vary.names().is_some() && self.selection.canonical() == selecting
    }

    /// Whether they are, but for those of `except`.
    #[must_use]
    pub fn selected_by_all_but(&self, except: &HeaderName, request: &RequestFields) -> bool {
        self.head.vary.selects_but_for(except, request, self.selection.canonical())
    }

    /// Whether this is `old`, freshened by exchanges that began less than `within` after the one that confirmed that, and
    /// has the same fields but for their `Date`, which vouches for no more either.
    #[must_use]
    pub fn says_no_more_than(&self, old: &Self, within: Duration) -> bool {
        Arc::ptr_eq(&self.content, &old.content)
            && self.standing.epoch == old.standing.epoch
            && self.standing.confirmed.since(old.standing.confirmed) < within
            && self.head.fields.differ_by_date_at_most(&old.head.fields)
            && (self.head.tag_vouches, self.head.dated) == (old.head.tag_vouches, old.head.dated)
            && self.selection == old.selection
    }

    /// Whether both were stored for the same selecting fields.
    #[must_use]
    pub fn same_selection(&self, other: &Self) -> bool {
        self.selection() == other.selection()
    }

    /// What selects it: the fields that `Vary` names, and their values, canonical.
    #[must_use]
    pub fn selection(&self) -> (&Vary, &[u8]) {
        (&self.head.vary, self.selection.canonical())
    }

    /// What it costs in memory, in bytes, the key not counted.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.len() + self.head.weight() + self.selection.weight() + ENTRY_OVERHEAD
    }

    /// The content and its trailers: for [`promise`](super::promise) alone.
    pub(super) fn content(&self) -> (Bytes, Option<Box<HeaderMap>>) {
        (self.content.bytes.clone(), self.content.trailers.clone())
    }
}

#[cfg(test)]
mod tests;
