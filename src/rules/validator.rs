//! Validators: entity tags (RFC 9110 §8.8.3) and dates, and what they are worth.
//!
//! A strong tag is a promise that equal tags mean equal bytes. Some servers make it without being able to keep it: a
//! tag of modification time and length ([`is_clock_tag`]) stays the same when a file is rewritten within the clock's
//! tick. [`vouches`] says which tags may be believed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{CONTENT_LENGTH, DATE, ETAG, HeaderName, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue};

use super::list::trim;

/// The most tags that are read from a list; later ones are left out, which can only make an answer longer.
///
/// Clients send the tags of the variants that they hold: a handful. 1,000 distinct tags do not fit a head of 32 KiB.
const MOST_TAGS: usize = 1024;

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
    fn take(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (weak, rest) = match bytes {
            [b'W', b'/', rest @ ..] => (true, rest),
            _ => (false, bytes),
        };
        let [b'"', rest @ ..] = rest else { return None };
        let end = rest.iter().position(|&byte| !is_etagc(byte))?;
        (rest[end] == b'"').then(|| (Self { weak, opaque: rest[..end].into() }, &rest[end + 1..]))
    }
}

/// What `If-None-Match` or `If-Match` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagList {
    /// `*`: any current representation.
    Any,
    /// These tags, in their order; empty when no member was well-formed.
    Tags(Vec<EntityTag>),
}

impl TagList {
    /// The list in all field lines called `name`, or `None` when there is no such line.
    ///
    /// Malformed members are ignored; at most 1,024 tags are kept. Linear in the length of the field.
    #[must_use]
    pub fn of(head: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut lines = head.get_all(name).iter().peekable();
        lines.peek()?;
        let mut tags = Vec::new();
        let mut wildcard = false;
        let mut alone = true;
        for line in lines {
            let mut rest = trim_separators(line.as_bytes());
            while !rest.is_empty() && tags.len() < MOST_TAGS {
                alone &= !wildcard && tags.is_empty();
                rest = match EntityTag::take(rest) {
                    Some((tag, after)) if ends_member(after) => {
                        tags.push(tag);
                        after
                    }
                    _ => {
                        let end = rest.iter().position(|&byte| byte == b',').unwrap_or(rest.len());
                        let (member, after) = rest.split_at(end);
                        // A malformed member beside `*` takes its meaning away as well as a tag does.
                        if trim(member) == b"*" {
                            wildcard = true;
                        } else {
                            alone = false;
                        }
                        after
                    }
                };
                rest = trim_separators(rest);
            }
        }
        // RFC 9110 §13.1.2: `If-None-Match = "*" / #entity-tag`: among others, `*` is malformed.
        Some(if wildcard && alone { Self::Any } else { Self::Tags(tags) })
    }

    /// Whether the list names `tag` by weak comparison, as `If-None-Match` compares (RFC 9110 §13.1.2).
    #[must_use]
    pub fn names_weakly(&self, tag: &EntityTag) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|one| one.weak_eq(tag)),
        }
    }

    /// The list as one field value.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        match self {
            Self::Any => HeaderValue::from_static("*"),
            Self::Tags(tags) => header_value(tags),
        }
    }
}

/// Whether `tag` is made of a modification time and a length, as nginx and Apache make them (`"65a1b2c3-1f4"`).
///
/// The shape is two to four hexadecimal or decimal numbers of at most 64 bits; and the response has a `Last-Modified`,
/// or one number reads as a time between 2001 and 2106 in seconds, milliseconds or microseconds. The tag
/// of older Caddys runs both numbers together in base 36, and is known by its parts.
#[must_use]
pub fn is_clock_tag(tag: &EntityTag, last_modified: Option<SystemTime>, content_length: Option<u64>) -> bool {
    if let Some(numbers) = numbers(&tag.opaque) {
        return last_modified.is_some() || numbers.into_iter().flatten().any(|number| time_in(number).is_some());
    }
    let (Some(modified), Some(length)) = (last_modified.and_then(unix_seconds), content_length) else { return false };
    let mut caddy = base36(modified);
    caddy.extend(base36(length));
    *tag.opaque == *caddy
}

