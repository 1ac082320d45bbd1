//! Whether a request is one that every recipient reads alike: what is looked at before anything is made of it.
//!
//! A proxy and its origin that read one message in two ways can be played against each other: by what frames it, by whom
//! it is for, by which fields it has. So what could be read in two ways is refused here, before there is a key, in HTTP/1.1
//! and HTTP/2 alike. What the HTTP library refuses by itself never gets here; what it repairs (two equal lengths, a length
//! beside chunks, line ends without CR, a fragment) leaves in the one form that it gave it.

use http::header::{self, HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Uri, Version};

use super::list::members;
use super::refusal::Refusal;

/// The most fields that a request may have; those of HTTP/1.1 are held to it before they get here.
pub const FIELDS_MAX: usize = 100;

/// How long the parts of a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// The target, in bytes (`limits.target_bytes`).
    pub target: usize,
    /// The content, in bytes (`limits.content_bytes`), as far as the request declares it.
    pub content: u64,
}

/// What speaks against a request, if anything does.
#[must_use]
pub fn refusal<C>(request: &Request<C>, lengths: Lengths) -> Option<Refusal> {
    let fields = request.headers();
    // RFC 9110 §9.3.8: TRACE reflects a request, with the fields that were added to it on the way. §9.3.6: CONNECT asks for
    // a tunnel, and there is one origin.
    if matches!(request.method().as_str(), "CONNECT" | "TRACE" | "TRACK") {
        return Some(Refusal::Method);
    }
    if let Some(refusal) = of_target(request.method(), request.uri(), lengths.target) {
        return Some(refusal);
    }
    if fields.len() > FIELDS_MAX {
        return Some(Refusal::Fields);
    }
    if !is_host_agreed(request.version(), request.uri(), fields) {
        return Some(Refusal::Host);
    }
    // One look at each name is cheaper than a search for each that matters.
    let Names { framed, expects, aliased } = Names::of(fields);
    if aliased {
        return Some(Refusal::FieldName);
    }
    if framed && let Some(refusal) = of_framing(fields, lengths.content) {
        return Some(refusal);
    }
    // RFC 9110 §10.1.1: "A server that receives an Expect field value containing a member other than 100-continue MAY
    // respond with a 417 (Expectation Failed) status code to indicate that the unexpected expectation cannot be met."
    let met = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    (expects && !fields.get_all(header::EXPECT).iter().all(met)).then_some(Refusal::Expectation)
}

/// What the names of a request's fields tell.
struct Names {
    framed: bool,
    expects: bool,
    aliased: bool,
}

impl Names {
    fn of(fields: &HeaderMap) -> Self {
        let mut names = Self { framed: false, expects: false, aliased: false };
        for name in fields.keys() {
            // Most names begin otherwise, and are not looked at any further.
            match name.as_str().as_bytes() {
                [b'e', ..] => names.expects |= *name == header::EXPECT,
                [b'c' | b't', ..] => {
                    names.framed |= *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING;
                    names.aliased |= is_about_content(name);
                }
                [b'h' | b'k' | b'p', ..] => names.aliased |= is_about_content(name),
                _ => {}
            }
        }
        names
    }
}

/// Fields that frame or describe the content, as CGI and WSGI origins may find them too.
const ABOUT_CONTENT: [&str; 7] = [
    "content_length",
    "content_type",
    "content_encoding",
    "transfer_encoding",
    "keep_alive",
    "proxy_connection",
    "http2_settings",
];

fn is_about_content(name: &HeaderName) -> bool {
    ABOUT_CONTENT.contains(&name.as_str())
}

/// Whether a CGI or WSGI origin may take a field of this name for another: it cannot tell `_` from `-` (RFC 3875
/// §4.1.18).
#[must_use]
pub fn is_alias(name: &HeaderName) -> bool {
    name.as_str().contains('_')
}

