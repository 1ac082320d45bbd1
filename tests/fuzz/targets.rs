//! The targets for what comes over the wire: what any bytes may do to a parser, and what must hold whatever they are.
//!
//! Each takes its bytes as the lines of a head (`name: value`; the target's first field where no name is given), so that
//! a corpus can be read and written by hand. A target fails by a panic. `fuzz/` runs the same functions under libFuzzer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use truehit::config::{self, Overrides};
use truehit::rules::decide::{Decision, decide};
use truehit::rules::digest::{self, Algorithm, Digest, Sha256};
use truehit::rules::directives::{RequestDirectives, ResponseDirectives, Scope};
use truehit::rules::forwarding::{Hop, Marks, Via};
use truehit::rules::groups::Groups;
use truehit::rules::interim::{self, Allowance};
use truehit::rules::key::CacheKey;
use truehit::rules::key_rule::KeyRule;
use truehit::rules::lookup::{Lookup, Resource};
use truehit::rules::moment::{Moment, Now};
use truehit::rules::multipart::{self, Boundary};
use truehit::rules::no_vary_search::Variance;
use truehit::rules::policy::{Policy, Verify};
use truehit::rules::preconditions::{Preconditions, not_modified_head};
use truehit::rules::preference::{Preferences, canonical};
use truehit::rules::query::Carried;
use truehit::rules::range::{Asked, ContentRange, Resolved, asked};
use truehit::rules::request_fields::RequestFields;
use truehit::rules::stored::{Recorded, Standing, StoredHead, StoredResponse};
use truehit::rules::validator::{EntityTag, TagList};
use truehit::rules::vary::Vary;
use truehit::rules::{ask, fields, freshness, graphql, integrity, list, location, recognise, targeted};

/// A target: its name, which is that of its corpus, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("directives", directives),
    ("freshness", freshness),
    ("tags", tags),
    ("vary", vary),
    ("digests", digests),
    ("forwarding", forwarding),
    ("key", key),
    ("ranges", ranges),
    ("search", search),
    ("preferences", preferences),
    ("groups", groups),
    ("location", location),
    ("targeted", targeted),
    ("graphql", graphql),
    ("multipart", multipart),
    ("interim", interim),
    ("trailers", trailers),
    ("cookies", cookies),
    ("authority", authority),
    ("decide", decision),
];

/// The longest lifetime there is (RFC 9111 §1.2.2).
const LONGEST: Duration = Duration::from_secs(1 << 31);

/// `Cache-Control` and `Pragma`.
pub fn directives(bytes: &[u8]) {
    let mut head = read_head(bytes, header::CACHE_CONTROL);
    let response = ResponseDirectives::parse(&head);
    let _ = RequestDirectives::parse(&head);
    for lifetime in [response.max_age, response.s_maxage, response.stale_while_revalidate, response.stale_if_error] {
        assert!(lifetime.is_none_or(|lifetime| lifetime <= LONGEST));
    }
    // Whatever else is said, a line of its own forbids.
    head.append(header::CACHE_CONTROL, HeaderValue::from_static("no-store, private"));
    let response = ResponseDirectives::parse(&head);
    assert!(response.no_store && response.private == Scope::Everything);
    assert!(RequestDirectives::parse(&head).no_store);
}

/// `Age`, `Date`, `Expires` and the lifetimes.
pub fn freshness(bytes: &[u8]) {
    let head = read_head(bytes, header::EXPIRES);
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    for (asked, received) in [(0, 0), (1_767_225_600, 1_767_225_610), (1_767_225_610, 1_767_225_600)] {
        let age = freshness::initial_age(&head, at(asked), at(received));
        assert!(head.contains_key(header::AGE) || head.contains_key(header::DATE) || age <= Duration::from_secs(10));
    }
    for status in [StatusCode::OK, StatusCode::FOUND] {
        let lifetime = freshness::lifetime(status, &ResponseDirectives::parse(&head), &head, Some(LONGEST));
        assert!(lifetime.duration() <= LONGEST);
    }
}