/// Whether an equal `tag` proves equal bytes, `head` being the head that came *with the stored body*.
///
/// A strong tag does. A clock tag does if the body was fetched more than a second after its modification, by the
/// origin's own clock: no later write can then have left the same tag. A weak tag never does (RFC 9110 §8.8.1).
///
/// Ask this once, when the body arrives, and keep the answer. A freshened head carries the `Date` of the 304, which
/// would make an old enough tag of any young one.
#[must_use]
pub fn vouches(tag: &EntityTag, head: &HeaderMap) -> bool {
    if tag.weak {
        return false;
    }
    let modified = date_of(head, LAST_MODIFIED);
    if !is_clock_tag(tag, modified, content_length_of(head)) {
        return true;
    }
    // RFC 9110 §8.8.2.2: a modification date is strong if it "is at least one second earlier than the Date value". Both
    // are cut to whole seconds, so more than one is asked for.
    let modified = modified.or_else(|| {
        let times = numbers(&tag.opaque)?.into_iter().flatten().filter_map(time_in);
        times.max()
    });
    let (Some(modified), Some(date)) = (modified, date_of(head, DATE)) else { return false };
    date.duration_since(modified).is_ok_and(|age| age > Duration::from_secs(1))
}

/// The date in the field `name`, in any of the three forms of RFC 9110 §5.6.7; `None` when it is absent, malformed, or
/// said more than once.
#[must_use]
pub fn date_of(head: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    let value = only_line(head, &name)?.to_str().ok()?;
    httpdate::parse_http_date(value).ok()
}

/// The length that `Content-Length` states, if it is one number.
#[must_use]
pub fn content_length_of(head: &HeaderMap) -> Option<u64> {
    let value = only_line(head, &CONTENT_LENGTH)?.to_str().ok()?;
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok()).flatten()
}

fn only_line<'h>(head: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut lines = head.get_all(name).iter();
    let line = lines.next()?;
    lines.next().is_none().then_some(line)
}

/// RFC 9110 §8.8.3: `etagc = %x21 / %x23-7E / obs-text`.
const fn is_etagc(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..=0xff)
}

fn header_value(tags: &[EntityTag]) -> HeaderValue {
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

fn trim_separators(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b',', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn ends_member(after: &[u8]) -> bool {
    matches!(after.iter().find(|byte| !matches!(byte, b' ' | b'\t')), None | Some(b','))
}

/// The two to four parts of a tag that looks like numbers, or `None` when it does not.
fn numbers(opaque: &[u8]) -> Option<[Option<&[u8]>; 4]> {
    let mut numbers = [None; 4];
    let mut count = 0;
    // Apache and nginx write a hyphen, actix a colon; werkzeug's time has a fraction.
    for part in opaque.split(|&byte| matches!(byte, b'-' | b':')) {
        let whole = part.split(|&byte| byte == b'.').next().unwrap_or_default();
        let digits = part.iter().all(|&byte| byte.is_ascii_hexdigit() || byte == b'.');
        if !digits
            || whole.is_empty()
            || whole.len() > 20
            || (whole.len() > 16 && !whole.iter().all(u8::is_ascii_digit))
        {
            return None;
        }
        *numbers.get_mut(count)? = Some(whole);
        count += 1;
    }
    (count >= 2).then_some(numbers)
}

/// The time between 2001 and 2106 that a hexadecimal or decimal number reads as.
fn time_in(number: &[u8]) -> Option<SystemTime> {
    const FROM: u64 = 978_307_200;
    const TO: u64 = u32::MAX as u64;
    let text = std::str::from_utf8(number).ok()?;
    let readings = [u64::from_str_radix(text, 16).ok(), text.parse().ok()];
    readings
        .into_iter()
        .flatten()
        .find_map(|number: u64| {
            let units = [1, 1_000, 1_000_000];
            units.into_iter().map(|unit| number / unit).find(|seconds| (FROM..=TO).contains(seconds))
        })
        .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
}

fn unix_seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

fn base36(mut number: u64) -> Vec<u8> {
    let mut digits = Vec::new();
    loop {
        digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize]);
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits.reverse();
    digits
}
