//! `StoredFields`: the fields of a stored response, which of them it keeps, and what a 304 changes in them (RFC 9111 §3).

use std::ops::Range;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::field_names::FieldNames;
use super::fields::{is_hop_by_hop, remove_hop_by_hop};
use super::key::{put_number, take_number};
use super::request_fields::nominates_none;
use super::validator::EntityTag;
use super::vary::Vary;

/// The fields of a stored response, as small as they can be without being parsed for each reply: their names, which
/// others share, and their values in one piece of memory. A header map takes eight times as much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFields {
    names: FieldNames,
    /// For each line twice the length of its value, and one more if that is sensitive (RFC 7541 §7.1.3), in LEB128; and
    /// the value.
    values: Bytes,
}

impl StoredFields {
    /// The fields of a head, copied: those that arrive are slices of a read buffer, and one of them would keep all 16 KiB
    /// of it.
    #[must_use]
    pub fn of(head: &HeaderMap) -> Self {
        let values: Vec<_> = head.values().map(|value| (value.as_bytes(), value.is_sensitive())).collect();
        Self::of_lines(FieldNames::of(head.iter().map(|(name, _)| name)), &values)
    }

    /// The names of all lines.
    #[must_use]
    pub const fn names(&self) -> &FieldNames {
        &self.names
    }

    /// Has the names in a list that others share; it must have the same names.
    pub(super) fn share_names(&mut self, shared: FieldNames) {
        debug_assert!(shared == self.names, "a list of other names");
        self.names = shared;
    }

    /// Shares the names of `other`, where they are the same.
    pub(super) fn share_with(&mut self, other: &Self) {
        if self.names == other.names {
            self.names = other.names.clone();
        }
    }

    fn of_lines(names: FieldNames, lines: &[(&[u8], bool)]) -> Self {
        let mut values =
            Vec::with_capacity(lines.iter().map(|(value, _)| length_of(value) + value.len()).sum::<usize>());
        for (value, sensitive) in lines {
            put_number(&mut values, value.len() << 1 | usize::from(*sensitive));
            values.extend_from_slice(value);
        }
        Self { names, values: values.into() }
    }

    /// Every line: its name, its value, and whether that is sensitive.
    fn lines(&self) -> impl Iterator<Item = (&HeaderName, &[u8], bool)> {
        self.ranges().map(|(name, value, sensitive)| (name, &self.values[value], sensitive))
    }

    fn ranges(&self) -> impl Iterator<Item = (&HeaderName, Range<usize>, bool)> {
        let mut at = 0;
        self.names.as_slice().iter().map_while(move |name| {
            let (marked, rest) = take_number(self.values.get(at..)?)?;
            let start = self.values.len() - rest.len();
            at = start + (marked >> 1);
            Some((name, start..at, marked & 1 == 1))
        })
    }

    /// A line as a value that shares the memory of all.
    fn value(&self, range: Range<usize>, sensitive: bool) -> HeaderValue {
        // It was a value when it was copied, so it is one still.
        let mut value =
            HeaderValue::from_maybe_shared(self.values.slice(range)).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(sensitive);
        value
    }

    /// The first line of a field.
    #[must_use]
    pub fn get(&self, name: impl PartialEq<HeaderName>) -> Option<HeaderValue> {
        let (_, value, sensitive) = self.ranges().find(|(one, ..)| name == **one)?;
        Some(self.value(value, sensitive))
    }

    /// Every line of a field, in order.
    pub fn get_all(&self, name: impl PartialEq<HeaderName>) -> impl Iterator<Item = &[u8]> {
        self.lines().filter(move |(one, ..)| name == **one).map(|(_, value, _)| value)
    }

    /// Whether there is such a field.
    #[must_use]
    pub fn contains_key(&self, name: impl PartialEq<HeaderName>) -> bool {
        self.names.as_slice().iter().any(|one| name == *one)
    }