/// Entity tags, lists of them, and the conditions that are made of them.
pub fn tags(bytes: &[u8]) {
    let head = read_head(bytes, header::IF_NONE_MATCH);
    for line in head.get_all(header::IF_NONE_MATCH) {
        let Some(tag) = EntityTag::parse(line) else { continue };
        assert_eq!(EntityTag::parse(&tag.to_header_value()).as_ref(), Some(&tag), "a tag is what it is written as");
        assert!(tag.weak_eq(&tag) && tag.strong_eq(&tag) != tag.weak);
        let _ = recognise::is_digest_of(&tag, b"hello world");
    }
    if let Some(list) = TagList::of(&head, &header::IF_NONE_MATCH) {
        let written = HeaderMap::from_iter([(header::IF_NONE_MATCH, list.to_header_value())]);
        assert_eq!(TagList::of(&written, &header::IF_NONE_MATCH), Some(list), "so is a list");
    }
    let conditions = Preconditions::of(&head);
    if head.contains_key(header::IF_NONE_MATCH) {
        assert_eq!(
            conditions.not_modified(EntityTag::of(&head).as_ref(), None),
            conditions.not_modified(EntityTag::of(&head).as_ref(), Some(SystemTime::UNIX_EPOCH)),
            "RFC 9110 §13.2.2: the tag alone decides"
        );
    }
    assert!(!not_modified_head(&head).contains_key(header::CONTENT_LENGTH));
}

/// `Vary`, and the selecting fields of two requests.
pub fn vary(bytes: &[u8]) {
    let head = read_head(bytes, header::VARY);
    let vary = Vary::of(&head);
    let request = RequestFields::new(head.clone(), false);
    let selecting = vary.selecting(&request);
    assert_eq!(
        vary.selects(&request, &selecting),
        vary.names().is_some(),
        "a request matches itself, and nothing an asterisk"
    );
    let starred =
        head.get_all(header::VARY).iter().any(|line| list::members(line.as_bytes()).any(|member| member == b"*"));
    assert!(!starred || vary.names().is_none(), "RFC 9111 §4.1");
}

/// `Repr-Digest`, `Want-Repr-Digest` and the answers of a digest endpoint.
pub fn digests(bytes: &[u8]) {
    const REPR: HeaderName = HeaderName::from_static("repr-digest");
    let head = read_head(bytes, REPR);
    let _ = integrity::Wants::of(&head);
    for claimed in integrity::claims(&head, Some(&head)).chain(integrity::repr_digest(&head)) {
        let written = HeaderMap::from_iter([(REPR, claimed.to_member())]);
        assert_eq!(integrity::repr_digest(&written), Some(claimed), "a digest is what it is written as");
    }
    let mut stated = head;
    integrity::state(&mut stated, REPR, &Digest::of(bytes, Algorithm::Sha256));
    assert!(integrity::states(&stated, &REPR, Algorithm::Sha256), "what is stated beside anything can be read");
    let read = [digest::from_endpoint(bytes), Sha256::from_base64(bytes), Sha256::from_hex(bytes)];
    for sha256 in read.into_iter().flatten() {
        assert!(EntityTag::parse(&sha256.entity_tag()).is_some_and(|tag| !tag.weak));
    }
}

