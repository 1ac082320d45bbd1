//! Where a request came from: `Via`, `Forwarded` and the `X-Forwarded-*` family, set by us and not taken from strangers.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{FORWARDED, HOST, HeaderName, VIA};
use http::{HeaderMap, HeaderValue, Version};

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

impl Hop {
    /// Makes fields that are free of hop-by-hop ones ready to leave for the origin.
    pub fn prepare(&self, outgoing: &mut HeaderMap) {
        // `X-Forwarded-Host` repeats what the client asked for, so it is made while `Host` still says that.
        outgoing.insert(HOST, self.authority.clone());
        set_forwarding(outgoing, self.peer, self.tls, self.trusted);
        if let Some(host) = &self.marks.host {
            outgoing.insert(HOST, host.clone());
        }
        self.marks.via.append(outgoing, self.received);
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

/// Says to the origin who asked, over what, and under which name.
///
/// From a stranger, every field that claims such a thing is removed first. From a `trusted` peer the chain is appended
/// to, and what it says about scheme and host stays. Fields that make an origin answer for another target or method
/// than the request's are removed in either case: what they change is not in the key (cache poisoning).
///
/// `Host` must be the effective one when this is called.
pub fn set_forwarding(head: &mut HeaderMap, peer: IpAddr, tls: bool, trusted: bool) {
    let is_claim = |name: &&HeaderName| is_suspect(name) && (redirects(name) || !trusted && claims_origin(name));
    let claims: Vec<HeaderName> = head.keys().filter(is_claim).cloned().collect();
    for name in claims {
        head.remove(name);
    }
    let peer = peer.to_canonical();
    let scheme = if tls { "https" } else { "http" };
    let host = head.get(HOST).cloned();

    let address = text_of(peer);
    append_to_list(head, X_FORWARDED_FOR, address.as_bytes());
    if !head.contains_key(X_FORWARDED_PROTO) {
        head.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    }
    if let Some(host) = &host
        && !head.contains_key(X_FORWARDED_HOST)
    {
        head.insert(X_FORWARDED_HOST, host.clone());
    }
    append_to_list(head, FORWARDED, &forwarded((peer, &address), host.as_ref(), scheme));
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

/// One element of `Forwarded` (RFC 7239 §4).
fn forwarded((peer, address): (IpAddr, &str), host: Option<&HeaderValue>, scheme: &str) -> Vec<u8> {
    // RFC 7239 §6: an IPv6 address stands in square brackets, which no token may hold, so the node is quoted.
    let (before, after) = if peer.is_ipv4() { ("for=", "") } else { ("for=\"[", "]\"") };
    // A host with a quote in it is no host (RFC 3986 §3.2.2), and must not end the string here.
    let host = host.and_then(|host| host.to_str().ok()).filter(|host| !host.contains(['"', '\\']));
    let host = host.map_or(["", "", ""], |host| [";host=\"", host, "\""]);
    [&[before, address, after][..], &host, &[";proto=", scheme]].concat().concat().into()
}

/// Appends `member` to the list in `name`, as one line: many origins read only the first line or only the last.
fn append_to_list(head: &mut HeaderMap, name: HeaderName, member: &[u8]) {
    let mut lines: Vec<&[u8]> = head.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
    let value = if lines.is_empty() {
        HeaderValue::from_bytes(member)
    } else {
        lines.push(member);
        HeaderValue::from_bytes(&lines.join(&b", "[..]))
    };
    if let Ok(value) = value {
        head.insert(name, value);
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

    #[test]
    fn what_a_stranger_claims_is_dropped() {
        let mut request = head(&[
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
        set_forwarding(&mut request, PEER, false, false);
        let expected = head(&[
            ("host", "api.example"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "api.example"),
            ("forwarded", "for=192.0.2.1;host=\"api.example\";proto=http"),
            ("x-request-id", "7"),
        ]);
        assert_eq!(request, expected);
    }

    #[test]
    fn what_a_trusted_peer_says_is_appended_to() {
        let mut request = head(&[
            ("host", "api.internal"),
            ("forwarded", "for=198.51.100.7;proto=https"),
            ("x-forwarded-for", "198.51.100.7"),
            ("x-forwarded-for", "198.51.100.8"),
            ("x-forwarded-host", "api.example"),
            ("x-forwarded-proto", "https"),
            ("x-original-url", "/admin"),
        ]);
        set_forwarding(&mut request, PEER, false, true);
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
        let mut request = head(&[("host", "[::1]:8080")]);
        set_forwarding(&mut request, IpAddr::V6(Ipv6Addr::LOCALHOST), true, false);
        assert_eq!(request["forwarded"], "for=\"[::1]\";host=\"[::1]:8080\";proto=https");
        let mut mapped = HeaderMap::new();
        set_forwarding(&mut mapped, IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()), true, false);
        assert_eq!(mapped["x-forwarded-for"], "127.0.0.1", "a mapped address is its IPv4 one");
        let mut quoted = head(&[("host", "a\";for=b")]);
        set_forwarding(&mut quoted, PEER, true, false);
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
            let mut heard = any;
            set_forwarding(&mut heard, PEER, true, false);
            let mut silent = HeaderMap::new();
            set_forwarding(&mut silent, PEER, true, false);
            prop_assert_eq!(heard, silent);
        }

        #[test]
        fn no_value_makes_it_panic(mut any in any_head(&["forwarded", "x-forwarded-for", "host", "via"])) {
            set_forwarding(&mut any, PEER, true, true);
            let _ = Via::new("truehit").loops(&any);
        }
    }
}