    /// As a header map with room for so many lines more.
    #[must_use]
    pub fn to_map(&self, room: usize) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.names.as_slice().len() + room);
        for (name, value, sensitive) in self.ranges() {
            map.append(name.clone(), self.value(value, sensitive));
        }
        map
    }

    /// The same as [`freshen`] makes them, where an update brings nothing new but its `Date`: by far the most do.
    #[must_use]
    pub fn redated(&self, update: &HeaderMap, keep_set_cookie: bool) -> Option<Self> {
        let is_kept = |name: &HeaderName| {
            is_hop_by_hop(name)
                || [header::DATE, header::AGE].contains(name)
                || CONTENT.contains(&name.as_str())
                || !keep_set_cookie && ["set-cookie", "set-cookie2"].contains(&name.as_str())
                || self.get_all(name).eq(update.get_all(name).iter().map(HeaderValue::as_bytes))
        };
        if !nominates_none(update) || !update.keys().all(is_kept) {
            return None;
        }
        let mut dates = update.get_all(header::DATE).iter();
        let Some(date) = dates.next() else { return Some(self.clone()) };
        if dates.next().is_some() || self.get_all(header::DATE).count() != 1 {
            return None;
        }
        let lines = self.lines();
        let redated = lines.map(
            |(name, value, sensitive)| {
                if *name == header::DATE { (date.as_bytes(), false) } else { (value, sensitive) }
            },
        );
        Some(Self::of_lines(self.names.clone(), &redated.collect::<Vec<_>>()))
    }

    /// Whether both are the same but for their `Date`.
    #[must_use]
    pub fn differ_by_date_at_most(&self, other: &Self) -> bool {
        let undated = |(name, ..): &(&HeaderName, &[u8], bool)| **name != header::DATE;
        self.names == other.names && self.lines().filter(undated).eq(other.lines().filter(undated))
    }

    /// Says that the content has this length.
    pub fn set_content_length(&mut self, length: u64) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(length);
        if self.get_all(header::CONTENT_LENGTH).next() != Some(digits.as_bytes()) {
            let mut map = self.to_map(1);
            map.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            *self = Self::of(&map);
        }
    }

    /// What they weigh in memory, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.values.len() + self.names.weight()
    }
}