/// `Range` and `If-Range` of a request, and `Content-Range` of an answer.
pub fn ranges(bytes: &[u8]) {
    let head = read_head(bytes, header::RANGE);
    if let Asked::Bytes(range) = asked(&Method::GET, &head) {
        for complete in [0, 1, 10, 1000, u64::MAX] {
            let spans = match range.resolve(complete) {
                Resolved::Whole | Resolved::Unsatisfiable => Vec::new(),
                Resolved::One(span) => vec![span],
                Resolved::Several(spans) => {
                    assert!(spans.len() > 1);
                    spans
                }
            };
            for (index, span) in spans.iter().enumerate() {
                assert!(span.start() < span.end() && span.end() <= complete, "a part is in the whole");
                let apart = |other: &&_| span.joined(**other, 0).is_none();
                assert!(spans.iter().skip(index + 1).all(|other| apart(&other)), "parts do not overlap");
            }
        }
    }
    assert_eq!(asked(&Method::HEAD, &head), Asked::Whole, "RFC 9110 §14.2: GET alone has ranges");
    if let Some(part) = ContentRange::of(&head) {
        let written = HeaderMap::from_iter([(header::CONTENT_RANGE, part.to_header_value())]);
        assert_eq!(ContentRange::of(&written), Some(part), "a part is what it is written as");
    }
}

/// `No-Vary-Search`, and after a record separator each (1e), two targets.
pub fn search(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\x1e');
    let mut part = || parts.next().unwrap_or_default();
    let head = read_head(part(), HeaderName::from_static("no-vary-search"));
    let (one, two) = (String::from_utf8_lossy(part()).into_owned(), String::from_utf8_lossy(part()).into_owned());
    if let Some(variance) = Variance::of(&head) {
        assert!(variance.equates(&one, &one), "a target is its own like");
        assert_eq!(variance.equates(&one, &two), variance.equates(&two, &one), "and both or none are each other's");
    }
}

/// Fields of preferences.
pub fn preferences(bytes: &[u8]) {
    for of in [Preferences::Media, Preferences::Tokens] {
        let Some(value) = canonical(of, bytes.split(|byte| *byte == b'\n')) else { continue };
        assert_eq!(canonical(of, std::iter::once(&value[..])), Some(value.clone()), "what is canonical stays so");
    }
}

/// `Cache-Groups` and `Cache-Group-Invalidation`.
pub fn groups(bytes: &[u8]) {
    const OF: HeaderName = HeaderName::from_static("cache-groups");
    const INVALIDATED: HeaderName = HeaderName::from_static("cache-group-invalidation");
    let head = read_head(bytes, OF);
    let mut both = head.clone();
    both.remove(INVALIDATED);
    both.extend(head.get_all(OF).iter().map(|line| (INVALIDATED, line.clone())).collect::<HeaderMap>());
    let (of, invalidated) = (Groups::of(&both), Groups::invalidated_by(&both));
    assert_eq!(of.is_empty(), invalidated.is_empty(), "both fields are read alike");
    let meets = of.hashes(1).any(|group| invalidated.hashes(1).any(|other| other == group));
    assert!(of.is_empty() || meets, "what is named is invalidated");
}

/// `Location`, against a target.
pub fn location(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    if let Some(target) = location::target_on_same_origin("http", b"api.test", "/a/b?c=d", &value) {
        assert!(target.path().starts_with('/'), "a target is absolute");
        let absolute = HeaderValue::try_from(format!("http://API.test:80{target}"));
        let again = absolute.ok().and_then(|value| location::target_on_same_origin("http", b"api.test", "/", &value));
        assert_eq!(again, Some(target), "and names itself");
    }
}

/// Targeted fields.
pub fn targeted(bytes: &[u8]) {
    const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");
    let Some(said) = targeted::directives(&read_head(bytes, CDN), &[CDN]) else { return };
    for lifetime in [said.max_age, said.s_maxage, said.stale_while_revalidate, said.stale_if_error] {
        assert!(lifetime.is_none_or(|lifetime| lifetime <= LONGEST));
    }
}

/// The content of a GraphQL request.
pub fn graphql(bytes: &[u8]) {
    assert!(!graphql::is_query(bytes) || bytes.contains(&b'{'), "a request is an object");
    let _ = graphql::is_expected(&read_head(bytes, header::CONTENT_TYPE), std::str::from_utf8(bytes).ok());
}

