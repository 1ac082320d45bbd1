//! `CacheKey`: what a stored response is found by; `ExchangeKey`: which requests may share an exchange.
//!
//! Both are bytes made of parts that each carry their length, so no two different inputs make the same key. Path and
//! query are taken byte for byte, as the route's [`KeyRule`](super::key_rule::KeyRule) hands them over: unless a route
//! says otherwise, nothing is dropped or reordered, and nothing is ever decoded.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

use crate::faults::{Fault, seeded};

/// The key of a stored response: scheme, authority, path and query, and what its route adds. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(Arc<[u8]>);

impl CacheKey {
    /// The tag of the part that holds the request's `Authorization`, on a route that keys by it.
    pub const AUTHORIZATION: u8 = 1;
    /// The tag of the part that holds the request's `Cookie`, on a route that keys by it.
    pub const COOKIE: u8 = 2;
    /// The tag of a part that holds a field by name (`key_headers`).
    pub const FIELD: u8 = 8;
    /// The tag of a part that holds a cookie by name (`key_cookies`).
    pub const CRUMB: u8 = 9;
    /// The tag of a part that holds a named segment of the path (`key_path`).
    pub const SEGMENT: u8 = 10;

    /// The key for a target URI, with the `extra` parts that a route adds, each under a tag.
    ///
    /// The authority's case and a port that is the scheme's default make no difference (RFC 9110 §4.2.3).
    #[must_use]
    pub fn new(scheme: &str, authority: &[u8], path_and_query: &str, extra: &[(u8, &[u8])]) -> Self {
        let size = scheme.len() + authority.len() + path_and_query.len() + 8;
        let mut bytes = Vec::with_capacity(size + extra.iter().map(|(_, part)| part.len() + 4).sum::<usize>());
        let scheme = in_lower_case(scheme.as_bytes());
        put(&mut bytes, &scheme);
        let authority = if seeded(Fault::KeyWithoutHost) { b"" } else { authority };
        put(&mut bytes, &normal_authority(&scheme, authority));
        put(&mut bytes, path_and_query.as_bytes());
        for (tag, part) in extra {
            bytes.push(*tag);
            put(&mut bytes, part);
        }
        Self(bytes.into())
    }

    /// The whole key as bytes; its SHA-256 is its name where names are short.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The authority, and the path and query, to be listed.
    #[must_use]
    pub fn target(&self) -> (&[u8], &str) {
        let [_, authority, path_and_query] = self.target_parts();
        (authority, std::str::from_utf8(path_and_query).unwrap_or_default())
    }

    /// The scheme, in lower case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        std::str::from_utf8(self.target_parts()[0]).unwrap_or_default()
    }

    /// The part of the key that says the target URI: equal for all keys of a target, whatever a route adds to them.
    #[must_use]
    pub fn target_bytes(&self) -> &[u8] {
        let mut rest = &*self.0;
        for _ in 0..3 {
            rest = take(rest).map_or(&[], |(_, rest)| rest);
        }
        &self.0[..self.0.len() - rest.len()]
    }

    /// A hash of [`target_bytes`](Self::target_bytes), the same in every process of this build.
    ///
    /// Two targets may share one: what is invalidated by it may be more than was meant, never less.
    #[must_use]
    pub fn target_hash(&self) -> u64 {
        hash(self.target_bytes())
    }

    /// A hash of the origin, which is scheme, host and port (RFC 9110 §4.3.1), likewise.
    #[must_use]
    pub fn origin_hash(&self) -> u64 {
        let [scheme, authority, _] = self.target_parts();
        hash((scheme, authority))
    }

    /// The same for the target without its query, in a way that meets no target's own.
    #[must_use]
    pub fn path_hash(&self) -> u64 {
        let [scheme, authority, path_and_query] = self.target_parts();
        let path = path_and_query.split(|byte| *byte == b'?').next().unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        (scheme, authority, path).hash(&mut hasher);
        hasher.finish()
    }

    fn target_parts(&self) -> [&[u8]; 3] {
        let mut parts = [&[][..]; 3];
        let mut rest = &*self.0;
        for part in &mut parts {
            (*part, rest) = take(rest).unwrap_or_default();
        }
        parts
    }
}

