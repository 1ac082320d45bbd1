//! Ranges (RFC 9110 §14): which bytes of a representation a request asks for, and what that comes to at a given length.
//!
//! This is about requests for parts and how an answer names its part. What is *stored* of a part is `partial`'s noun.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, Method, header};

use super::list::{members, trim};
use super::validator::{EntityTag, date_of, only_line};

/// The most ranges that one request may ask for; a field with more is ignored.
///
/// RFC 9110 §14.2: "A server that supports range requests MAY ignore or reject a Range header field that contains [..] a
/// set of many small ranges". Players and PDF viewers ask for a handful.
pub const RANGES_MAX: usize = 16;

/// The longest gap between two ranges, in bytes, that is sent rather than begin another part.
///
/// RFC 9110 §15.3.7.2: "a server MAY coalesce any of the ranges that overlap, or that are separated by a gap that is
/// smaller than the overhead of sending multiple parts [..] the typical overhead between each part of a
/// multipart/byteranges is around 80 bytes".
const GAP_MAX: u64 = 80;

/// Neighbouring bytes of a representation: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u64,
    end: u64,
}

impl Span {
    /// The bytes from `start` up to, not including, `end`; `None` if there are none.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Option<Self> {
        if start < end { Some(Self { start, end }) } else { None }
    }

    /// Where it begins.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.start
    }

    /// Where it ends: the position after its last byte.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.end
    }

    /// How many bytes it has: at least one.
    #[expect(clippy::len_without_is_empty, reason = "a span is never empty")]
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Both and what lies between them, if that is at most `gap` bytes.
    #[must_use]
    pub fn joined(self, other: Self, gap: u64) -> Option<Self> {
        let apart = self.start.max(other.start).saturating_sub(self.end.min(other.end));
        (apart <= gap).then(|| Self { start: self.start.min(other.start), end: self.end.max(other.end) })
    }

    /// The span as positions in memory.
    #[must_use]
    pub fn indices(self) -> Option<std::ops::Range<usize>> {
        Some(usize::try_from(self.start).ok()?..usize::try_from(self.end).ok()?)
    }
}

/// What `Content-Range` says of a part: where in the representation it lies, and how long that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    span: Span,
    complete: u64,
}

impl ContentRange {
    /// The bytes of `span` of a representation of `complete` bytes; `None` if it does not reach that far.
    #[must_use]
    pub const fn new(span: Span, complete: u64) -> Option<Self> {
        if span.end <= complete { Some(Self { span, complete }) } else { None }
    }

    /// The one `Content-Range` of a head, if it is valid, in bytes, and states the complete length.
    ///
    /// RFC 9110 §14.4: "A Content-Range field value is invalid if it contains a range-resp that has a last-pos value
    /// less than its first-pos value, or a complete-length value less than or equal to its last-pos value."
    #[must_use]
    pub fn of(head: &HeaderMap) -> Option<Self> {
        let value = only_line(head, &header::CONTENT_RANGE)?.as_bytes();
        // "Content-Range = range-unit SP ( range-resp / unsatisfied-range )"
        let (unit, said) = split(trim(value), b' ')?;
        if !unit.eq_ignore_ascii_case(b"bytes") {
            return None;
        }
        // "range-resp = incl-range "/" ( complete-length / "*" )", "incl-range = first-pos "-" last-pos"
        let (positions, complete) = split(trim(said), b'/')?;
        let (first, last) = split(positions, b'-')?;
        let span = Span::new(exact(first)?, exact(last)?.checked_add(1)?)?;
        Self::new(span, exact(complete)?)
    }

    /// Where the part lies.
    #[must_use]
    pub const fn span(self) -> Span {
        self.span
    }

    /// The length of the whole representation, in bytes.
    #[must_use]
    pub const fn complete(self) -> u64 {
        self.complete
    }

    /// Whether the part is all of the representation.
    #[must_use]
    pub const fn is_all(self) -> bool {
        self.span.len() == self.complete
    }

    /// As a field value: `bytes 0-4/10`.
    #[must_use]
    pub fn to_header_value(self) -> HeaderValue {
        let Self { span, complete } = self;
        value(&format!("bytes {}-{}/{complete}", span.start, span.end - 1))
    }
}