/// Parts of a content (the second half of the bytes) for a `Range` (the first), against a reader of its own.
pub fn multipart(bytes: &[u8]) {
    let (range, whole) = bytes.split_at(bytes.len() / 2);
    let head = read_head(range, header::RANGE);
    let Asked::Bytes(asked) = asked(&Method::GET, &head) else { return };
    let whole = Bytes::copy_from_slice(whole);
    let Resolved::Several(spans) = asked.resolve(whole.len() as u64) else { return };
    let boundary = Boundary::new(u128::from(whole.len() as u64) << 64 | 0x5eed);
    let kind = boundary.content_type();
    let mark = kind.to_str().ok().and_then(|kind| kind.split_once("boundary=")).map(|(_, mark)| mark.to_owned());
    let mark = mark.expect("a boundary is named");
    let rendered = multipart::content(&whole, &spans, &head, &boundary).concat();
    let mut rest = rendered.as_slice();
    for span in &spans {
        rest = rest.strip_prefix(b"\r\n").unwrap_or(rest);
        rest = rest.strip_prefix(format!("--{mark}\r\n").as_bytes()).expect("a part begins");
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").expect("its head ends");
        let stated = String::from_utf8_lossy(&rest[..end]).into_owned();
        let expected = format!("Content-Range: bytes {}-{}/{}", span.start(), span.end() - 1, whole.len());
        assert!(stated.lines().any(|line| line == expected), "{stated}");
        let indices = span.indices().expect("a span of these bytes");
        rest = rest[end + 4..].strip_prefix(&whole[indices]).expect("its bytes are those of the whole");
    }
    assert_eq!(rest, format!("\r\n--{mark}--\r\n").as_bytes());
}

/// The head of an interim response as it goes to a client, against a reader of its own.
pub fn interim(bytes: &[u8]) {
    let head = read_head(bytes, header::LINK);
    let via = Via::new("truehit-fuzz");
    let sent = interim::head(StatusCode::EARLY_HINTS, &head, http::Version::HTTP_11, &via);
    let lines: Vec<_> = sent.split(|byte| *byte == b'\n').collect();
    let [first, fields @ .., last, rest] = lines.as_slice() else { panic!("no head") };
    assert!(*first == b"HTTP/1.1 103 Early Hints\r" && *last == b"\r" && rest.is_empty(), "one head and nothing more");
    for field in fields {
        let (name, value) = field.split_at(field.iter().position(|byte| *byte == b':').expect("a field has a name"));
        let name = HeaderName::from_bytes(name).expect("it is one");
        assert!(value.ends_with(b"\r") && !value[..value.len() - 1].contains(&b'\r'), "{name} is on one line");
        assert!(name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING, "RFC 9110 §8.6");
    }
    let mut allowance = Allowance::default();
    let spent = bytes.iter().filter(|byte| allowance.spend(usize::from(**byte))).count();
    assert!(spent <= interim::HEADS_MAX);
}

/// Trailers that go on.
pub fn trailers(bytes: &[u8]) {
    let received = read_head(bytes, HeaderName::from_static("x-checksum"));
    let sent = fields::forwardable_trailers(received.clone());
    assert_eq!(fields::forwardable_trailers(sent.clone()), sent, "what may go on may go on again");
    for name in sent.keys() {
        assert!(sent.get_all(name).iter().eq(received.get_all(name)), "nothing is changed or made up");
    }
    for name in ["content-length", "transfer-encoding", "host", "authorization", "cookie", "set-cookie", "te"] {
        assert!(!sent.contains_key(name), "RFC 9110 §6.5.1: {name}");
    }
}

