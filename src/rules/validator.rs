//! Validators: entity tags (RFC 9110 §8.8.3) and dates, read and compared.
//!
//! Comparing is not believing. Some servers call a tag strong that stays the same when the bytes change; which tags
//! prove anything is [`vouches`]'s question.

use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, ETAG, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::list::trim;
use crate::faults::{Fault, seeded};

pub use super::clock_tag::{date_vouches, is_clock_tag, vouches};
pub use super::tag_list::TagList;

/// An entity tag. Its opaque part holds only the bytes that RFC 9110 §8.8.3 allows in one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntityTag {
    /// Whether it is marked weak (`W/`).
    pub weak: bool,
    opaque: Box<[u8]>,
}

impl EntityTag {
    /// A tag of these bytes, without quotes; `None` when they are not all allowed in one.
    #[must_use]
    pub fn new(weak: bool, opaque: &[u8]) -> Option<Self> {
        opaque.iter().copied().all(is_etagc).then(|| Self { weak, opaque: opaque.into() })
    }

    /// The tag that a field value is, or `None` when it is no tag. An unquoted one is none.
    #[must_use]
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        let (tag, rest) = Self::take(trim(value.as_bytes()))?;
        rest.is_empty().then_some(tag)
    }

    /// The tag of a response: its `ETag` field, if that is one well-formed line.
    #[must_use]
    pub fn of(head: &HeaderMap) -> Option<Self> {
        Self::parse(only_line(head, &ETAG)?)
    }

    /// The bytes between the quotes.
    #[must_use]
    pub fn opaque(&self) -> &[u8] {
        &self.opaque
    }

    /// RFC 9110 §8.8.3.2: "two entity tags are equivalent if both are not weak and their opaque-tags match
    /// character-by-character."
    #[must_use]
    pub fn strong_eq(&self, other: &Self) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// RFC 9110 §8.8.3.2: "two entity tags are equivalent if their opaque-tags match character-by-character, regardless
    /// of either or both being tagged as "weak"."
    #[must_use]
    pub fn weak_eq(&self, other: &Self) -> bool {
        self.opaque == other.opaque
    }

    /// The tag as a field value.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        header_value(std::slice::from_ref(self))
    }

    fn render(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(if self.weak { b"W/\"" } else { b"\"" });
        into.extend_from_slice(&self.opaque);
        into.push(b'"');
    }

    /// The tag that `bytes` begin with, and what follows it.
    ///
    /// RFC 9110 §8.8.3: `entity-tag = [ weak ] opaque-tag`, `weak = %s"W/"`, `opaque-tag = DQUOTE *etagc DQUOTE`.
    pub(super) fn take(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (weak, rest) = match bytes {
            [b'W', b'/', rest @ ..] => (!seeded(Fault::WeakAsStrong), rest),
            _ => (false, bytes),
        };
        let [b'"', rest @ ..] = rest else { return None };
        let end = rest.iter().position(|&byte| !is_etagc(byte))?;
        (rest[end] == b'"').then(|| (Self { weak, opaque: rest[..end].into() }, &rest[end + 1..]))
    }
}

/// The date in the field `name`, in any of the three forms of RFC 9110 §5.6.7; `None` when it is absent, malformed, or
/// said more than once.
#[must_use]
pub fn date_of(head: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    let value = only_line(head, &name)?.to_str().ok()?;
    let usual = || httpdate::parse_http_date(&in_usual_case(value.get(..DATE_MAX).unwrap_or(value)));
    httpdate::parse_http_date(value).or_else(|_| usual()).ok()
}

/// The longest form of a date, in bytes: `Wednesday, 06-Nov-94 08:49:37 GMT` (RFC 9110 §5.6.7), rounded up.
const DATE_MAX: usize = 40;

/// A date with the case that its form has.
///
/// RFC 9111 §4.2: "Although all date formats are specified to be case-sensitive, a cache recipient SHOULD match the field
/// value case-insensitively."
fn in_usual_case(date: &str) -> String {
    let mut usual = String::with_capacity(date.len());
    for letter in date.chars() {
        let inner = usual.ends_with(|before: char| before.is_ascii_alphabetic());
        usual.push(if inner { letter.to_ascii_lowercase() } else { letter.to_ascii_uppercase() });
    }
    usual.replace("Gmt", "GMT")
}

