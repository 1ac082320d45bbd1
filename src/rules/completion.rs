//! `Completion`: asking the origin for the range that a stored part lacks, and what its answer makes of both.
//!
//! RFC 9111 §3.3: "A cache MAY complete a stored incomplete response by making a subsequent range request [..] and
//! combining the successful response with the stored response".

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header, response};

use super::judge::Exchange;
use super::learn::Learned;
use super::moment::Moment;
use super::partial::{PartialResponse, as_whole};
use super::policy::{Policy, Verify};
use super::range::{ContentRange, Span};
use super::stored::StoredHead;

/// A stored part that one more range makes whole.
#[derive(Clone, Debug)]
pub struct Completion {
    part: Arc<PartialResponse>,
    /// What the part and its rest must share, if the part has it.
    validator: Option<HeaderValue>,
    missing: Span,
}

/// The whole, of which the missing range is on its way in.
#[derive(Clone, Debug)]
pub struct Completed {
    /// The head of the answer as that of a whole one: for deciding whether that may be stored.
    pub answer: response::Parts,
    /// The stored head, updated by the answer.
    pub head: StoredHead,
    /// What comes before the answer's content.
    pub before: Option<Bytes>,
    /// What comes after it.
    pub after: Option<Bytes>,
}

impl Completion {
    /// The completion of a part, if it begins or ends the representation, has a strong validator, and the whole may be
    /// stored.
    ///
    /// RFC 9111 §3.4 combines only what shares one: without it the answer could not be used.
    #[must_use]
    pub fn of(part: &Arc<PartialResponse>, policy: &Policy) -> Option<Self> {
        let validator = Some(part.strong_validator(policy)?);
        Some(Self { part: Arc::clone(part), validator, missing: missing(part, policy)? })
    }

    /// The completion of a fresh part without a strong validator, where the route asks for that (`parts = "lenient"`) and
    /// the origin has not shown that it is of no use.
    ///
    /// Only a 200 to it is: RFC 9111 §3.4 forbids to join a 206 with the part.
    #[must_use]
    pub fn unvalidated(part: &Arc<PartialResponse>, policy: &Policy, learned: &Learned, now: Moment) -> Option<Self> {
        let fresh = part.head().lifetime().duration() > part.head().age(now);
        let worthwhile = policy.is_lenient_with_parts() && fresh && !learned.rests_useless;
        if !worthwhile || part.strong_validator(policy).is_some() {
            return None;
        }
        Some(Self { part: Arc::clone(part), validator: None, missing: missing(part, policy)? })
    }

    /// Whether only a whole answer is of use.
    #[must_use]
    pub const fn is_unvalidated(&self) -> bool {
        self.validator.is_none()
    }

    /// The part that is to be made whole.
    #[must_use]
    pub const fn part(&self) -> &Arc<PartialResponse> {
        &self.part
    }

    /// Makes a request for the whole one for what is missing: with a validator, if the representation is still the same,
    /// and else for the whole (RFC 9110 §13.1.5).
    pub fn set_range(&self, request: &mut HeaderMap) {
        let last = if self.missing.end() == self.part.range().complete() {
            String::new()
        } else {
            (self.missing.end() - 1).to_string()
        };
        if let Ok(range) = HeaderValue::try_from(format!("bytes={}-{last}", self.missing.start())) {
            request.insert(header::RANGE, range);
            if let Some(validator) = &self.validator {
                request.insert(header::IF_RANGE, validator.clone());
            }
        }
    }

    /// What an answer makes of the part: nothing, unless it is exactly what is missing, of the same representation.
    ///
    /// `length` is the declared length of its content. That it carries the strong validator of the part confirms the
    /// part, as a 304 would.
    #[must_use]
    pub fn judge(
        &self,
        answer: &response::Parts,
        length: Option<u64>,
        policy: &Policy,
        exchange: Exchange,
    ) -> Option<Completed> {
        let range = ContentRange::new(self.missing, self.part.range().complete())?;
        let fits = answer.status == StatusCode::PARTIAL_CONTENT
            && ContentRange::of(&answer.headers) == Some(range)
            && length == Some(self.missing.len());
        // RFC 9111 §5.1: with `Age`, the answer was not made by the origin for this request.
        let direct = policy.verify == Verify::WhenStale || !answer.headers.contains_key(header::AGE);
        if !fits || !direct || !self.part.is_same(&answer.headers, policy) {
            return None;
        }
        let answer = as_whole(answer, range);
        let head = self.part.head().freshened(&answer.headers, policy, exchange.asked, exchange.answered);
        let kept = self.part.kept_bytes();
        let (before, after) = if self.missing.start() == 0 { (None, Some(kept)) } else { (Some(kept), None) };
        Some(Completed { answer, head, before, after })
    }
}

/// The one range that makes a part the whole, if there is one, and the whole may be stored.
fn missing(part: &PartialResponse, policy: &Policy) -> Option<Span> {
    let (own, complete) = (part.range().span(), part.range().complete());
    let around = (Span::new(0, own.start()), Span::new(own.end(), complete));
    let ((None, Some(missing)) | (Some(missing), None)) = around else { return None };
    (!part.is_guessed() && complete <= policy.object_max).then_some(missing)
}