/// What the `Content-Range` of a 416 says: `bytes */10` (RFC 9110 §14.4).
#[must_use]
pub fn unsatisfied(complete: u64) -> HeaderValue {
    value(&format!("bytes */{complete}"))
}

fn value(text: &str) -> HeaderValue {
    // Digits and these signs are allowed in a field value, so this cannot fail.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("bytes */0"))
}

/// One range-spec of RFC 9110 §14.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    /// `first-` or `first-last`.
    From { first: u64, last: Option<u64> },
    /// `-length`: the last bytes.
    Suffix(u64),
}

/// The validator that must still be current for a range to be answered with a part (`If-Range`, RFC 9110 §13.1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Tag(EntityTag),
    Date(SystemTime),
    /// No validator at all: it is never current.
    Never,
}

impl Condition {
    /// RFC 9110 §13.1.5: "A valid entity-tag can be distinguished from a valid HTTP-date by examining the first three
    /// characters for a DQUOTE."
    fn of(request: &HeaderMap) -> Option<Self> {
        request.get(header::IF_RANGE)?;
        let tag = only_line(request, &header::IF_RANGE).and_then(EntityTag::parse).map(Self::Tag);
        Some(tag.or_else(|| date_of(request, header::IF_RANGE).map(Self::Date)).unwrap_or(Self::Never))
    }
}

/// What a GET asks for by `Range`, and under which condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRequest {
    specs: Vec<Spec>,
    condition: Option<Condition>,
}

/// What a request's `Range` means to a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing: there is none, or it is to be ignored.
    Whole,
    /// These bytes.
    Bytes(RangeRequest),
    /// Something that only the origin may understand: another unit, or no unit at all.
    Foreign,
}

/// What ranges come to in a representation of known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// All of it, as if there were no `Range`.
    Whole,
    /// This part.
    One(Span),
    /// These parts, at least two, in the order in which they were asked for.
    Several(Vec<Span>),
    /// None of it.
    Unsatisfiable,
}

/// How much an exchange asks the origin for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of the representation: the request's own `Range`, if it has one, is answered here.
    Whole,
    /// What the request's own `Range` asks for.
    Range,
}

/// Takes from an outgoing request what asks for less than all.
pub fn remove(request: &mut HeaderMap) {
    request.remove(header::RANGE);
    request.remove(header::IF_RANGE);
}

/// Reads the `Range` and `If-Range` of a request.
#[must_use]
pub fn asked(method: &Method, request: &HeaderMap) -> Asked {
    // RFC 9110 §14.2: "A server MUST ignore a Range header field received with a request method that is unrecognized or
    // for which range handling is not defined. For this specification, GET is the only method".
    if *method != Method::GET || !request.contains_key(header::RANGE) {
        return Asked::Whole;
    }
    // "ranges-specifier = range-unit "=" range-set". "A proxy MAY discard a Range header field that contains a range
    // unit it does not understand": it need not, and there are APIs that page by units of their own.
    let Some(line) = only_line(request, &header::RANGE) else { return Asked::Whole };
    let Some((unit, set)) = split(trim(line.as_bytes()), b'=') else { return Asked::Whole };
    if !trim(unit).eq_ignore_ascii_case(b"bytes") {
        return Asked::Foreign;
    }
    // "An origin server MUST ignore [..]", "A server [..] MAY ignore or reject a Range header field that contains an
    // invalid ranges-specifier".
    let specs: Option<Vec<_>> = members(set).take(RANGES_MAX + 1).map(spec).collect();
    match specs.filter(|specs| (1..=RANGES_MAX).contains(&specs.len())) {
        None => Asked::Whole,
        Some(specs) => Asked::Bytes(RangeRequest { specs, condition: Condition::of(request) }),
    }
}

/// RFC 9110 §14.1.1: `int-range = first-pos "-" [ last-pos ]`, `suffix-range = "-" suffix-length`.
fn spec(member: &[u8]) -> Option<Spec> {
    let (first, last) = split(member, b'-')?;
    match (first, last) {
        ([], suffix) => number(suffix).map(Spec::Suffix),
        (first, []) => number(first).map(|first| Spec::From { first, last: None }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            // "An int-range is invalid if the last-pos value is present and less than first-pos."
            (first <= last).then_some(Spec::From { first, last: Some(last) })
        }
    }
}

