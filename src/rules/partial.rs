//! `PartialResponse`: one range of a response as the store holds it (RFC 9111 §3.3).
//!
//! It is another type than [`StoredResponse`], so that nothing takes it for a whole one. It answers a request for a
//! range wholly within it, and it can become whole: by the ranges that it lacks, under the same strong validator
//! (§3.4). Its bytes leave by [`promise`](super::promise), or into a [`Completion`](super::completion::Completion).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header, response};

use super::admit::{self, Framing};
use super::ask::Ask;
use super::judge::Exchange;
use super::outcome::SkipReason;
use super::policy::{Policy, Verify};
use super::range::{ContentRange, RangeRequest, Resolved, Span};
use super::request_fields::RequestFields;
use super::stored::{ENTRY_OVERHEAD, Recorded, Standing, StoredHead, StoredResponse};
use super::validator::EntityTag;
use super::vary::Vary;

/// Where the content of a 206 belongs: as far as that is known before all of it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    stated: ContentRange,
    /// How many of the last bytes were asked for, where the route lets that count for more than what is stated.
    suffix: Option<u64>,
}

/// What is known of a part's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Basis {
    /// Its `Content-Range` says so, and its length agrees.
    Stated,
    /// The request and the first position say so (`parts = "lenient"`).
    Guessed,
}

impl Place {
    /// Where the `Content-Range` says, and nowhere else.
    #[must_use]
    pub const fn stated(range: ContentRange) -> Self {
        Self { stated: range, suffix: None }
    }

    /// The place of an answer that states `range`.
    fn of(ask: &Ask, range: ContentRange, policy: &Policy) -> Self {
        let suffix = ask.range.as_ref().filter(|_| policy.is_lenient_with_parts()).and_then(RangeRequest::suffix);
        Self { stated: range, suffix }
    }

    /// The range of a content that is `length` bytes long.
    ///
    /// # Errors
    /// [`SkipReason::Contradicted`] if these are more or fewer bytes than are stated. Which of the two is wrong, and so
    /// where the bytes belong, cannot be known.
    pub fn range(self, length: u64) -> Result<ContentRange, SkipReason> {
        Ok(self.settled(length)?.0)
    }

    fn settled(self, length: u64) -> Result<(ContentRange, Basis), SkipReason> {
        if length == self.stated.span().len() {
            return Ok((self.stated, Basis::Stated));
        }
        let guessed = self.guessed().filter(|range| range.span().len() == length);
        Ok((guessed.ok_or(SkipReason::Contradicted)?, Basis::Guessed))
    }

    /// The place of the suffix that was asked for, if it begins where the `Content-Range` says: these are the last bytes,
    /// so the representation ends with them. One that begins at 0 would be all of it, and as that answer everybody: there
    /// nothing is guessed.
    fn guessed(self) -> Option<ContentRange> {
        let start = Some(self.stated.span().start()).filter(|start| *start > 0)?;
        let end = start.checked_add(self.suffix?)?;
        ContentRange::new(Span::new(start, end)?, end)
    }
}

/// The content of one range, in its place; its end was seen.
#[derive(Clone, Debug)]
pub struct RecordedPart {
    bytes: Bytes,
    range: ContentRange,
    basis: Basis,
}

impl RecordedPart {
    /// The content of a part that ended cleanly, copied into memory of its own size.
    ///
    /// # Errors
    /// As of [`Place::range`].
    pub fn received(chunks: &[Bytes], place: Place) -> Result<Self, SkipReason> {
        let length = chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        let (range, basis) = place.settled(length)?;
        Ok(Self { bytes: Bytes::from(chunks.concat()), range, basis })
    }

    /// Whether its place is only guessed.
    fn is_guessed(&self) -> bool {
        self.basis == Basis::Guessed
    }

    /// The bytes of `span`, if it is within the part.
    fn slice(&self, span: Span) -> Option<Bytes> {
        let own = self.range.span();
        let start = span.start().checked_sub(own.start())?;
        let within = Span::new(start, start + span.len())?;
        own.contains(span).then(|| within.indices()).flatten().map(|indices| self.bytes.slice(indices))
    }

    /// Both parts as one, if their places are known, they meet, and are of representations of equal length; where they
    /// overlap, the bytes of `newer` count.
    fn joined(&self, newer: &Self) -> Option<Self> {
        if self.is_guessed() || newer.is_guessed() {
            return None;
        }
        let (old, new) = (self.range.span(), newer.range.span());
        let all = old.joined(new, 0).filter(|_| self.range.complete() == newer.range.complete())?;
        let before = Span::new(all.start(), new.start()).and_then(|span| self.slice(span));
        let after = Span::new(new.end(), all.end()).and_then(|span| self.slice(span));
        let bytes = [before.unwrap_or_default(), newer.bytes.clone(), after.unwrap_or_default()].concat();
        let range = ContentRange::new(all, newer.range.complete())?;
        Some(Self { bytes: Bytes::from(bytes), range, basis: Basis::Stated })
    }
}