fn hash(parts: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// What requests must agree in to share an exchange: the cache key, and every field that could select a representation.
///
/// Origins decide by credentials, cookies and preferences without naming them in `Vary`. So these count here whatever
/// `Vary` says: `Authorization`, `Cookie`, the usual fields for API keys, `Origin`, `Prefer` and all of `Accept*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExchangeKey(Arc<[u8]>);

impl ExchangeKey {
    /// The exchange key of `request`, in which the fields that `vary` names are as they leave for the origin; that is
    /// whatever the responses of this target have named so far.
    #[must_use]
    pub fn new(key: &CacheKey, request: &HeaderMap, vary: &[&HeaderName]) -> Self {
        let selects = |name: &HeaderName| could_select(name) || vary.contains(&name);
        let mut lines: Vec<_> = request.iter().filter(|(name, _)| selects(name)).collect();
        // The lines of a field stay in their order.
        lines.sort_by_key(|(name, _)| name.as_str());
        let mut bytes = Vec::with_capacity(key.0.len() + 64 * lines.len() + 4);
        put(&mut bytes, &key.0);
        for field in lines.chunk_by(|(one, _), (next, _)| one == next) {
            put(&mut bytes, field[0].0.as_str().as_bytes());
            put_number(&mut bytes, field.len());
            for (_, line) in field {
                put(&mut bytes, line.as_bytes());
            }
        }
        Self(bytes.into())
    }
}

/// All lines of a field, each exactly as it came, as one part for [`CacheKey::new`]; `None` when there is none.
#[must_use]
pub fn field_lines(request: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    request.contains_key(name).then(|| {
        let mut bytes = Vec::new();
        put_lines(&mut bytes, request, name);
        bytes
    })
}

/// Appends `part` with its length before it (LEB128), so that no other sequence of parts makes the same bytes.
pub(super) fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    put_number(bytes, part.len());
    bytes.extend_from_slice(part);
}

/// Appends the lines of a field: their number, then each.
pub(super) fn put_lines(bytes: &mut Vec<u8>, request: &HeaderMap, name: &HeaderName) {
    let lines = request.get_all(name);
    put_number(bytes, lines.iter().count());
    for line in lines.iter().map(HeaderValue::as_bytes) {
        put(bytes, line);
    }
}

/// Appends a number in LEB128.
pub(super) fn put_number(bytes: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The first part of `bytes`, and what follows it.
pub(super) fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = take_number(bytes)?;
    rest.split_at_checked(length)
}

/// What follows the lines of a field at the beginning of `bytes`, if [`put_lines`] has written those that `request` has.
pub(super) fn after_lines<'a>(bytes: &'a [u8], request: &HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let (count, mut rest) = take_number(bytes)?;
    let mut lines = request.get_all(name).iter();
    for _ in 0..count {
        let (line, after) = take(rest)?;
        if lines.next()?.as_bytes() != line {
            return None;
        }
        rest = after;
    }
    lines.next().is_none().then_some(rest)
}

/// The first number of `bytes`, and what follows it.
pub(super) fn take_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut length = 0;
    let mut rest = bytes;
    for shift in (0..usize::BITS).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some((length, rest))
}

/// RFC 9110 §4.2.3: "If the port is equal to the default port for a scheme, the normal form is to omit the port
/// subcomponent. [..] The scheme and host are case-insensitive"; §4.2.1: an empty port is the default.
pub(super) fn normal_authority<'a>(scheme: &[u8], authority: &'a [u8]) -> Cow<'a, [u8]> {
    let port = match scheme {
        b"http" => &b":80"[..],
        b"https" => b":443",
        _ => b":",
    };
    let host = authority.strip_suffix(port).or_else(|| authority.strip_suffix(b":"));
    // The colons of an IPv6 address without brackets are no port's.
    let host = host.filter(|host| !host.contains(&b':') || host.ends_with(b"]"));
    in_lower_case(host.unwrap_or(authority))
}

