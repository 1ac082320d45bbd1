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
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.if_none_match.is_none() && self.if_modified_since.is_none() && !self.only_origin()
    }

    /// Whether only the origin can evaluate them.
    ///
    /// RFC 9111 §4.3.2: "A cache MUST NOT evaluate conditional header fields that only apply to an origin server".
    #[must_use]
    pub const fn only_origin(&self) -> bool {
        self.has_if_match || self.has_if_unmodified_since
    }

    /// Whether a response with these validators answers the request with a 304. `modified` is when it was last
    /// modified, as far as it says.
    ///
    /// Absent, it answers no `If-Modified-Since`: a whole answer is never wrong.
    #[must_use]
    pub fn not_modified(&self, etag: Option<&EntityTag>, modified: Option<SystemTime>) -> bool {
        // RFC 9110 §13.2.2: "When If-None-Match is not present, [..] and If-Modified-Since is present, evaluate the
        // If-Modified-Since precondition". So the tag wins, even where nothing in its field is a tag.
        match &self.if_none_match {
            // RFC 9110 §13.1.2: "If the field value is "*", the condition is false if the origin server has a current
            // representation for the target resource."
            Some(TagList::Any) => true,
            // RFC 9110 §13.1.2: "A recipient MUST use the weak comparison function when comparing entity tags".
            Some(list) => etag.is_some_and(|etag| list.names_weakly(etag)),
            // RFC 9110 §13.1.3: "If the selected representation's last modification date is earlier or equal to the
            // date provided in the field value, the condition is false."
            None => match (self.if_modified_since, modified) {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{Lines, any_head, head};

    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    #[test]
    fn when_the_answer_is_not_modified() {
        let rows: &[(&str, Lines, bool)] = &[
            ("no condition", &[], false),
            ("the stored tag (RFC 9110 §13.1.2)", &[("if-none-match", "\"0\", \"1\"")], true),
            ("compared weakly", &[("if-none-match", "W/\"1\"")], true),
            ("another tag", &[("if-none-match", "\"2\"")], false),
            ("anything stored", &[("if-none-match", "*")], true),
            ("unmodified since then (§13.1.3)", &[("if-modified-since", MODIFIED)], true),
            ("nor since later", &[("if-modified-since", LATER)], true),
            ("but since earlier", &[("if-modified-since", EARLIER)], false),
            ("no date", &[("if-modified-since", "yesterday")], false),
            ("two dates", &[("if-modified-since", LATER), ("if-modified-since", LATER)], false),
            ("the tag wins (§13.2.2)", &[("if-none-match", "\"2\""), ("if-modified-since", LATER)], false),
            ("the tag wins", &[("if-none-match", "\"1\""), ("if-modified-since", EARLIER)], true),
            ("even where it is none", &[("if-none-match", "x"), ("if-modified-since", LATER)], false),
        ];
        let stored = head(&[("etag", "\"1\""), ("last-modified", MODIFIED)]);
        let (tag, modified) = (EntityTag::of(&stored), date_of(&stored, header::LAST_MODIFIED));
        for (sentence, lines, expected) in rows {
            let conditions = Preconditions::of(&head(lines));
            assert_eq!(conditions.not_modified(tag.as_ref(), modified), *expected, "{sentence}");
            assert!(!conditions.only_origin(), "{sentence}");
        }
    }

    #[test]
    fn what_is_stored_without_validators_is_sent_whole() {
        let since = Preconditions::of(&head(&[("if-modified-since", LATER)]));
        let tagged = Preconditions::of(&head(&[("if-none-match", "\"1\"")]));
        let any = Preconditions::of(&head(&[("if-none-match", "*")]));
        assert!(!since.not_modified(None, None) && !tagged.not_modified(None, None));
        assert!(any.not_modified(None, None), "RFC 9110 §13.1.2: there is a current representation");
    }

    #[test]
    fn some_conditions_are_for_the_origin_alone() {
        for name in ["if-match", "if-unmodified-since"] {
            assert!(Preconditions::of(&head(&[(name, "x")])).only_origin(), "RFC 9111 §4.3.2: {name}");
        }
    }

    #[test]
    fn a_304_has_what_rfc_9110_15_4_5_asks_for() {
        let kept: &[_] = &[
            ("content-location", "/a"),
            ("date", LATER),
            ("etag", "\"1\""),
            ("vary", "accept"),
            ("cache-control", "no-cache"),
            ("expires", LATER),
            ("access-control-allow-origin", "*"),
        ];
        let dropped = [
            ("content-type", "text/plain"),
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("last-modified", MODIFIED),
            ("repr-digest", "sha-256=:AA==:"),
        ];
        assert_eq!(not_modified_head(&head(&[kept, &dropped].concat())), head(kept));
        let dated = head(&[("last-modified", MODIFIED)]);
        assert_eq!(not_modified_head(&dated), dated, "useful without a tag");
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(any in any_head(&["if-none-match", "if-modified-since"])) {
            let _ = Preconditions::of(&any).not_modified(None, None);
        }
    }
}