/// How many bytes the length of a value takes.
const fn length_of(value: &[u8]) -> usize {
    let bits = usize::BITS - (value.len() << 1 | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// The head of a stored response after a 304, or a HEAD that proved it current, brought `update`.
///
/// RFC 9111 §3.2: the fields of the update replace those of the same name, except those that describe the stored bytes.
/// `Age` is left to whoever computes it, and `Set-Cookie` is for the one requester.
#[must_use]
pub fn freshen(stored: &HeaderMap, update: &HeaderMap, keep_set_cookie: bool) -> HeaderMap {
    let mut brought = storable_head(update, keep_set_cookie);
    // RFC 9111 §3.2 excepts Content-Length, and what "the cache's stored response depends upon". All that describes how
    // the stored bytes are coded and cut is taken for that: an update cannot have changed them. A `Content-Digest` in a
    // 304 is even the digest of no content. Their type may be told anew.
    for name in CONTENT {
        brought.remove(*name);
    }
    // An equal strong tag changes nothing, and any other is not the tag of the stored bytes.
    if EntityTag::of(stored).zip(EntityTag::of(update)).is_none_or(|(ours, theirs)| !ours.strong_eq(&theirs)) {
        brought.remove(header::ETAG);
    }
    // Many origins leave `Vary` out of a 304, or name less in it: only the 200 says what its bytes depend on.
    match more_varied(&Vary::of(stored), &Vary::of(update)) {
        Some(both) => brought.insert(header::VARY, both),
        None => brought.remove(header::VARY),
    };
    let mut fresh = HeaderMap::with_capacity(stored.len() + brought.len());
    for (name, value) in stored.iter().filter(|(name, _)| !brought.contains_key(*name)).chain(&brought) {
        fresh.append(name.clone(), value.clone());
    }
    fresh
}

/// The fields of a response that are stored.
///
/// `Cache-Status` and `Proxy-Status` of caches nearer to the origin stay (RFC 9211 §2: each cache appends its own).
/// `Set-Cookie` stays if `keep_set_cookie`.
#[must_use]
pub fn storable_head(head: &HeaderMap, keep_set_cookie: bool) -> HeaderMap {
    // RFC 9111 §3.1: "Caches MUST include all received response header fields -- including unrecognized ones -- when
    // storing a response", except the `Connection` header field and those it names, and those of proxy authentication.
    let mut kept = head.clone();
    remove_hop_by_hop(&mut kept);
    kept.remove(header::TE);
    // The age is computed anew for each answer (RFC 9111 §4: "MUST generate an Age header field").
    kept.remove(header::AGE);
    if !keep_set_cookie {
        kept.remove(header::SET_COOKIE);
        kept.remove("set-cookie2");
    }
    kept
}

/// Fields that only the bytes of the content can make true (RFC 9110 §8, RFC 9530).
const CONTENT: &[&str] =
    &["content-encoding", "content-range", "content-length", "content-md5", "content-digest", "repr-digest", "digest"];

/// The `Vary` of a stored response that an update widens, or `None` where the update names nothing new.
fn more_varied(stored: &Vary, update: &Vary) -> Option<HeaderValue> {
    let (Some(ours), Some(theirs)) = (stored.names(), update.names()) else {
        return Some(HeaderValue::from_static("*"));
    };
    if theirs.iter().all(|name| ours.contains(name)) {
        return None;
    }
    let mut names: Vec<&str> = ours.iter().chain(theirs).map(HeaderName::as_str).collect();
    names.sort_unstable();
    names.dedup();
    HeaderValue::try_from(names.join(", ")).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{FIELD_NAMES, Lines, any_head, head};

    fn names(head: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = head.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_304_freshens_a_stored_head() {
        let rows: &[(&str, Lines, Lines, &str, &[&str])] = &[
            ("a field is replaced (RFC 9111 §3.2)", &[("expires", "0")], &[("expires", "1")], "expires", &["1"]),
            (
                "with all its lines",
                &[("link", "a"), ("link", "b")],
                &[("link", "c"), ("link", "d")],
                "link",
                &["c", "d"],
            ),
            ("what is not brought stays", &[("x", "1")], &[("y", "2")], "x", &["1"]),
            ("what is new is added", &[("x", "1")], &[("y", "2")], "y", &["2"]),
            (
                "the length is the stored bytes'",
                &[("content-length", "5")],
                &[("content-length", "0")],
                "content-length",
                &["5"],
            ),
            ("no coding is added", &[], &[("content-encoding", "gzip")], "content-encoding", &[]),
            (
                "the type is told anew",
                &[("content-type", "text/plain")],
                &[("content-type", "text/plain;charset=utf-8")],
                "content-type",
                &["text/plain;charset=utf-8"],
            ),
            ("a tag that is not equal is not taken", &[("etag", "\"1\"")], &[("etag", "\"2\"")], "etag", &["\"1\""]),
            ("nor one that is weaker", &[("etag", "\"1\"")], &[("etag", "W/\"1\"")], "etag", &["\"1\""]),
            ("nor one where there was none", &[], &[("etag", "\"1\"")], "etag", &[]),
            ("a cookie is for one requester", &[], &[("set-cookie", "a=b")], "set-cookie", &[]),
            ("a stored cookie stays", &[("set-cookie", "a=b")], &[("set-cookie", "c=d")], "set-cookie", &["a=b"]),
            ("fields of the connection stay out", &[], &[("connection", "x"), ("x", "1")], "x", &[]),
            ("Age is computed", &[], &[("age", "5")], "age", &[]),
            (
                "the digest of no content is not ours",
                &[],
                &[("content-digest", "sha-256=:47DE:")],
                "content-digest",
                &[],
            ),
            ("Vary is not lost", &[("vary", "Accept")], &[], "vary", &["Accept"]),
            ("nor narrowed", &[("vary", "Accept, Cookie")], &[("vary", "cookie")], "vary", &["Accept, Cookie"]),
            ("but widened", &[("vary", "Accept")], &[("vary", "cookie")], "vary", &["accept, cookie"]),
            ("up to anything", &[("vary", "Accept")], &[("vary", "*")], "vary", &["*"]),
        ];
        for (sentence, stored, update, name, expected) in rows {
            let fresh = freshen(&head(stored), &head(update), false);
            let values: Vec<_> = fresh.get_all(*name).iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!(values, *expected, "{sentence}");
        }
        let cookie = head(&[("set-cookie", "c=d")]);
        let kept = freshen(&head(&[("set-cookie", "a=b")]), &cookie, true);
        assert_eq!(kept, cookie, "where cookies are stored, they are fields like others");
    }

    #[test]
    fn a_stored_head_is_a_copy_without_what_was_for_one_requester() {
        let buffer = Bytes::from(vec![b'x'; 4096]);
        let mut arrived = head(&[
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("set-cookie", "a=b"),
            ("age", "3"),
            ("cache-status", "far; hit"),
        ]);
        arrived.insert("x-long", HeaderValue::from_maybe_shared(buffer.slice(..16)).unwrap());
        let stored = storable_head(&arrived, false);
        assert_eq!(names(&stored), ["cache-status", "x-long"]);
        let stored = StoredFields::of(&stored);
        assert_ne!(stored.get("x-long").unwrap().as_bytes().as_ptr(), buffer.as_ptr(), "the read buffer is not pinned");
        assert_eq!(stored.to_map(0), storable_head(&arrived, false));
        assert!(storable_head(&arrived, true).contains_key("set-cookie"));
    }

    proptest! {
        #[test]
        fn a_new_date_is_what_freshening_makes_of_it(
            stored in any_head(FIELD_NAMES),
            update in any_head(FIELD_NAMES),
            same in any::<bool>(),
            keep in any::<bool>(),
        ) {
            let mut update = update;
            if same {
                update.extend(stored.clone());
            }
            let stored = storable_head(&stored, keep);
            // What varies by everything is not stored.
            prop_assume!(Vary::of(&stored).names().is_some());
            if let Some(redated) = StoredFields::of(&stored).redated(&update, keep) {
                prop_assert_eq!(redated.to_map(0), freshen(&stored, &update, keep));
            }
        }

        #[test]
        fn what_is_stored_is_what_came(head in any_head(FIELD_NAMES), length in 0..40_000_usize, sensitive in any::<bool>()) {
            let mut head = head;
            let mut long = HeaderValue::from_bytes(&vec![b'x'; length]).unwrap();
            long.set_sensitive(sensitive);
            head.append("x-long", long);
            let stored = StoredFields::of(&head);
            prop_assert_eq!(stored.values.len(), stored.lines().map(|(_, value, _)| length_of(value) + value.len()).sum::<usize>());
            prop_assert_eq!(stored.get("x-long").map(|value| value.is_sensitive()), Some(sensitive));
            prop_assert_eq!(stored.to_map(0), head);
        }

        #[test]
        fn freshening_never_changes_what_describes_the_bytes(stored in any_head(FIELD_NAMES), update in any_head(FIELD_NAMES)) {
            let stored = storable_head(&stored, false);
            let fresh = freshen(&stored, &update, false);
            for name in CONTENT.iter().chain(&["etag", "set-cookie"]) {
                let lines = |head: &HeaderMap| head.get_all(*name).iter().cloned().collect::<Vec<_>>();
                prop_assert_eq!(lines(&fresh), lines(&stored));
            }
        }

        #[test]
        fn freshening_twice_is_freshening_once(stored in any_head(FIELD_NAMES), update in any_head(FIELD_NAMES)) {
            let once = freshen(&storable_head(&stored, false), &update, false);
            prop_assert_eq!(freshen(&once, &update, false), once);
        }

        #[test]
        fn freshening_never_narrows_vary(stored in any_head(FIELD_NAMES), update in any_head(FIELD_NAMES)) {
            let fresh = Vary::of(&freshen(&stored, &update, false));
            match (Vary::of(&stored).names(), fresh.names()) {
                (Some(before), Some(after)) => prop_assert!(before.iter().all(|name| after.contains(name))),
                (None, after) => prop_assert_eq!(after, None),
                (Some(_), None) => {}
            }
        }
    }
}
