//! Where a request came from: `Via`, `Forwarded` and the `X-Forwarded-*` family, set by us and not taken from strangers.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{FORWARDED, HOST, HeaderName, VIA};
use http::{HeaderMap, HeaderValue, Version};

use super::fields;
use super::list::members;

/// How a proxy names itself in `Via` (RFC 9110 §7.6.3): a pseudonym, and a member of the list for each version in which a
/// message may be *received*.
#[derive(Clone, Debug)]
pub struct Via {
    name: Box<str>,
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
}

impl Via {
    /// The proxy called `name`, a token. It must differ between two proxies in one chain, or the second takes the first
    /// for itself.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let member = |version| {
            HeaderValue::try_from(format!("{version} {name}")).unwrap_or(HeaderValue::from_static("1.1 truehit"))
        };
        Self { name: name.into(), http10: member("1.0"), http11: member("1.1"), http2: member("2") }
    }

    /// Appends this proxy to a message that was received in that version.
    pub fn append(&self, head: &mut HeaderMap, received: Version) {
        let member = match received {
            Version::HTTP_09 | Version::HTTP_10 => &self.http10,
            Version::HTTP_2 => &self.http2,
            _ => &self.http11,
        };
        head.append(VIA, member.clone());
    }

    /// Whether a message has already passed this proxy.
    #[must_use]
    pub fn loops(&self, head: &HeaderMap) -> bool {
        head.get_all(VIA).iter().flat_map(|line| members(line.as_bytes())).any(|hop| {
            // RFC 9110 §7.6.3: `received-protocol RWS received-by [ RWS comment ]`.
            let by = hop.split(|&byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty()).nth(1);
            by.is_some_and(|by| by.eq_ignore_ascii_case(self.name.as_bytes()))
        })
    }
}

/// What a proxy adds to every message that it passes on.
#[derive(Clone, Debug)]
pub struct Marks {
    /// How it names itself.
    pub via: Via,
    /// The `Host` that the origin is to see instead of the client's.
    pub host: Option<HeaderValue>,
}

/// What a hop adds to the fields of a request that it passes on, and takes from them.
#[derive(Clone, Debug)]
pub struct Hop {
    /// The address that the request came from.
    pub peer: IpAddr,
    /// Whether it came by TLS.
    pub tls: bool,
    /// Whether that peer's word on where the request came from is believed.
    pub trusted: bool,
    /// The authority that the request names.
    pub authority: HeaderValue,
    /// The version that the request came in.
    pub received: Version,
    /// What is added to every message.
    pub marks: Arc<Marks>,
}

/// How many fields are mostly added: `Forwarded`, three of `X-Forwarded-*`, `Via`, and to a check its condition.
const ADDED: usize = 6;

impl Hop {
    /// The fields with which a request leaves for the origin, from those that were received, but for what is `withheld`.
    ///
    /// They say who asked, over what, and under which name. Whatever a stranger claims of that is left out. What a
    /// trusted peer says about scheme and host stays, and its chain is appended to. Fields that make an origin answer
    /// for another target or method than the request's go in either case: what they change is not in the key (cache
    /// poisoning).
    #[must_use]
    pub fn leaving(&self, received: &HeaderMap, withheld: impl Fn(&HeaderName) -> bool) -> HeaderMap {
        let claims = |name: &HeaderName| is_suspect(name) && (redirects(name) || !self.trusted && claims_origin(name));
        let mut outgoing = fields::end_to_end(received, ADDED, |name| *name == HOST || claims(name) || withheld(name));
        let address = text_of(self.peer.to_canonical());
        let forwarded = self.forwarded(&address);
        append_to_list(&mut outgoing, X_FORWARDED_FOR, address.into_bytes());
        if !(self.trusted && outgoing.contains_key(X_FORWARDED_PROTO)) {
            outgoing.insert(X_FORWARDED_PROTO, HeaderValue::from_static(self.scheme()));
        }
        // It repeats what the client asked for.
        if !(self.trusted && outgoing.contains_key(X_FORWARDED_HOST)) {
            outgoing.insert(X_FORWARDED_HOST, self.authority.clone());
        }
        append_to_list(&mut outgoing, FORWARDED, forwarded);
        outgoing.insert(HOST, self.marks.host.as_ref().unwrap_or(&self.authority).clone());
        self.marks.via.append(&mut outgoing, self.received);
        outgoing
    }