fn in_lower_case(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.iter().any(u8::is_ascii_uppercase) { bytes.to_ascii_lowercase().into() } else { bytes.into() }
}

fn could_select(name: &HeaderName) -> bool {
    let name = name.as_str();
    if seeded(Fault::ExchangeAcrossCookie) && name == "cookie" {
        return false;
    }
    name.starts_with("accept")
        || matches!(
            name,
            "authorization"
                | "proxy-authorization"
                | "cookie"
                | "origin"
                | "prefer"
                | "x-api-key"
                | "api-key"
                | "x-auth-token"
                | "x-access-token"
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{any_head, head};

    fn key(scheme: &str, authority: &str, target: &str) -> CacheKey {
        CacheKey::new(scheme, authority.as_bytes(), target, &[])
    }

    #[test]
    fn which_targets_are_the_same() {
        let rows = [
            ("a host's case (RFC 9110 §4.2.3)", ("http", "Example.COM", "/a"), ("HTTP", "example.com", "/a"), true),
            ("a default port", ("http", "a:80", "/"), ("http", "a", "/"), true),
            ("a default port of TLS", ("https", "a:443", "/"), ("https", "a", "/"), true),
            ("an empty port", ("http", "a:", "/"), ("http", "a", "/"), true),
            ("a default port after an address", ("http", "[::1]:80", "/"), ("http", "[::1]", "/"), true),
            ("another scheme's port", ("http", "a:443", "/"), ("http", "a", "/"), false),
            ("an address that ends like a port", ("http", "::1:80", "/"), ("http", "::1", "/"), false),
            ("another scheme", ("http", "a", "/"), ("https", "a", "/"), false),
            ("a path's case", ("http", "a", "/A"), ("http", "a", "/a"), false),
            ("an encoded path", ("http", "a", "/%61"), ("http", "a", "/a"), false),
            ("dots", ("http", "a", "/b/../a"), ("http", "a", "/a"), false),
            ("an empty query", ("http", "a", "/?"), ("http", "a", "/"), false),
            ("the query's order", ("http", "a", "/?b&c"), ("http", "a", "/?c&b"), false),
            ("a border that moves", ("http", "a", "b/"), ("http", "ab", "/"), false),
        ];
        for (sentence, one, two, same) in rows {
            assert_eq!(key(one.0, one.1, one.2) == key(two.0, two.1, two.2), same, "{sentence}");
        }
    }

    #[test]
    fn a_target_is_found_under_all_its_credentials() {
        let plain = key("https", "API.example:443", "/me?x=1");
        let anns = CacheKey::new("https", b"api.example", "/me?x=1", &[(CacheKey::AUTHORIZATION, b"Ann")]);
        let bobs = CacheKey::new("https", b"api.example", "/me?x=1", &[(CacheKey::COOKIE, b"Ann")]);
        assert!(plain != anns && anns != bobs);
        for key in [&plain, &anns, &bobs] {
            assert_eq!(key.target(), (&b"api.example"[..], "/me?x=1"));
            assert_eq!(key.scheme(), "https");
            assert_eq!((key.target_bytes(), key.target_hash()), (plain.as_bytes(), plain.target_hash()));
            assert_eq!(key.origin_hash(), plain.origin_hash());
            assert_eq!(key.path_hash(), self::key("https", "api.example", "/me").path_hash(), "whatever the query");
        }
        let other = key("https", "api.example", "/you");
        assert_ne!(plain.path_hash(), other.path_hash());
        assert_ne!(plain.target_hash(), other.target_hash());
    }

    #[test]
    fn lengths_are_little_endian_in_groups_of_seven_bits() {
        let rows: [(usize, &[u8]); 5] =
            [(0, &[0]), (127, &[127]), (128, &[0x80, 1]), (16_383, &[0xff, 0x7f]), (16_384, &[0x80, 0x80, 1])];
        for (number, expected) in rows {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            assert_eq!(bytes, expected, "LEB128 of {number}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let rows = [
            ("whatever the path", ("http", "a", "/b"), true),
            ("a host's case", ("http", "A", "/"), true),
            ("the default port", ("http", "a:80", "/"), true),
            ("another scheme", ("https", "a", "/"), false),
            ("another host", ("http", "b", "/"), false),
            ("another port", ("http", "a:8080", "/"), false),
        ];
        for (sentence, other, same) in rows {
            let same_hash = key("http", "a", "/").origin_hash() == key(other.0, other.1, other.2).origin_hash();
            assert_eq!(same_hash, same, "RFC 9110 §4.3.1: {sentence}");
        }
    }

    #[test]
    fn who_shares_an_exchange() {
        let target = key("http", "a", "/");
        let rows: &[(&str, (&str, &str), bool)] = &[
            ("another user's token", ("authorization", "Bearer 2"), false),
            ("another user's cookie", ("cookie", "id=2"), false),
            ("another user's API key", ("x-api-key", "2"), false),
            ("another preference, named by no Vary", ("accept-language", "de"), false),
            ("a field that Vary has named", ("x-tenant", "2"), false),
            ("an empty field is not an absent one", ("accept", ""), false),
            ("any other field", ("x-request-id", "2"), true),
        ];
        let vary = [&HeaderName::from_static("x-tenant")];
        let plain = ExchangeKey::new(&target, &HeaderMap::new(), &vary);
        for (sentence, line, shared) in rows {
            assert_eq!(ExchangeKey::new(&target, &head(&[*line]), &vary) == plain, *shared, "{sentence}");
        }
        let two_lines = head(&[("cookie", "a"), ("cookie", "b")]);
        let one_line = head(&[("cookie", "a, b")]);
        assert_ne!(ExchangeKey::new(&target, &two_lines, &[]), ExchangeKey::new(&target, &one_line, &[]));
        assert_ne!(plain, ExchangeKey::new(&key("http", "a", "/b"), &HeaderMap::new(), &vary));
    }

    #[test]
    fn a_credential_is_all_its_lines() {
        let lines = |head: &HeaderMap| field_lines(head, &http::header::AUTHORIZATION);
        assert_eq!(lines(&HeaderMap::new()), None);
        let one = lines(&head(&[("authorization", "a, b")]));
        let two = lines(&head(&[("authorization", "a"), ("authorization", "b")]));
        assert!(one.is_some() && two.is_some() && one != two);
    }

    type Parts = (String, Vec<u8>, String, Vec<(u8, Vec<u8>)>);

    /// Short parts over few bytes, so that neighbours meet.
    fn any_parts() -> impl Strategy<Value = Parts> {
        let bytes = || proptest::collection::vec(0u8..4, 0..4);
        ("[ab]{0,3}", bytes(), "[ab\u{0}\u{1}]{0,3}", proptest::collection::vec((0u8..3, bytes()), 0..3))
    }

    fn made((scheme, authority, target, extra): &Parts) -> CacheKey {
        let extra: Vec<_> = extra.iter().map(|(tag, part)| (*tag, &**part)).collect();
        CacheKey::new(scheme, authority, target, &extra)
    }

    const FIELDS: &[&str] = &["accept", "accept-language", "cookie", "authorization", "x-a"];

    proptest! {
        #[test]
        fn no_two_inputs_meet_in_one_key(one in any_parts(), two in any_parts()) {
            prop_assert_eq!(made(&one) == made(&two), one == two);
        }

        #[test]
        fn a_target_is_read_back(target in "[ -~]{0,300}", extra in proptest::collection::vec(any::<u8>(), 0..300)) {
            let key = CacheKey::new("http", b"example.com:8080", &target, &[(7, &extra)]);
            prop_assert_eq!(key.target(), (&b"example.com:8080"[..], &*target));
            let plain = CacheKey::new("http", b"example.com:8080", &target, &[]);
            prop_assert_eq!(key.target_bytes(), plain.as_bytes());
        }

        #[test]
        fn an_exchange_is_shared_only_by_equal_fields(one in any_head(FIELDS), two in any_head(FIELDS)) {
            let key = key("http", "a", "/");
            let vary = [&HeaderName::from_static("x-a")];
            prop_assert_eq!(ExchangeKey::new(&key, &one, &vary) == ExchangeKey::new(&key, &two, &vary), one == two);
        }
    }
}