/// A stored response of which one range is there.
#[derive(Clone, Debug)]
pub struct PartialResponse {
    /// The head that the whole response would have.
    head: Arc<StoredHead>,
    part: RecordedPart,
    /// The values of the request's selecting fields, canonical (RFC 9111 §4.1).
    selecting: Box<[u8]>,
    standing: Standing,
}

/// What a part has become.
#[derive(Clone, Debug)]
pub enum Kept {
    /// A part still.
    Part(PartialResponse),
    /// The whole.
    Whole(StoredResponse),
}

impl Kept {
    /// A part to store, or the whole if it is all there is. `request` is the request that it answers.
    ///
    /// # Errors
    /// As of [`Recorded::complete`].
    pub fn of(
        mut head: StoredHead,
        part: RecordedPart,
        request: &RequestFields,
        standing: Standing,
    ) -> Result<Self, SkipReason> {
        // RFC 9110 §15.3.7.3: "If the union consists of the entire range of the representation, then the client MUST
        // process the combined response as if it were a complete 200 (OK) response".
        if part.range.is_all() {
            let recorded =
                Recorded::complete(&[part.bytes], Some(part.range.complete()), &head.fields.to_map(0), None)?;
            return Ok(Self::Whole(StoredResponse::new(head, recorded, request, standing)));
        }
        if part.is_guessed() {
            // The head was read before the length was known, and says what was stated.
            head.fields.set_content_length(part.range.complete());
        }
        let selecting = head.vary.selecting(request);
        Ok(Self::Part(PartialResponse { head: Arc::new(head), part, selecting, standing }))
    }
}

impl PartialResponse {
    /// The head, as that of the whole response.
    #[must_use]
    pub fn head(&self) -> &StoredHead {
        &self.head
    }

    /// When and by what it was last confirmed.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Which range it is.
    #[must_use]
    pub const fn range(&self) -> ContentRange {
        self.part.range
    }

    /// Whether its place is only guessed: then it is neither joined with others nor completed.
    pub(super) fn is_guessed(&self) -> bool {
        self.part.is_guessed()
    }

    /// The part that answers the request, if this response has all of it.
    ///
    /// RFC 9111 §3.3: "A cache MUST NOT use an incomplete response to answer requests unless the response has been made
    /// complete, or the request is partial and specifies a range wholly within the incomplete response."
    #[must_use]
    pub fn answers(&self, ask: &Ask) -> Option<ContentRange> {
        let tag = self.head.tag.as_ref().filter(|_| self.head.tag_vouches);
        let range = ask.range.as_ref().filter(|range| range.holds(tag, self.head.strong_date()))?;
        let Resolved::One(span) = range.resolve(self.part.range.complete()) else { return None };
        self.part.range.span().contains(span).then(|| ContentRange::new(span, self.part.range.complete())).flatten()
    }

    /// The same part under a head that an answer without content updated, confirmed by the exchange.
    #[must_use]
    pub fn freshened(&self, update: &HeaderMap, policy: &Policy, exchange: Exchange) -> Self {
        let head = self.head.freshened(update, policy, exchange.asked, exchange.answered);
        Self { head: Arc::new(head), standing: exchange.standing, ..self.clone() }
    }

    /// This part and another one of the same representation, which came with the head `update`; `None` if they cannot be
    /// combined, or would be longer than the route stores.
    ///
    /// RFC 9111 §3.4: "A cache MAY combine these ranges into a single stored response [..] if they all share the same
    /// strong validator"; "a cache MUST update the stored response header fields using the header fields provided in the
    /// new response, as per Section 3.2."
    #[must_use]
    pub fn combined(
        &self,
        newer: &RecordedPart,
        update: &HeaderMap,
        request: &RequestFields,
        policy: &Policy,
        exchange: Exchange,
    ) -> Option<Kept> {
        let joined = self.part.joined(newer).filter(|_| self.is_same(update, policy))?;
        if joined.bytes.len() as u64 > policy.object_max {
            return None;
        }
        let head = self.head.freshened(update, policy, exchange.asked, exchange.answered);
        Kept::of(head, joined, request, exchange.standing).ok()
    }

