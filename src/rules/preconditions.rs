//! `Preconditions`: the conditions of a client's request (RFC 9110 §13), and when its answer is a 304 of our own.
//!
//! These are the client's conditions, on what it holds. The conditions that a check carries are ours, and are the
//! question's business.

use std::time::SystemTime;

use http::HeaderMap;
use http::header;

use super::validator::{EntityTag, TagList, date_of};

/// The preconditions of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// `If-None-Match`.
    pub if_none_match: Option<TagList>,
    /// `If-Modified-Since`, if it is a date.
    pub if_modified_since: Option<SystemTime>,
    /// Whether there is an `If-Match`.
    pub has_if_match: bool,
    /// Whether there is an `If-Unmodified-Since`.
    pub has_if_unmodified_since: bool,
    /// Whether there is an `If-Range`.
    pub has_if_range: bool,
}

impl Preconditions {
    /// The preconditions of a request.
    #[must_use]
    pub fn of(request: &HeaderMap) -> Self {
        Self {
            if_none_match: TagList::of(request, &header::IF_NONE_MATCH),
            // RFC 9110 §13.1.3: "A recipient MUST ignore the If-Modified-Since header field if the received field value
            // is not a valid HTTP-date, the field value has more than one member".
            if_modified_since: date_of(request, header::IF_MODIFIED_SINCE),
            has_if_match: request.contains_key(header::IF_MATCH),
            has_if_unmodified_since: request.contains_key(header::IF_UNMODIFIED_SINCE),
            has_if_range: request.contains_key(header::IF_RANGE),
        }
    }

    /// Whether only the origin can evaluate them.
    ///
    /// RFC 9111 §4.3.2: "A cache MUST NOT evaluate conditional header fields that only apply to an origin server".
    #[must_use]
    pub const fn only_origin(&self) -> bool {
        self.has_if_match || self.has_if_unmodified_since || self.has_if_range
    }

    /// Whether a stored response with these validators answers the request with a 304.
    ///
    /// An absent `last_modified` answers no `If-Modified-Since`: a whole answer is never wrong.
    #[must_use]
    pub fn not_modified(&self, etag: Option<&EntityTag>, last_modified: Option<SystemTime>) -> bool {
        // RFC 9110 §13.2.2: "When If-None-Match is not present, and If-Modified-Since is present, evaluate the
        // If-Modified-Since precondition", so the tag wins, even where nothing in its field is a tag.
        match &self.if_none_match {
            // RFC 9110 §13.1.2: "If the field value is "*", the condition is false if the origin server has a current
            // representation for the target resource."
            Some(TagList::Any) => true,
            // RFC 9110 §13.1.2: "A recipient MUST use the weak comparison function when comparing entity tags".
            Some(list) => etag.is_some_and(|etag| list.names_weakly(etag)),
            // RFC 9110 §13.1.3: "If the selected representation's last modification date is earlier or equal to the
            // date provided in the field value, the condition is false."
            None => match (self.if_modified_since, last_modified) {
                (Some(since), Some(modified)) => modified <= since,
                _ => false,
            },
        }
    }
}

/// The head of a 304 that stands for `stored`.
///
/// RFC 9110 §15.4.5: it must have what the 200 would have had of `Content-Location`, `Date`, `ETag`, `Vary`,
/// `Cache-Control` and `Expires`; "a sender SHOULD NOT generate representation metadata other than the above listed
/// fields". Fields that are no representation metadata (CORS, security policies) go along: clients freshen what they
/// hold by them.
#[must_use]
pub fn not_modified_head(stored: &HeaderMap) -> HeaderMap {
    const METADATA: &[&str] = &[
        "content-type",
        "content-encoding",
        "content-language",
        "content-length",
        "content-range",
        "content-disposition",
        "accept-ranges",
        "trailer",
        "transfer-encoding",
        "content-md5",
        "content-digest",
        "repr-digest",
        "digest",
    ];
    let mut head = stored.clone();
    for name in METADATA {
        head.remove(*name);
    }
    // "(e.g., Last-Modified might be useful if the response does not have an ETag field)".
    if head.contains_key(header::ETAG) {
        head.remove(header::LAST_MODIFIED);
    }
    head
}
