//! Which fields cross the proxy, in either direction.
//!
//! Call [`remove_hop_by_hop`] before anything is derived from a request (key, selecting fields): what the origin does
//! not get to see must not have been believed here.

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::list::members;

pub use super::stored_fields::{StoredFields, freshen, storable_head};

/// Removes the fields that are for this connection only (RFC 9110 §7.6.1).
///
/// `TE` stays as `trailers`, if it says so: gRPC needs it. A sender in HTTP/1.1 names it in its own `Connection`
/// (RFC 9110 §10.1.4), and a request to upgrade that is passed on gets both its fields anew. `Trailer` stays: it
/// describes the message, and trailers are forwarded. Proxy authentication is for a proxy that asked for it (RFC 9110
/// §11.7), which this one never does, so those fields go no further.
pub fn remove_hop_by_hop(head: &mut HeaderMap) {
    let Some(own) = OneHop::of(head) else { return };
    let names: Vec<HeaderName> = head.keys().filter(|name| own.has(name)).cloned().collect();
    for name in names {
        head.remove(name);
    }
    own.go_on(head);
}

/// A copy of the fields that [`remove_hop_by_hop`] leaves, without those that are `withheld`, and with room for `more`.
pub(super) fn end_to_end(head: &HeaderMap, more: usize, withheld: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let own = OneHop::of(head);
    let mut copy = HeaderMap::with_capacity(head.len() + more);
    let stays = |name: &HeaderName| own.as_ref().is_some_and(|own| own.has(name)) || withheld(name);
    for (name, value) in head.iter().filter(|(name, _)| !stays(name)) {
        copy.append(name.clone(), value.clone());
    }
    if let Some(own) = own {
        own.go_on(&mut copy);
    }
    copy
}

/// What a message has for one connection only.
///
/// RFC 9110 §7.6.1: "Intermediaries MUST parse a received Connection header field before a message is forwarded and, for
/// each connection-option in this field, remove any header or trailer field(s) from the message with the same name as the
/// connection-option, and then remove the Connection header field itself"; "Furthermore, intermediaries SHOULD remove or
/// replace fields that are known to require removal before forwarding, whether or not they appear as a
/// connection-option".
struct OneHop {
    nominated: Vec<HeaderName>,
    trailers: bool,
}

impl OneHop {
    /// `None` if it has nothing of the kind.
    fn of(head: &HeaderMap) -> Option<Self> {
        if !head.keys().any(is_hop_by_hop) {
            return None;
        }
        let nominated = head
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(|line| members(line.as_bytes()))
            // Most say how long the connection lasts, which is no field.
            .filter(|option| !is_about_persistence(option))
            .filter_map(|option| HeaderName::from_bytes(option).ok())
            // "A sender MUST NOT send a connection option corresponding to a field that is intended for all recipients of
            // the content." Obeying one would let a stranger hide a credential or a key from the origin (CVE-2022-1388).
            .filter(|name| *name != header::TE && !is_end_to_end(name))
            .collect();
        let trailers = head
            .get_all(header::TE)
            .iter()
            .any(|line| members(line.as_bytes()).any(|coding| coding.eq_ignore_ascii_case(b"trailers")));
        Some(Self { nominated, trailers })
    }

    fn has(&self, name: &HeaderName) -> bool {
        is_hop_by_hop(name) || self.nominated.contains(name)
    }

    /// Adds to the fields that go on what is said to the next hop in their place.
    fn go_on(&self, head: &mut HeaderMap) {
        if self.trailers {
            head.insert(header::TE, HeaderValue::from_static("trailers"));
        }
    }
}

/// Whether a connection option nominates no field, but says whether the connection lasts (RFC 9112 §9.3).
pub(super) fn is_about_persistence(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"close") || option.eq_ignore_ascii_case(b"keep-alive")
}

/// Whether a field of this name is for one connection only, nominated or not (RFC 9110 §7.6.1, §11.7).
pub(super) fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
    )
}

/// Whether a request asks to change the protocol: `Upgrade`, nominated by `Connection` (RFC 9110 §7.8).
///
/// Not to HTTP/2 in clear text: RFC 9113 §3.1 has withdrawn `h2c`, and requests within it would go past the cache.
#[must_use]
pub fn is_upgrade(head: &HeaderMap) -> bool {
    let h2c = |line: &HeaderValue| {
        members(line.as_bytes()).any(|protocol| protocol.get(..3).is_some_and(|name| name.eq_ignore_ascii_case(b"h2c")))
    };
    head.contains_key(header::UPGRADE)
        && !head.get_all(header::UPGRADE).iter().any(h2c)
        && head
            .get_all(header::CONNECTION)
            .iter()
            .any(|line| members(line.as_bytes()).any(|option| option.eq_ignore_ascii_case(b"upgrade")))
}

/// The trailer fields that may be forwarded.
///
/// RFC 9110 §6.5.1: a trailer must not be used for "message framing, routing, authentication, request modifiers,
/// response controls, or content format".
#[must_use]
pub fn forwardable_trailers(mut trailers: HeaderMap) -> HeaderMap {
    remove_hop_by_hop(&mut trailers);
    for name in NEVER_IN_TRAILERS {
        trailers.remove(*name);
    }
    let conditional: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| ["if-", "x-forwarded-", "proxy-"].iter().any(|prefix| name.as_str().starts_with(prefix)))
        .cloned()
        .collect();
    for name in conditional {
        trailers.remove(name);
    }
    trailers
}

