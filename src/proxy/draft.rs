//! `Draft`: a response as it would go out to a plain GET, and what the client's `Range` makes of it.

use std::hash::{BuildHasher as _, RandomState};
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, response};

use crate::body::Content;
use crate::rules::integrity::CONTENT_DIGEST;
use crate::rules::multipart::{self, Boundary};
use crate::rules::preconditions::not_modified_head;
use crate::rules::range::{self, ContentRange, RangeRequest, Resolved};
use crate::rules::validator::{EntityTag, content_length_of};
use crate::window::Window;

/// A response that does not know yet of the client's conditions and ranges.
pub(super) struct Draft<B> {
    pub(super) parts: response::Parts,
    pub(super) content: Content<B>,
    /// Whether its entity tag is one that no other content can have shared.
    pub(super) tag_vouches: bool,
    /// Its modification date, if that is a strong validator.
    pub(super) strong_date: Option<SystemTime>,
}

impl<B> Draft<B> {
    /// One part of a representation whose head, as a whole, is `parts`.
    pub(super) fn of_part(
        mut parts: response::Parts,
        (bytes, part): (Bytes, ContentRange),
        range: Option<&RangeRequest>,
    ) -> Self {
        name_part(&mut parts, range.is_some_and(RangeRequest::is_conditional), part);
        Self { parts, content: Content::Full(bytes, None), tag_vouches: false, strong_date: None }
    }

    /// The response to a GET with this `Range`: a part of it, if it is a 200 whose content can be cut.
    ///
    /// RFC 9110 §14.2: "A server MAY ignore the Range header field." So does this where the length is not known yet, and
    /// for several ranges of what is still on its way in.
    pub(super) fn cut(self, range: &RangeRequest) -> Self {
        let complete = match &self.content {
            Content::Full(bytes, _) => Some(bytes.len() as u64),
            Content::Filling(_) => content_length_of(&self.parts.headers),
            Content::Empty | Content::Pieces(_) | Content::Within(_) | Content::Passing(..) => None,
        };
        let tag = EntityTag::of(&self.parts.headers).filter(|_| self.tag_vouches);
        match complete.filter(|_| self.parts.status == StatusCode::OK) {
            Some(complete) if range.holds(tag.as_ref(), self.strong_date) => self.cut_to(range, complete),
            _ => self,
        }
    }

    /// The same, where there is nothing against it; `complete` is the content's length.
    fn cut_to(self, range: &RangeRequest, complete: u64) -> Self {
        let Self { mut parts, content, tag_vouches, strong_date } = self;
        let known = range.is_conditional();
        let content = match (range.resolve(complete), content) {
            (Resolved::Unsatisfiable, _) => {
                parts.status = StatusCode::RANGE_NOT_SATISFIABLE;
                parts.headers = unsatisfied_head(&parts.headers, complete);
                Content::Empty
            }
            (Resolved::One(span), Content::Full(bytes, _)) => {
                if let Some(part) = ContentRange::new(span, complete) {
                    name_part(&mut parts, known, part);
                }
                // The span lies within the length that it was resolved by.
                Content::Full(bytes.slice(span.indices().unwrap_or_default()), None)
            }
            (Resolved::One(span), Content::Filling(reader)) => {
                if let Some(part) = ContentRange::new(span, complete) {
                    name_part(&mut parts, known, part);
                }
                Content::Within(Window::new(reader, span))
            }
            (Resolved::Several(spans), Content::Full(bytes, _)) => {
                let boundary = Boundary::new(random());
                let pieces = multipart::content(&bytes, &spans, &parts.headers, &boundary);
                parts.status = StatusCode::PARTIAL_CONTENT;
                parts.headers = part_head(&parts.headers, known);
                // RFC 9110 §15.3.7.2: "a server MUST NOT generate a Content-Range header field in the HTTP header section
                // of a multiple part response".
                parts.headers.insert(header::CONTENT_TYPE, boundary.content_type());
                let length = pieces.iter().map(Bytes::len).sum::<usize>();
                parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
                Content::Pieces(pieces.into())
            }
            (Resolved::Whole | Resolved::One(_) | Resolved::Several(_), content) => content,
        };
        Self { parts, content, tag_vouches, strong_date }
    }
}

/// Makes the head of a 200 that of a 206 with one part (RFC 9110 §15.3.7.1).
fn name_part(parts: &mut response::Parts, known: bool, part: ContentRange) {
    parts.status = StatusCode::PARTIAL_CONTENT;
    parts.headers = part_head(&parts.headers, known);
    parts.headers.insert(header::CONTENT_RANGE, part.to_header_value());
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(part.span().len()));
}

/// The head of a 206 made of that of a 200, but for what describes its content; `known` says that the client asked with
/// `If-Range`.
///
/// RFC 9110 §15.3.7: "If a 206 is sent in response to a request with an If-Range header field, the sender SHOULD NOT
/// generate other representation header fields beyond those required, because the client already has a prior response
/// containing those header fields. Otherwise, a sender MUST generate all of the representation header fields that would
/// have been sent in a 200 (OK) response to the same request."
fn part_head(whole: &HeaderMap, known: bool) -> HeaderMap {
    let mut head = if known { not_modified_head(whole) } else { whole.clone() };
    for name in [CONTENT_DIGEST, HeaderName::from_static("content-md5"), header::CONTENT_RANGE, header::TRAILER] {
        head.remove(name);
    }
    head
}

/// The head of a 416: what is about the resource or the exchange, not about the representation (RFC 9110 §15.5.17).
fn unsatisfied_head(whole: &HeaderMap, complete: u64) -> HeaderMap {
    let mut head = not_modified_head(whole);
    for name in [header::ETAG, header::LAST_MODIFIED, header::CACHE_CONTROL, header::EXPIRES, header::CONTENT_LOCATION]
    {
        head.remove(name);
    }
    head.insert(header::CONTENT_RANGE, range::unsatisfied(complete));
    head.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    head
}

/// 128 bits that nobody can foresee.
fn random() -> u128 {
    let bits = || u128::from(RandomState::new().hash_one(()));
    bits() << 64 | bits()
}
