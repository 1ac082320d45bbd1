//! Which fields cross the proxy, which are stored, and what a 304 changes in a stored head.
//!
//! Call [`remove_hop_by_hop`] before anything is derived from a request (key, selecting fields): what the origin does
//! not get to see must not have been believed here.

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};

pub use super::forwarding::{append_via, set_forwarding, via_loops};
use super::list::members;
use super::validator::EntityTag;

/// Removes the fields that are for this connection only (RFC 9110 §7.6.1).
///
/// `TE` stays as `trailers`, if it says so: gRPC needs it. A sender in HTTP/1.1 names it in its own `Connection`
/// (RFC 9110 §10.1.4). `Trailer` stays: it describes the message, and trailers are forwarded. Proxy authentication is
/// for a proxy that asked for it (RFC 9110 §11.7), which this one never does, so those fields go no further.
pub fn remove_hop_by_hop(head: &mut HeaderMap) {
    // "Intermediaries MUST parse a received Connection header field before a message is forwarded and, for each
    // connection-option in this field, remove any header or trailer field(s) from the message with the same name as the
    // connection-option, and then remove the Connection header field itself".
    let nominated: Vec<HeaderName> = head
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| members(line.as_bytes()))
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        // "A sender MUST NOT send a connection option corresponding to a field that is intended for all recipients of
        // the content." Obeying one would let a stranger hide a credential or a key from the origin (CVE-2022-1388).
        .filter(|name| *name != header::TE && !is_end_to_end(name))
        .collect();
    for name in nominated {
        head.remove(name);
    }
    let trailers = head
        .get_all(header::TE)
        .iter()
        .any(|line| members(line.as_bytes()).any(|coding| coding.eq_ignore_ascii_case(b"trailers")));
    // "Furthermore, intermediaries SHOULD remove or replace fields that are known to require removal before forwarding,
    // whether or not they appear as a connection-option".
    for name in HOP_BY_HOP {
        head.remove(name);
    }
    if trailers {
        head.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether a request asks to change the protocol: `Upgrade`, nominated by `Connection` (RFC 9110 §7.8).
#[must_use]
pub fn is_upgrade(head: &HeaderMap) -> bool {
    head.contains_key(header::UPGRADE)
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
    for name in NEVER_IN_TRAILERS.iter().chain(CONTENT) {
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

/// The head of a stored response after a 304, or a HEAD that proved it current, brought `update`.
///
/// RFC 9111 §3.2: the fields of the update replace those of the same name, except those that describe the stored bytes.
/// `Age` is left to whoever computes it, and `Set-Cookie` is for the one requester.
#[must_use]
pub fn freshen(stored: &HeaderMap, update: &HeaderMap) -> HeaderMap {
    let mut brought = storable_head(update, false);
    // "the cache MUST NOT update [..] Content-Encoding, Content-Type, and Content-Range", Content-Length. A
    // `Content-Digest` in a 304 is the digest of no content; a digest of the representation was computed from the bytes
    // that are stored.
    for name in CONTENT {
        brought.remove(*name);
    }
    // An equal strong tag changes nothing, and any other is not the tag of the stored bytes.
    if EntityTag::of(stored).zip(EntityTag::of(update)).is_none_or(|(ours, theirs)| !ours.strong_eq(&theirs)) {
        brought.remove(header::ETAG);
    }
    // Many origins leave `Vary` out of a 304, or name less in it: only the 200 says what its bytes depend on.
    if brought.contains_key(header::VARY) {
        for line in stored.get_all(header::VARY) {
            brought.append(header::VARY, line.clone());
        }
    }
    let mut fresh = HeaderMap::with_capacity(stored.len() + brought.len());
    for (name, value) in stored.iter().filter(|(name, _)| !brought.contains_key(*name)).chain(&brought) {
        fresh.append(name.clone(), value.clone());
    }
    fresh
}

/// The fields of a response that are stored, in memory of their own size.
///
/// Values are copied: those that arrive are slices of a read buffer, and one of them would keep all 16 KiB of it.
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
    let mut storable = HeaderMap::with_capacity(kept.len());
    for (name, value) in &kept {
        storable.append(name.clone(), copied(value));
    }
    storable
}

/// Fields of one connection, whether `Connection` names them or not (RFC 9110 §7.6.1, §11.7).
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
];

/// Fields that describe the bytes of the content or the representation (RFC 9110 §8, RFC 9530).
const CONTENT: &[&str] = &[
    "content-encoding",
    "content-type",
    "content-range",
    "content-length",
    "content-md5",
    "content-digest",
    "repr-digest",
    "digest",
];

/// Fields that no trailer may carry, beside [`CONTENT`] and what [`remove_hop_by_hop`] removes (RFC 9110 §6.5.1).
const NEVER_IN_TRAILERS: &[&str] = &[
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

fn copied(value: &HeaderValue) -> HeaderValue {
    // A field value is always made of allowed bytes, so this cannot fail.
    let mut copy = HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone());
    copy.set_sensitive(value.is_sensitive());
    copy
}