/// Fields that no trailer may carry, beside what [`remove_hop_by_hop`] removes (RFC 9110 §6.5.1).
const NEVER_IN_TRAILERS: &[&str] = &[
    "content-length",
    "content-encoding",
    "content-type",
    "content-range",
    "te",
    "trailer",
    "host",
    "forwarded",
    "via",
    "max-forwards",
    "authorization",
    "www-authenticate",
    "authentication-info",
    "cookie",
    "set-cookie",
    "cache-control",
    "expect",
    "pragma",
    "range",
    "age",
    "date",
    "expires",
    "location",
    "retry-after",
    "vary",
    "content-location",
    "content-disposition",
];

/// Whether a request field reaches the origin as the client sent it, so that a cache may go by it: it is not of one
/// connection, not answered or rewritten on the way.
#[must_use]
pub fn is_forwarded_as_sent(name: &HeaderName) -> bool {
    const REWRITTEN: &[&str] =
        &["host", "via", "forwarded", "expect", "content-length", "trailer", "cache-control", "pragma", "range"];
    let text = name.as_str();
    let conditional = text.starts_with("if-");
    !conditional && !text.starts_with("x-forwarded-") && !is_hop_by_hop(name) && !REWRITTEN.contains(&text)
}

/// Whether a field is for all recipients, so that `Connection` cannot nominate it.
fn is_end_to_end(name: &HeaderName) -> bool {
    const NAMES: &[&str] = &[
        "age",
        "authorization",
        "cache-control",
        "cookie",
        "date",
        "etag",
        "expires",
        "forwarded",
        "host",
        "last-modified",
        "location",
        "origin",
        "pragma",
        "range",
        "set-cookie",
        "vary",
        "via",
        "www-authenticate",
        "x-api-key",
        "x-real-ip",
    ];
    const PREFIXES: &[&str] = &["accept", "access-control-", "content-", "if-", "sec-", "x-forwarded-"];
    NAMES.contains(&name.as_str()) || PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
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
    fn fields_of_the_connection_are_removed() {
        let rows: &[(&str, Lines, &[&str])] = &[
            ("nominated ones (RFC 9110 §7.6.1)", &[("connection", "close, X-A ,x-b"), ("x-a", "1"), ("x-b", "2")], &[]),
            ("over several lines", &[("connection", "x-a"), ("connection", "x-b"), ("x-a", "1"), ("x-b", "2")], &[]),
            (
                "known ones, nominated or not",
                &[
                    ("keep-alive", "timeout=5"),
                    ("proxy-connection", "close"),
                    ("transfer-encoding", "chunked"),
                    ("upgrade", "h2c"),
                    ("http2-settings", "AA"),
                    ("te", "gzip"),
                    ("proxy-authorization", "Basic eA=="),
                ],
                &[],
            ),
            ("TE: trailers stays, alone", &[("connection", "te"), ("te", "trailers, deflate;q=0.5")], &["te"]),
            ("Trailer stays", &[("trailer", "x-checksum")], &["trailer"]),
            (
                "no stranger hides a credential or a key (C14)",
                &[
                    ("connection", "authorization, host, x-forwarded-for, x-real-ip, accept-language, cookie, via"),
                    ("authorization", "x"),
                    ("host", "a"),
                    ("x-forwarded-for", "::1"),
                    ("x-real-ip", "::1"),
                    ("accept-language", "de"),
                    ("cookie", "a=b"),
                    ("via", "1.1 a"),
                ],
                &["accept-language", "authorization", "cookie", "host", "via", "x-forwarded-for", "x-real-ip"],
            ),
            ("what is no field name nominates nothing", &[("connection", "\"x-a\", (x-a)"), ("x-a", "1")], &["x-a"]),
        ];
        for (sentence, lines, expected) in rows {
            let mut head = head(lines);
            remove_hop_by_hop(&mut head);
            assert_eq!(names(&head), *expected, "{sentence}");
        }
        let mut te = head(&[("te", "trailers, deflate;q=0.5")]);
        remove_hop_by_hop(&mut te);
        assert_eq!(te["te"], "trailers");
    }

    #[test]
    fn an_upgrade_is_nominated() {
        assert!(is_upgrade(&head(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")])), "RFC 9110 §7.8");
        assert!(!is_upgrade(&head(&[("upgrade", "websocket")])));
        assert!(!is_upgrade(&head(&[("connection", "upgrade"), ("upgrade", "websocket, h2c")])), "RFC 9113 §3.1");
        assert!(!is_upgrade(&head(&[("connection", "upgrade")])));
    }

    #[test]
    fn trailers_carry_no_framing_routing_or_credentials() {
        let all = head(&[
            ("grpc-status", "0"),
            ("repr-digest", "sha-256=:AA==:"),
            ("server-timing", "db"),
            ("etag", "\"1\""),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("host", "a"),
            ("authorization", "x"),
            ("set-cookie", "a=b"),
            ("if-match", "*"),
            ("x-forwarded-for", "::1"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("cache-control", "public"),
            ("vary", "a"),
        ]);
        let forwarded = forwardable_trailers(all);
        assert_eq!(names(&forwarded), ["etag", "grpc-status", "repr-digest", "server-timing"], "RFC 9110 §6.5.1");
    }

    proptest! {
        #[test]
        fn removing_is_done_at_once(any in any_head(FIELD_NAMES)) {
            let mut once = any;
            remove_hop_by_hop(&mut once);
            let mut twice = once.clone();
            remove_hop_by_hop(&mut twice);
            prop_assert_eq!(&twice, &once);
            let _ = (is_upgrade(&once), forwardable_trailers(once.clone()));
        }
    }
}