    /// The strong validator by which other parts are known to be of the same representation, as a field value: the tag,
    /// or under `when-stale` a date, where no tag is.
    #[must_use]
    pub fn strong_validator(&self, policy: &Policy) -> Option<HeaderValue> {
        match &self.head.tag {
            Some(tag) => self.head.tag_vouches.then(|| tag.to_header_value()),
            None => {
                let dated = policy.verify == Verify::WhenStale && self.head.strong_date().is_some();
                dated.then(|| self.head.fields.get(header::LAST_MODIFIED)).flatten()
            }
        }
    }

    /// Whether a conditional request can show that it is current: by the only proof of strict routes, an equal strong tag,
    /// or under `when-stale` by any validator.
    #[must_use]
    pub fn can_be_checked(&self, policy: &Policy) -> bool {
        match policy.verify {
            Verify::WhenStale => self.head.has_validator(),
            Verify::EveryHit | Verify::Lease(_) | Verify::Off => self.head.tag_vouches,
        }
    }

    /// Makes a request one that asks whether the part is current: by its tag, or its date where there is none.
    pub fn set_condition(&self, request: &mut HeaderMap) {
        if let Some(tag) = &self.head.tag {
            request.insert(header::IF_NONE_MATCH, tag.to_header_value());
        } else if let Some(date) = self.head.fields.get(header::LAST_MODIFIED) {
            request.insert(header::IF_MODIFIED_SINCE, date);
        }
    }

    /// Whether an answer with this head is of the same representation, by its strong validator.
    #[must_use]
    pub fn is_same(&self, answer: &HeaderMap, policy: &Policy) -> bool {
        let theirs = match &self.head.tag {
            Some(_) => EntityTag::of(answer).filter(|tag| !tag.weak).map(|tag| tag.to_header_value()),
            None => answer.get(header::LAST_MODIFIED).filter(|_| EntityTag::of(answer).is_none()).cloned(),
        };
        self.strong_validator(policy).is_some_and(|ours| theirs == Some(ours))
    }

    /// Whether the request's selecting fields are those that this response was stored for (RFC 9111 §4.1).
    #[must_use]
    pub fn selected_by(&self, request: &RequestFields) -> bool {
        self.head.vary.selects(request, &self.selecting)
    }

    /// What selects it: the fields that `Vary` names, and their values, canonical.
    #[must_use]
    pub fn selection(&self) -> (&Vary, &[u8]) {
        (&self.head.vary, &self.selecting)
    }

    /// What it costs in memory, in bytes, the key not counted.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.part.bytes.len() + self.head.weight() + self.selecting.len() + ENTRY_OVERHEAD
    }

    /// The bytes of `span`, if it is within the part: for [`promise`](super::promise) alone.
    pub(super) fn content(&self, span: Span) -> Option<Bytes> {
        self.part.slice(span)
    }

    /// All bytes of the part: for a [`Completion`](super::completion::Completion) that found it current.
    pub(super) fn kept_bytes(&self) -> Bytes {
        self.part.bytes.clone()
    }
}

/// The head that the whole response would have had, made of that of one of its parts.
///
/// RFC 9111 §3.3: "a 206 (Partial Content) response MAY be stored as if it were an incomplete 200 (OK) response".
#[must_use]
pub fn as_whole(answer: &response::Parts, range: ContentRange) -> response::Parts {
    let mut whole = answer.clone();
    whole.status = StatusCode::OK;
    // What is said of the content is said of this part of it.
    for name in ["content-range", "content-digest", "content-md5"] {
        whole.headers.remove(name);
    }
    whole.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.complete()));
    whole
}

/// Decides whether a 206 may be stored, and as what: its head as that of the whole, and the place of its content.
///
/// # Errors
/// Why it may not.
pub fn admit(
    ask: &Ask,
    answer: &response::Parts,
    framing: Framing,
    policy: &Policy,
    exchange: Exchange,
) -> Result<(StoredHead, Place), SkipReason> {
    // Several parts, or one of a representation of unknown length: nothing is built of those.
    let stated = ContentRange::of(&answer.headers).ok_or(SkipReason::Partial)?;
    let place = Place::of(ask, stated, policy);
    let range = framing.length.map_or(Ok(stated), |length| place.range(length))?;
    let whole = as_whole(answer, range);
    let head = StoredHead::read(whole.status, &whole.headers, policy, exchange.asked, exchange.answered);
    admit::admit(ask, &whole, &head, framing, policy, exchange.answered.at)?;
    // What is checked can only be checked by its tag: there are no bytes of the whole to compare.
    if policy.verify != Verify::WhenStale && !head.tag_vouches && !range.is_all() {
        return Err(SkipReason::Partial);
    }
    Ok((head, place))
}

#[cfg(test)]
mod tests;
