//! The target for what is made sure of a request before anything is made of it: a naive reader of what was let through
//! must find one host, one length and one target in it.

use http::{Request, Version, header};
use truehit::rules::refusal::Refusal;
use truehit::rules::wellformed::{FIELDS_MAX, Lengths, refusal};

/// A target: its name, which is that of its corpus, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[("request", request)];

const LENGTHS: Lengths = Lengths { target: 256, content: 1 << 20 };

/// A head as lines: the method, a target and the version's last digit in the first, the fields in the others.
pub fn request(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let mut parts = first.split(' ');
    let (method, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let version = match parts.next() {
        Some("0") => Version::HTTP_10,
        Some("2") => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    let mut request = Request::builder().method(method).uri(target).version(version);
    for line in lines.take(FIELDS_MAX + 10) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        request = request.header(name, value.trim_ascii());
    }
    // What the HTTP library has no word for does not get here.
    let Ok(request) = request.body(()) else { return };
    match refusal(&request, LENGTHS) {
        None => is_read_in_one_way(&request),
        Some(refusal) => {
            let told = refusal.told();
            assert!(told.status.is_client_error() || refusal == Refusal::TransferCoding, "{refusal:?}");
            assert!(refusal.ends_connection(), "{refusal:?}: what follows is in doubt");
        }
    }
}

fn is_read_in_one_way(request: &Request<()>) {
    let fields = request.headers();
    let text = |value: &header::HeaderValue| value.to_str().unwrap_or("not text").to_owned();
    let all = |name: header::HeaderName| fields.get_all(name).iter().map(text).collect::<Vec<_>>();
    assert!(fields.len() <= FIELDS_MAX);
    let hosts = all(header::HOST);
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let named = hosts.len() + usize::from(authority.is_some());
    assert!(hosts.len() <= 1 && (named > 0 || request.version() == Version::HTTP_10), "{hosts:?}, {authority:?}");
    if let ([host], Some(authority), Version::HTTP_2) = (&*hosts, &authority, request.version()) {
        assert!(host.eq_ignore_ascii_case(authority), "{host}, {authority}");
    }
    for host in hosts.iter().chain(&authority) {
        let read = http::uri::Authority::try_from(host.as_str()).expect("an authority to another parser too");
        assert!(!host.contains(['@', ',', '/', '?', '#', '%', ' ']) && !read.host().is_empty(), "{host}");
    }
    let target = request.uri().path_and_query().expect("a target").as_str();
    assert!(target.starts_with('/') || target == "*" && request.method() == "OPTIONS", "{target}");
    let (lengths, codings) = (all(header::CONTENT_LENGTH), all(header::TRANSFER_ENCODING));
    assert!(lengths.is_empty() || codings.is_empty(), "{lengths:?}, {codings:?}");
    assert!(codings.is_empty() || codings.len() == 1 && codings[0].eq_ignore_ascii_case("chunked"), "{codings:?}");
    for length in &lengths {
        assert_eq!(length.parse::<u64>().expect("a number").to_string(), *length, "in one form");
    }
    for expectation in all(header::EXPECT) {
        assert!(expectation.eq_ignore_ascii_case("100-continue"), "{expectation}");
    }
    for name in fields.keys() {
        let hyphened = name.as_str().replace('_', "-");
        let frames = matches!(&*hyphened, "content-length" | "transfer-encoding" | "content-type");
        assert!(!frames || hyphened == name.as_str(), "{name}");
    }
}