/// Cookies in a key: lines of `Cookie`, against a reader of its own.
pub fn cookies(bytes: &[u8]) {
    let rule = KeyRule { cookies: Box::new([Box::from("sid")]), ..KeyRule::default() };
    let head = read_head(bytes, header::COOKIE);
    let mut pairs = Vec::new();
    for line in head.get_all(header::COOKIE) {
        for pair in line.as_bytes().split(|byte| *byte == b';') {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            if name.trim_ascii() == b"sid" {
                pairs.push(pair.trim_ascii());
            }
        }
    }
    let alone = pairs.iter().filter_map(|pair| HeaderValue::from_bytes(pair).ok());
    let alone: HeaderMap = alone.map(|pair| (header::COOKIE, pair)).collect();
    assert_eq!(rule.parts("/", &head), rule.parts("/", &alone), "the pairs of that name count, in order");
    let mut more = head.clone();
    more.append(header::COOKIE, HeaderValue::from_static("other=1; sidecar=2"));
    assert_eq!(rule.parts("/", &more), rule.parts("/", &head), "and no others");
    more.append(header::COOKIE, HeaderValue::from_static("sid=fuzz"));
    assert_ne!(rule.parts("/", &more), rule.parts("/", &head), "another one is another key");
}

/// Two authorities, a line each: whether they make one key, against `http`'s own parser.
pub fn authority(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (one, two) = (line(), line());
    let key = |authority: &[u8]| CacheKey::new("http", authority, "/", &[]);
    assert_eq!(key(one) == key(two), key(two) == key(one));
    assert_eq!(key(&one.to_ascii_uppercase()), key(one), "RFC 9110 §4.2.3");
    let read = |text: &[u8]| {
        let authority = http::uri::Authority::try_from(text).ok()?;
        // That parser takes more than RFC 9110 §4.2.1 has: user information, and anything after an IPv6 address.
        let port = match authority.as_str().strip_prefix(authority.host())? {
            "" | ":" => "80",
            port => port.strip_prefix(':').filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))?,
        };
        Some((authority.host().to_ascii_lowercase(), port.to_owned()))
    };
    if let (Some(own), Some(other)) = (read(one), read(two)) {
        assert_eq!(key(one) == key(two), own == other, "a host and a port are a key");
    }
}

/// What a request says of where it comes from, and what is for one connection.
pub fn forwarding(bytes: &[u8]) {
    let head = read_head(bytes, HeaderName::from_static("forwarded"));
    for (peer, tls, trusted) in [("192.0.2.1", false, false), ("2001:db8::1", true, true)] {
        let peer: IpAddr = peer.parse().expect("an address");
        let hop = Hop {
            peer,
            tls,
            trusted,
            authority: HeaderValue::from_static("api.test"),
            received: http::Version::HTTP_11,
            marks: Arc::new(Marks { via: Via::new("truehit-fuzz"), host: None }),
        };
        let head = hop.leaving(&head, |_| false);
        let last = head.get_all("x-forwarded-for").iter().next_back().expect("it is set");
        let member = list::members(last.as_bytes()).last().map(<[u8]>::to_vec);
        assert_eq!(member, Some(peer.to_string().into_bytes()), "the last hop is the one that is here");
        let mut again = head.clone();
        fields::remove_hop_by_hop(&mut again);
        assert_eq!(again, head, "nothing is left that is for one connection");
        for name in ["connection", "te", "proxy-connection", "keep-alive"] {
            assert!(!head.contains_key(name) || name == "te", "{name} is for one connection");
        }
    }
    let mut signed = head.clone();
    let via = Via::new("truehit-fuzz");
    via.append(&mut signed, http::Version::HTTP_11);
    assert!(via.loops(&signed), "what has our name came from us");
    let _ = fields::is_upgrade(&head);
}

/// Keys: the first line is the authority, the second the target, the others what a route adds.
pub fn key(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let authority = lines.next().unwrap_or_default();
    let target = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let extra: Vec<(u8, &[u8])> = lines.map(|line| (1, line)).collect();
    let key = CacheKey::new("http", authority, &target, &extra);
    assert_eq!(key.target().1, target, "a key tells its target");
    assert_eq!(key.scheme(), "http");
    let bare = CacheKey::new("HTTP", &authority.to_ascii_uppercase(), &target, &[]);
    assert_eq!(bare.target_bytes(), key.target_bytes(), "RFC 9110 §4.2.3: case says nothing in scheme and authority");
    assert_eq!(bare == key, extra.is_empty(), "what a route adds makes another key");
}