    const fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// One element of `Forwarded` (RFC 7239 §4), with the peer's `address` as text.
    fn forwarded(&self, address: &str) -> Vec<u8> {
        // RFC 7239 §6: an IPv6 address stands in square brackets, which no token may hold, so the node is quoted.
        let (before, after) = if address.contains(':') { ("for=\"[", "]\"") } else { ("for=", "") };
        // A host with a quote in it is no host (RFC 3986 §3.2.2), and must not end the string here.
        let host = self.authority.to_str().ok().filter(|host| !host.contains(['"', '\\']));
        let host = host.map_or(["", "", ""], |host| [";host=\"", host, "\""]);
        [&[before, address, after][..], &host, &[";proto=", self.scheme()]].concat().concat().into()
    }
}

/// Whether a field of this name may be removed on its way to the origin: it claims where a request came from, or for
/// what.
pub(super) fn may_be_removed(name: &HeaderName) -> bool {
    is_suspect(name) && (redirects(name) || claims_origin(name))
}

/// Whether a name begins as one of those does: most do not, and need not be held against all of them.
fn is_suspect(name: &HeaderName) -> bool {
    name.as_str().starts_with(['c', 'f', 't', 'x'])
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The address as text. One of version 4 is put together here, for each request that leaves: a formatter takes ten times
/// as long.
fn text_of(peer: IpAddr) -> String {
    let IpAddr::V4(peer) = peer else { return peer.to_string() };
    let mut text = String::with_capacity(15);
    for octet in peer.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
    text
}

/// Appends `member` to the list in `name`, as one line: many origins read only the first line or only the last.
fn append_to_list(head: &mut HeaderMap, name: HeaderName, member: Vec<u8>) {
    let mut lines: Vec<&[u8]> = head.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
    let line = if lines.is_empty() {
        member
    } else {
        lines.push(&member);
        lines.join(&b", "[..])
    };
    if let Ok(line) = HeaderValue::from_maybe_shared(Bytes::from(line)) {
        head.insert(name, line);
    }
}

/// Fields by which frameworks answer for another target or method than the request line's.
const REDIRECTING: &[&str] = &[
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-http-host-override",
    "x-host",
    "x-host-override",
];

/// Fields that claim where a request came from, beside `X-Forwarded-*`.
const CLAIMING: &[&str] = &[
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-originating-ip",
    "x-remote-ip",
    "x-remote-addr",
    "client-ip",
    "true-client-ip",
    "x-scheme",
    "x-url-scheme",
    "front-end-https",
    "x-script-name",
    "x-original-host",
];

fn redirects(name: &HeaderName) -> bool {
    is_one_of(name, REDIRECTING)
}

fn claims_origin(name: &HeaderName) -> bool {
    const PREFIX: &str = "x-forwarded";
    is_one_of(name, CLAIMING) || name.as_str().get(..PREFIX.len()).is_some_and(|start| is_same_variable(start, PREFIX))
}

fn is_one_of(name: &HeaderName, names: &[&str]) -> bool {
    names.iter().any(|one| is_same_variable(name.as_str(), one))
}

/// CGI and WSGI origins cannot tell `_` from `-`: `X_Forwarded_For` is the same variable to them.
fn is_same_variable(name: &str, hyphenated: &str) -> bool {
    name.len() == hyphenated.len()
        && name.bytes().zip(hyphenated.bytes()).all(|(one, two)| one == two || one == b'_' && two == b'-')
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{any_head, head};

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    /// The fields of a request from `peer` as they leave, but for `Via`.
    fn leaving(received: &HeaderMap, peer: IpAddr, tls: bool, trusted: bool) -> HeaderMap {
        let hop = Hop {
            peer,
            tls,
            trusted,
            authority: received.get(HOST).cloned().unwrap_or(HeaderValue::from_static("api.example")),
            received: Version::HTTP_11,
            marks: Arc::new(Marks { via: Via::new("truehit-1"), host: None }),
        };
        let mut leaving = hop.leaving(received, |_| false);
        assert!(leaving.remove(VIA).is_some());
        leaving
    }

    #[test]
    fn what_a_stranger_claims_is_dropped() {
        let request = head(&[
            ("host", "api.example"),
            ("forwarded", "for=10.0.0.1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-server", "evil"),
            ("x-forwarded-prefix", "/evil"),
            ("x_forwarded_for", "10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
            ("x-original-url", "/admin"),
            ("x-rewrite-url", "/admin"),
            ("x-http-method-override", "DELETE"),
            ("x_http_method_override", "DELETE"),
            ("x-method-override", "DELETE"),
            ("x-request-id", "7"),
        ]);
        let expected = head(&[
            ("host", "api.example"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "api.example"),
            ("forwarded", "for=192.0.2.1;host=\"api.example\";proto=http"),
            ("x-request-id", "7"),
        ]);
        assert_eq!(leaving(&request, PEER, false, false), expected);
    }

    #[test]
    fn what_a_trusted_peer_says_is_appended_to() {
        let received = head(&[
            ("host", "api.internal"),
            ("forwarded", "for=198.51.100.7;proto=https"),
            ("x-forwarded-for", "198.51.100.7"),
            ("x-forwarded-for", "198.51.100.8"),
            ("x-forwarded-host", "api.example"),
            ("x-forwarded-proto", "https"),
            ("x-original-url", "/admin"),
        ]);
        let request = leaving(&received, PEER, false, true);
        assert_eq!(request["x-forwarded-for"], "198.51.100.7, 198.51.100.8, 192.0.2.1");
        assert_eq!(request["x-forwarded-host"], "api.example");
        assert_eq!(request["x-forwarded-proto"], "https");
        assert_eq!(
            request["forwarded"],
            "for=198.51.100.7;proto=https, for=192.0.2.1;host=\"api.internal\";proto=http"
        );
        assert!(!request.contains_key("x-original-url"), "it is not in the key, whoever sent it");
    }

    #[test]
    fn every_name_that_may_be_removed_begins_like_a_suspect() {
        for name in REDIRECTING.iter().chain(CLAIMING).chain(&["x-forwarded-proto"]) {
            assert!(may_be_removed(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn addresses_are_written_as_rfc_7239_6_says() {
        let request = leaving(&head(&[("host", "[::1]:8080")]), IpAddr::V6(Ipv6Addr::LOCALHOST), true, false);
        assert_eq!(request["forwarded"], "for=\"[::1]\";host=\"[::1]:8080\";proto=https");
        let mapped = leaving(&HeaderMap::new(), IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()), true, false);
        assert_eq!(mapped["x-forwarded-for"], "127.0.0.1", "a mapped address is its IPv4 one");
        let quoted = leaving(&head(&[("host", "a\";for=b")]), PEER, true, false);
        assert_eq!(quoted["forwarded"], "for=192.0.2.1;proto=https");
    }

    #[test]
    fn via_names_who_passed_a_message_on() {
        let mut message = head(&[("via", "1.0 fred")]);
        Via::new("truehit-1").append(&mut message, Version::HTTP_2);
        let hops: Vec<_> = message.get_all(VIA).iter().collect();
        assert_eq!(hops, ["1.0 fred", "2 truehit-1"]);
        let rows = [
            ("RFC 9110 §7.6.3", "1.0 fred, HTTP/1.1 Truehit-1 (a, comment)", true),
            ("another instance", "1.1 truehit-2", false),
            ("a protocol of that name", "truehit-1 fred", false),
            ("malformed", "truehit-1", false),
        ];
        for (sentence, value, expected) in rows {
            assert_eq!(Via::new("truehit-1").loops(&head(&[("via", value)])), expected, "{sentence}");
        }
        assert!(Via::new("truehit-1").loops(&message));
    }

    proptest! {
        #[test]
        fn a_stranger_cannot_be_heard(
            any in any_head(&["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "x_forwarded_proto"]),
        ) {
            let heard = leaving(&any, PEER, true, false);
            let silent = leaving(&HeaderMap::new(), PEER, true, false);
            prop_assert_eq!(heard, silent);
        }

        #[test]
        fn no_value_makes_it_panic(any in any_head(&["forwarded", "x-forwarded-for", "host", "via"])) {
            let _ = leaving(&any, PEER, true, true);
            let _ = Via::new("truehit").loops(&any);
        }
    }
}