/// The length that `Content-Length` states, if it is one number.
#[must_use]
pub fn content_length_of(head: &HeaderMap) -> Option<u64> {
    let value = only_line(head, &CONTENT_LENGTH)?.to_str().ok()?;
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok()).flatten()
}

/// The value of a field that is there exactly once.
pub(super) fn only_line<'h>(head: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut lines = head.get_all(name).iter();
    let line = lines.next()?;
    lines.next().is_none().then_some(line)
}

/// RFC 9110 §8.8.3: `etagc = %x21 / %x23-7E / obs-text`.
const fn is_etagc(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..=0xff)
}

pub(super) fn header_value(tags: &[EntityTag]) -> HeaderValue {
    let mut bytes = Vec::with_capacity(tags.iter().map(|tag| tag.opaque.len() + 6).sum());
    for (index, tag) in tags.iter().enumerate() {
        if index > 0 {
            bytes.extend_from_slice(b", ");
        }
        tag.render(&mut bytes);
    }
    // Every etagc is allowed in a field value, so this cannot fail; an empty tag would match nothing that has bytes.
    HeaderValue::from_bytes(&bytes).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{any_head, any_tag, any_value, head};

    fn tag(text: &str) -> EntityTag {
        EntityTag::parse(&HeaderValue::from_bytes(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn comparison_is_that_of_rfc_9110_8_8_3_2() {
        // The table of the RFC: tag, tag, strong, weak.
        let rows = [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ];
        for (one, two, strong, weak) in rows {
            assert_eq!((tag(one).strong_eq(&tag(two)), tag(one).weak_eq(&tag(two))), (strong, weak), "{one} {two}");
        }
    }

    #[test]
    fn what_is_no_tag_is_none() {
        for not in ["", "1", "\"", "\"1", "1\"", "w/\"1\"", "W/1", "\"a b\"", "\"1\" x", "\"1\", \"2\"", "W/ \"1\""] {
            let value = HeaderValue::from_str(not).unwrap();
            assert_eq!(EntityTag::parse(&value), None, "{not}");
        }
        assert_eq!(EntityTag::of(&head(&[("etag", "\"1\""), ("etag", "\"1\"")])), None, "two field lines");
        assert_eq!(EntityTag::of(&head(&[("etag", " \"1\" ")])), Some(tag("\"1\"")));
        assert_eq!(tag("\"\\\"").opaque(), b"\\", "a backslash escapes nothing (RFC 9110 §8.8.3)");
    }

    #[test]
    fn dates_are_read_in_all_forms_and_cases() {
        let date = |value: &str| date_of(&head(&[("date", value)]), http::header::DATE);
        let expected = date("Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(expected.is_some());
        for form in [
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "sun, 06 nov 1994 08:49:37 gmt",
            "SUNDAY, 06-NOV-94 08:49:37 GMT",
            "sUN nOV  6 08:49:37 1994",
        ] {
            assert_eq!(date(form), expected, "RFC 9111 §4.2, RFC 9110 §5.6.7: {form}");
        }
        for not in ["Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 08:49:37", "0", "", &"x".repeat(9999)] {
            assert_eq!(date(not), None, "{not}");
        }
        let long = format!("sun, 06 nov 1994 08:49:37 gmt{}", " x".repeat(99));
        assert_eq!(date(&long), None);
    }

    #[test]
    fn a_length_is_one_number() {
        let length = |value: &str| content_length_of(&head(&[("content-length", value)]));
        assert_eq!(length("12"), Some(12));
        for not in ["", "+1", "-1", "1, 1", "0x1", "99999999999999999999"] {
            assert_eq!(length(not), None, "{not}");
        }
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read(one in any_tag()) {
            prop_assert_eq!(EntityTag::parse(&one.to_header_value()), Some(one));
        }

        #[test]
        fn no_value_makes_it_panic(
            value in any_value(),
            any in any_head(&["etag", "date", "last-modified", "content-length"]),
        ) {
            let parsed = EntityTag::parse(&value);
            if let Some(tag) = &parsed {
                prop_assert_eq!(EntityTag::parse(&tag.to_header_value()), parsed.clone());
                let _ = vouches(tag, &any);
                let _ = is_clock_tag(tag, None, None);
            }
            let _ = EntityTag::of(&any).map(|tag| vouches(&tag, &any));
        }
    }
}