/// RFC 9110 §14.1.2: "recipients MUST anticipate potentially large decimal numerals and prevent parsing errors due to
/// integer conversion overflows." One that no 64 bits hold is beyond the end of everything.
fn number(digits: &[u8]) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| std::str::from_utf8(digits).ok()?.parse().ok().or(Some(u64::MAX))).flatten()
}

/// A number that is exactly what it says.
fn exact(digits: &[u8]) -> Option<u64> {
    number(digits).filter(|number| *number != u64::MAX)
}

/// What comes before and after the first `separator`.
fn split(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == separator)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

impl RangeRequest {
    /// Whether the request has an `If-Range`.
    #[must_use]
    pub const fn is_conditional(&self) -> bool {
        self.condition.is_some()
    }

    /// How many of the last bytes the request asks for, if it asks for those alone: `bytes=-5`.
    #[must_use]
    pub fn suffix(&self) -> Option<u64> {
        match *self.specs.as_slice() {
            [Spec::Suffix(length)] => Some(length),
            _ => None,
        }
    }

    /// Whether a part may be sent of a representation with this tag and this modification date, each if it is a strong
    /// validator that no other content can have shared; else the request is for the whole.
    #[must_use]
    pub fn holds(&self, tag: Option<&EntityTag>, strong_date: Option<SystemTime>) -> bool {
        match &self.condition {
            None => true,
            // RFC 9110 §13.1.5: "If the entity-tag validator provided exactly matches the ETag field value for the
            // selected representation using the strong comparison function [..], the condition is true."
            Some(Condition::Tag(named)) => tag.is_some_and(|tag| tag.strong_eq(named)),
            // "If the HTTP-date validator provided is not a strong validator in the sense defined by Section 8.8.2.2, the
            // condition is false. [..] exactly matches the Last-Modified field value".
            Some(Condition::Date(named)) => strong_date == Some(*named),
            Some(Condition::Never) => false,
        }
    }

    /// What is asked for of a representation of `complete` bytes.
    #[must_use]
    pub fn resolve(&self, complete: u64) -> Resolved {
        let satisfiable: Vec<_> = self.specs.iter().filter_map(|spec| spec.within(complete)).collect();
        let parts = coalesced(&satisfiable);
        match *parts.as_slice() {
            // RFC 9110 §14.1.2: a suffix of some length can be satisfied even of no bytes. But no `Content-Range` can say
            // so, and the whole is no more.
            [] if complete == 0 && self.specs.iter().any(|spec| matches!(spec, Spec::Suffix(1..))) => Resolved::Whole,
            [] => Resolved::Unsatisfiable,
            [one] => Resolved::One(one),
            _ => Resolved::Several(parts),
        }
    }
}

impl Spec {
    /// The bytes that it means in a representation of `complete` bytes, if any.
    fn within(self, complete: u64) -> Option<Span> {
        match self {
            // RFC 9110 §14.1.2: "if the value is greater than or equal to the current length of the representation
            // data, the byte range is interpreted as the remainder of the representation".
            Self::From { first, last } => {
                Span::new(first, last.map_or(complete, |last| last.saturating_add(1)).min(complete))
            }
            // "If the selected representation is shorter than the specified suffix-length, the entire representation is
            // used."
            Self::Suffix(length) => Span::new(complete.saturating_sub(length), complete),
        }
    }
}

/// Spans that meet, overlap or nearly touch become one, in the place of the first of them; the order stays.
///
/// RFC 9110 §15.3.7.2: "A server that generates a multipart response [..] SHOULD send the parts in the same order that
/// the corresponding range-spec appeared in the received Range header field, excluding those ranges that were deemed
/// unsatisfiable or that were coalesced into other ranges."
fn coalesced(spans: &[Span]) -> Vec<Span> {
    let mut parts: Vec<Span> = Vec::with_capacity(spans.len());
    for &span in spans {
        // A span that grows may come to meet others: it takes them in until none is left that it meets.
        let (mut grown, mut place) = (span, parts.len());
        while let Some(met) = parts.iter().position(|part| part.joined(grown, GAP_MAX).is_some()) {
            let part = parts.remove(met);
            grown = part.joined(grown, GAP_MAX).unwrap_or(grown);
            place = place.min(met);
        }
        parts.insert(place.min(parts.len()), grown);
    }
    parts
}

#[cfg(test)]
mod tests;