/// RFC 9112 §3.2: origin-form for all, absolute-form too, `*` for OPTIONS; authority-form is CONNECT's.
fn of_target(method: &Method, uri: &Uri, longest: usize) -> Option<Refusal> {
    let known = uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let target = uri.path_and_query().map(|target| target.as_str());
    let formed = match target {
        Some("*") => *method == Method::OPTIONS,
        Some(target) => target.starts_with('/'),
        None => false,
    };
    if !known || !formed {
        return Some(Refusal::TargetForm);
    }
    target.is_some_and(|target| target.len() > longest).then_some(Refusal::TargetTooLong)
}

/// Whether a request says for whom it is, and says it once.
///
/// RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a
/// Host header field and to any request message that contains more than one Host header field line or a Host header field
/// with an invalid field value." RFC 9113 §8.3.1: "A server SHOULD treat a request as malformed if it contains a Host
/// header field that identifies an entity that differs from the entity in the ":authority" pseudo-header field"; in a
/// target of HTTP/1.1 in absolute form the authority there wins (RFC 9112 §3.2.2).
fn is_host_agreed(version: Version, uri: &Uri, fields: &HeaderMap) -> bool {
    let authority = uri.authority().map(|authority| authority.as_str());
    if authority.is_some_and(|authority| !is_host_and_port(authority.as_bytes())) {
        return false;
    }
    let mut hosts = fields.get_all(header::HOST).iter();
    match (hosts.next().map(HeaderValue::as_bytes), hosts.next()) {
        (Some(host), None) => {
            let agreed = |authority: &str| authority.as_bytes().eq_ignore_ascii_case(host);
            is_host_and_port(host) && (version != Version::HTTP_2 || authority.is_none_or(agreed))
        }
        // HTTP/1.0 has no Host, and HTTP/2 has `:authority`.
        (None, _) if version == Version::HTTP_2 => authority.is_some(),
        (None, _) => version < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

/// Whether this is `uri-host [ ":" port ]` (RFC 9110 §7.2) of a host that can be looked up: a name of letters, digits and
/// `-._~`, or an address. Credentials, escapes and lists are none.
fn is_host_and_port(text: &[u8]) -> bool {
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let (host, rest) = text.split_at(text.iter().position(|byte| !named(byte)).unwrap_or(text.len()));
    match (host, rest) {
        ([], [b'[', rest @ ..]) => is_address_and_port(rest),
        (host, port) => !host.is_empty() && is_port(port),
    }
}

/// The rest of `"[" IPv6address "]" [ ":" port ]` (RFC 3986 §3.2.2), after its first bracket.
fn is_address_and_port(text: &[u8]) -> bool {
    let Some(end) = text.iter().position(|&byte| byte == b']') else { return false };
    let (address, port) = (&text[..end], &text[end + 1..]);
    std::str::from_utf8(address).is_ok_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok()) && is_port(port)
}

/// Nothing, or a colon and up to five digits.
fn is_port(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// RFC 9112 §6: what says where the content ends.
fn of_framing(fields: &HeaderMap, longest: u64) -> Option<Refusal> {
    let lengths = fields.get_all(header::CONTENT_LENGTH);
    for length in &lengths {
        // RFC 9110 §8.6: `1*DIGIT`. Zeros before it are allowed, and some recipients read octal.
        let digits = length.as_bytes();
        let canonical = digits.iter().all(u8::is_ascii_digit) && (digits == b"0" || !digits.starts_with(b"0"));
        let Some(declared) = length.to_str().ok().filter(|_| canonical).and_then(|text| text.parse::<u64>().ok())
        else {
            return Some(Refusal::Framing);
        };
        if declared > longest {
            return Some(Refusal::ContentTooLong);
        }
    }
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next()?.as_bytes();
    if coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none() {
        return lengths.iter().next().is_some().then_some(Refusal::Framing);
    }
    // RFC 9112 §6.1: "A server that receives a request message with a transfer coding it does not understand SHOULD
    // respond with 501 (Not Implemented)." What is not a list of codings that ends with chunked once is not even that.
    let all: Vec<&[u8]> =
        fields.get_all(header::TRANSFER_ENCODING).iter().flat_map(|line| members(line.as_bytes())).collect();
    let chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let registered = |coding: &&[u8]| {
        const REGISTERED: [&[u8]; 5] = [b"gzip", b"x-gzip", b"compress", b"x-compress", b"deflate"];
        REGISTERED.iter().any(|known| known.eq_ignore_ascii_case(coding))
    };
    match all.split_last() {
        Some((last, others)) if chunked(last) && !others.is_empty() && others.iter().all(registered) => {
            Some(Refusal::TransferCoding)
        }
        _ => Some(Refusal::Framing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: Lengths = Lengths { target: 64, content: 1000 };

    fn look(version: Version, method: &str, target: &str, fields: &[(&str, &str)]) -> Option<Refusal> {
        let mut request = Request::builder().version(version).method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        refusal(&request.body(()).unwrap(), LENGTHS)
    }

    /// A request of HTTP/1.1 to a host.
    fn h1(method: &str, target: &str, fields: &[(&str, &str)]) -> Option<Refusal> {
        look(Version::HTTP_11, method, target, &[&[("host", "api.test")], fields].concat())
    }

    #[test]
    fn which_methods_are_served() {
        let rows = [("GET", None), ("get", None), ("BREW", None), ("PURGE", None), ("trace", None)];
        for (method, expected) in
            rows.into_iter().chain(["TRACE", "TRACK"].map(|method| (method, Some(Refusal::Method))))
        {
            assert_eq!(h1(method, "/", &[]), expected, "{method}");
        }
        assert_eq!(look(Version::HTTP_11, "CONNECT", "a:80", &[("host", "a:80")]), Some(Refusal::Method));
    }

    #[test]
    fn which_forms_a_target_has() {
        let form = Some(Refusal::TargetForm);
        for (sentence, method, target, expected) in [
            ("origin-form (RFC 9112 §3.2.1)", "GET", "/a?b", None),
            ("two slashes are a path", "GET", "//evil/x", None),
            ("absolute-form (§3.2.2)", "GET", "http://api.test/a", None),
            ("whatever the scheme's case", "GET", "HTTP://api.test/a", None),
            ("authority-form is CONNECT's (§3.2.3)", "GET", "a:80", form),
            ("so is a bare name", "GET", "a", form),
            ("asterisk-form (§3.2.4)", "OPTIONS", "*", None),
            ("is for OPTIONS alone", "GET", "*", form),
            ("another scheme", "GET", "ftp://api.test/a", form),
        ] {
            assert_eq!(h1(method, target, &[]), expected, "{sentence}");
        }
        let long = |length: usize| h1("GET", &format!("/{}", "a".repeat(length - 1)), &[]);
        assert_eq!([long(64), long(65)], [None, Some(Refusal::TargetTooLong)], "RFC 9110 §15.5.15");
    }

    #[test]
    fn a_request_says_for_whom_it_is_and_says_it_once() {
        let host = Some(Refusal::Host);
        for value in ["api.test", "api.test:80", "API_1.test:", "127.0.0.1:8080", "[::1]", "[::1]:80", "xn--a~"] {
            assert_eq!(look(Version::HTTP_11, "GET", "/", &[("host", value)]), None, "{value}");
        }
        for value in
            ["", ":80", "a@b", "a@b/c", "a/b", "a, b", "a b", "a:80:80", "a:123456", "a:x", "[::1", "[a]", "::1"]
        {
            assert_eq!(look(Version::HTTP_11, "GET", "/", &[("host", value)]), host, "{value:?}");
            assert_eq!(look(Version::HTTP_10, "GET", "/", &[("host", value)]), host, "{value:?}");
        }
        for (sentence, version, target, hosts, expected) in [
            ("none (RFC 9112 §3.2)", Version::HTTP_11, "/", &[][..], host),
            ("two, though equal", Version::HTTP_11, "/", &["a", "a"], host),
            ("two in HTTP/1.0", Version::HTTP_10, "/", &["a", "a"], host),
            ("none in HTTP/1.0", Version::HTTP_10, "/", &[], None),
            ("none beside an absolute-form", Version::HTTP_11, "http://a/", &[], host),
            ("another beside an absolute-form: that wins (§3.2.2)", Version::HTTP_11, "http://a/", &["b"], None),
            ("credentials in the target (RFC 9110 §4.2.4)", Version::HTTP_11, "http://u@a/", &["a"], host),
            (":authority alone (RFC 9113 §8.3.1)", Version::HTTP_2, "http://a/", &[], None),
            ("and the same Host", Version::HTTP_2, "http://a/", &["A"], None),
            ("and another", Version::HTTP_2, "http://a/", &["b"], host),
            ("neither", Version::HTTP_2, "/", &[], host),
            ("Host alone, as a gateway from HTTP/1.1 sends it", Version::HTTP_2, "/", &["a"], None),
            (":authority with credentials", Version::HTTP_2, "http://u@a/", &[], host),
        ] {
            let fields: Vec<_> = hosts.iter().map(|value| ("host", *value)).collect();
            assert_eq!(look(version, "GET", target, &fields), expected, "{sentence}");
        }
    }

    #[test]
    fn where_the_content_ends_is_said_in_one_way() {
        let (framing, unknown) = (Some(Refusal::Framing), Some(Refusal::TransferCoding));
        for (sentence, fields, expected) in [
            ("a length", &[("content-length", "3")][..], None),
            ("none", &[("content-length", "0")], None),
            ("zeros before it: octal to some", &[("content-length", "003")], framing),
            ("no digits", &[("content-length", "+3")], framing),
            ("a list", &[("content-length", "3, 3")], framing),
            ("nothing", &[("content-length", "")], Some(Refusal::Framing)),
            ("more than a number holds", &[("content-length", "18446744073709551616")], framing),
            ("too long", &[("content-length", "1001")], Some(Refusal::ContentTooLong)),
            ("chunks", &[("transfer-encoding", "chunked")], None),
            ("in any case", &[("transfer-encoding", "Chunked")], None),
            ("both", &[("transfer-encoding", "chunked"), ("content-length", "3")], framing),
            ("a coding that is not understood (RFC 9112 §6.1)", &[("transfer-encoding", "gzip, chunked")], unknown),
            ("twice chunked", &[("transfer-encoding", "chunked, chunked")], framing),
            ("in two lines", &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], framing),
            ("an empty member", &[("transfer-encoding", ",chunked")], framing),
            ("not chunked in the end", &[("transfer-encoding", "chunked, gzip")], framing),
            ("no registered name", &[("transfer-encoding", "identity"), ("transfer-encoding", "chunked")], framing),
            ("a parameter", &[("transfer-encoding", "chunked;x=1")], framing),
        ] {
            assert_eq!(h1("POST", "/", fields), expected, "{sentence}");
        }
    }

    #[test]
    fn names_that_stand_for_others_do_not_frame() {
        for name in ABOUT_CONTENT {
            assert_eq!(h1("POST", "/", &[(name, "3")]), Some(Refusal::FieldName), "{name}");
        }
        assert_eq!(h1("GET", "/", &[("api_key", "3")]), None, "a name of no meaning stays");
    }

    #[test]
    fn one_expectation_is_met() {
        for (value, expected) in [
            ("100-continue", None),
            ("100-Continue", None),
            ("y 100-continue", Some(Refusal::Expectation)),
            ("100-continue, x", Some(Refusal::Expectation)),
            ("", Some(Refusal::Expectation)),
        ] {
            assert_eq!(h1("POST", "/", &[("expect", value)]), expected, "{value:?}");
        }
    }

    #[test]
    fn fields_are_counted_in_every_version() {
        let many = |count: usize| vec![("x-a", "1"); count];
        assert_eq!(h1("GET", "/", &many(FIELDS_MAX - 1)), None);
        assert_eq!(h1("GET", "/", &many(FIELDS_MAX)), Some(Refusal::Fields));
        assert_eq!(look(Version::HTTP_2, "GET", "http://a/", &many(FIELDS_MAX + 1)), Some(Refusal::Fields));
    }
}