/// A decision: the lines up to a record separator (1e) are the request's, those up to the next the stored response's, and
/// the digits in the rest say its age in seconds.
pub fn decision(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\x1e');
    let mut part = || parts.next().unwrap_or_default();
    let request_fields = read_head(part(), header::CACHE_CONTROL);
    let response_fields = read_head(part(), header::CACHE_CONTROL);
    let later = part()
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .fold(0_u64, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')) % 4_294_967_296);
    let at = |seconds: u64| {
        let since = Duration::from_secs(seconds);
        Now {
            at: Moment::default().after(since),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600) + since,
        }
    };
    for verify in [Verify::EveryHit, Verify::WhenStale, Verify::Lease(Duration::from_secs(1))] {
        let policy = Policy { verify, ..policy() };
        let mut request = Request::new(());
        *request.headers_mut() = request_fields.clone();
        *request.uri_mut() = http::Uri::from_static("/a?b=1");
        let (mut head, ()) = request.into_parts();
        let Ok(ask) = ask::read(&mut head, Carried::Nothing, "http", b"api.test", &policy, at(later).at) else {
            continue;
        };
        let stored_head = StoredHead::read(StatusCode::OK, &response_fields, &policy, at(0).wall, at(0));
        let Ok(recorded) = Recorded::complete(&[Bytes::from_static(b"abc")], None, &HeaderMap::new(), None) else {
            return;
        };
        let standing = Standing { confirmed: at(0).at, epoch: 0 };
        let stored = Arc::new(StoredResponse::new(stored_head, recorded, &ask.fields, standing));
        let resource = Resource::default().with(stored, true, 16);
        let lookup = Lookup::select(Some(resource), &ask.fields);
        let served = |epoch| matches!(decide(&ask, &lookup, &policy, epoch, at(later).at), Decision::Serve(_));
        assert!(verify != Verify::EveryHit || !served(0), "under every-hit nothing is served unasked");
        assert!(!served(1), "RFC 9111 §4.4: nor what was invalidated");
        assert!(!ask.demands_validation() || !served(0), "RFC 9111 §5.2.1.4");
        let Some(found) = lookup.found() else {
            assert!(!served(0), "RFC 9111 §4.1: nor another variant");
            continue;
        };
        if verify == Verify::WhenStale && served(0) {
            let (head, said) = (found.head(), &found.head().directives);
            let fresh = head.lifetime().duration() > head.age(at(later).at);
            let excused = ask.directives.max_stale.is_some() || said.stale_while_revalidate.is_some();
            assert!(fresh || (excused && !said.must_revalidate && !said.proxy_revalidate), "RFC 9111 §4.2.4");
            assert!(said.no_cache != Scope::Everything, "RFC 9111 §5.2.2.4");
        }
    }
}

fn policy() -> Policy {
    use std::sync::OnceLock;
    static POLICY: OnceLock<Policy> = OnceLock::new();
    let load = || {
        let overrides = Overrides { origin: Some("http://origin.test".to_owned()), ..Overrides::default() };
        let config = config::load(&overrides, std::iter::empty()).expect("the defaults load").config;
        config.routes.into_iter().next_back().expect("there is a last route").policy
    };
    POLICY.get_or_init(load).clone()
}

/// The lines of `bytes` as a head; what is no field is left out.
fn read_head(bytes: &[u8], default: HeaderName) -> HeaderMap {
    let mut head = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        let colon = line.iter().position(|byte| *byte == b':');
        let named = colon.and_then(|colon| Some((HeaderName::from_bytes(&line[..colon]).ok()?, &line[colon + 1..])));
        let (name, value) = named.unwrap_or_else(|| (default.clone(), line));
        if let Ok(value) = HeaderValue::from_bytes(value.trim_ascii()) {
            head.append(name, value);
        }
    }
    head
}
