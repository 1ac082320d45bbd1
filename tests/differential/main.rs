//! Another implementation's opinion: the crate `http-cache-semantics` is asked about the same responses and requests, a
//! few hundred thousand of them, and each difference must have a name here, with the clause that decides it.
//!
//! The oracle is a library for RFC 7234. Where it and truehit agree, two people read the RFC alike; where they do not,
//! [`difference::Difference`] says who is right and why. Most differences are a rewriting: told of that case instead, the oracle
//! must say what truehit said of the original. A name that no case needs any longer fails too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod difference;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use difference::{ALL, explain};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};
use truehit::config::{self, Overrides};
use truehit::rules::admit::{Framing, admit};
use truehit::rules::ask;
use truehit::rules::decide::{Decision, decide};
use truehit::rules::lookup::{Lookup, Resource};
use truehit::rules::moment::{Moment, Now};
use truehit::rules::policy::Policy;
use truehit::rules::query::Carried;
use truehit::rules::stored::{Recorded, Standing, StoredHead, StoredResponse};

/// When every response arrives: a second after the only date that `{now}` can mean here.
const ARRIVED: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
const ARRIVED_AFTER_EPOCH: Duration = Duration::from_secs(1_767_225_600);

const STATUSES: &[u16] = &[200, 203, 204, 301, 302, 404, 410, 500, 503, 599];
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "FOO"];
const RESPONSE: &[&str] = &[
    "max-age=60",
    "max-age=0",
    "max-age=600",
    "Max-Age=60",
    "max-age=\"60\"",
    "max-age",
    "max-age=x",
    "max-age=-1",
    "max-age=4294967296",
    "max-age=99999999999999999999999",
    "s-maxage=120",
    "s-maxage=0",
    "s-maxage",
    "no-store",
    "no-cache",
    "no-cache=\"x-a\"",
    "private",
    "private=\"x-a\"",
    "public",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "immutable",
    "stale-while-revalidate=60",
    "foo",
    "foo=\"bar, no-store, baz\"",
];
/// Further fields of a response, one set per line.
const FIELDS: &[&[(&str, &str)]] = &[
    &[],
    &[("etag", "\"1\"")],
    &[("expires", "Thu, 01 Jan 2026 00:01:00 GMT")],
    &[("expires", "Thursday, 01-Jan-26 00:01:00 GMT")],
    &[("expires", "Thu, 01 Jan 2026 01:01:00 +0100")],
    &[("expires", "0")],
    &[("date", "Wed, 31 Dec 2025 23:59:30 GMT")],
    &[("date", "Wed, 31 Dec 2025 23:59:30 GMT"), ("expires", "Thu, 01 Jan 2026 00:01:00 GMT")],
    &[("date", "Thu, 01 Jan 2026 00:00:30 GMT"), ("expires", "Thu, 01 Jan 2026 00:01:00 GMT")],
    &[("age", "30")],
    &[("age", "30, 90")],
    &[("age", "x")],
    &[("age", "-30")],
    &[("set-cookie", "a=b")],
    &[("vary", "*")],
    &[("vary", "accept, *")],
    &[("vary", "accept")],
    &[("pragma", "no-cache"), ("expires", "Thu, 01 Jan 2026 00:01:00 GMT")],
    &[("last-modified", "Wed, 31 Dec 2025 00:00:00 GMT")],
];
/// Fields of the request that brings the response.
const FIRST: &[&[(&str, &str)]] = &[&[], &[("authorization", "Basic YQ==")], &[("cache-control", "no-store")]];
/// Fields of the request that might be answered with it.
const SECOND: &[&[(&str, &str)]] = &[
    &[],
    &[("cache-control", "no-cache")],
    &[("cache-control", "max-age=30")],
    &[("cache-control", "max-age=x")],
    &[("cache-control", "max-age=0")],
    &[("cache-control", "min-fresh=30")],
    &[("cache-control", "min-fresh=x")],
    &[("cache-control", "max-stale")],
    &[("cache-control", "max-stale=60")],
    &[("cache-control", "max-stale=x")],
    &[("cache-control", "foo")],
    &[("pragma", "no-cache")],
    &[("pragma", "no-cache"), ("cache-control", "foo")],
];
/// Seconds between the two.
const LATER: &[u64] = &[0, 29, 30, 31, 59, 60, 100];

/// A response, what it answers, and a later request.
#[derive(Clone)]
struct Case {
    method: &'static str,
    first: Lines,
    status: u16,
    directives: Vec<&'static str>,
    fields: Lines,
    second: Lines,
    later: u64,
}

type Lines = Vec<(&'static str, &'static str)>;

/// What a cache says of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Opinion {
    storable: bool,
    /// For how many seconds from its making it may be reused unasked; zero if it may not.
    lifetime: u64,
    /// Whether the later request is answered unasked.
    reused: bool,
}

impl Case {
    fn plain(directives: Vec<&'static str>) -> Self {
        Self { method: "GET", first: vec![], status: 200, directives, fields: vec![], second: vec![], later: 0 }
    }

    fn response(&self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap();
        *response.headers_mut() = head(&self.fields);
        if !self.directives.is_empty() {
            let value = HeaderValue::try_from(self.directives.join(", ")).unwrap();
            response.headers_mut().insert("cache-control", value);
        }
        response.headers_mut().entry("date").or_insert(HeaderValue::from_static(ARRIVED));
        response
    }

    fn says(&self, directive: &str) -> bool {
        self.directives.contains(&directive)
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.fields.iter().any(|(known, said)| *known == name && said.contains(value))
    }

    /// Whether the later request has this in a field.
    fn asks(&self, part: &str) -> bool {
        self.second.iter().any(|(_, value)| value.contains(part))
    }

    /// With `new` for the directive `old`, or without it.
    fn instead(&mut self, old: &str, new: Option<&'static str>) {
        let rest = self.directives.iter().filter_map(|said| if *said == old { new } else { Some(*said) });
        self.directives = rest.collect();
    }
}

fn head(lines: &[(&str, &str)]) -> HeaderMap {
    let lines = lines.iter().map(|(name, value)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    lines.fold(HeaderMap::new(), |mut head, (name, value)| {
        head.append(name, value);
        head
    })
}

fn request(method: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    *request.uri_mut() = "/a".parse().unwrap();
    *request.headers_mut() = head(fields);
    request
}

fn at(seconds: u64) -> Now {
    let since = Duration::from_secs(seconds);
    Now { at: Moment::default().after(since), wall: SystemTime::UNIX_EPOCH + ARRIVED_AFTER_EPOCH + since }
}

/// The rules of a shared cache that goes by the RFC and stores cookies.
fn policy() -> Policy {
    let settings = [("VERIFY", "when-stale"), ("COOKIES", "rfc"), ("SET_COOKIE", "store")];
    let settings = settings.map(|(key, value)| (format!("TRUEHIT_DEFAULTS__{key}"), value.to_owned()));
    let overrides = Overrides { origin: Some("http://origin.test".to_owned()), ..Overrides::default() };
    let config = config::load(&overrides, settings.into_iter()).unwrap().config;
    config.routes.into_iter().next_back().unwrap().policy
}

/// What truehit's rules say.
fn ours(case: &Case, policy: &Policy) -> Opinion {
    const NOT: Opinion = Opinion { storable: false, lifetime: 0, reused: false };
    let read = |fields: &[(&str, &str)], later| {
        let (mut head, ()) = request(case.method, fields).into_parts();
        ask::read(&mut head, Carried::Nothing, "http", b"api.test", policy, at(later).at)
    };
    let Some(first) = read(&case.first, 0).ok().filter(|ask| !ask.head_only) else { return NOT };
    let (answer, ()) = case.response().into_parts();
    let now = at(0);
    let head = StoredHead::read(answer.status, &answer.headers, policy, now.wall, now);
    let framing = Framing { length: Some(3), close_delimited: false };
    if admit(&first, &answer, &head, framing, policy, now.at).is_err() {
        return NOT;
    }
    let lifetime = head.lifetime().duration().as_secs();
    let recorded = Recorded::complete(&[Bytes::from_static(b"abc")], None, &answer.headers, None).unwrap();
    let standing = Standing { confirmed: now.at, epoch: 0 };
    let stored = Arc::new(StoredResponse::new(head, recorded, &first.fields, standing));
    let resource = Resource::default().with(stored, true, 16);
    let serves = |fields: &[(&str, &str)], later| {
        read(fields, later).is_ok_and(|ask| {
            let lookup = Lookup::select(Some(resource.clone()), &ask.fields);
            matches!(decide(&ask, &lookup, policy, 0, at(later).at), Decision::Serve(_))
        })
    };
    let lifetime = if serves(&[], 0) { lifetime } else { 0 };
    Opinion { storable: true, lifetime, reused: serves(&case.second, case.later) }
}

/// What the oracle says.
fn theirs(case: &Case) -> Opinion {
    let options =
        CacheOptions { cache_heuristic: 0.0, immutable_min_time_to_live: Duration::ZERO, ..Default::default() };
    let arrived = at(0).wall;
    let policy = CachePolicy::new_options(&request(case.method, &case.first), &case.response(), arrived, options);
    let storable = policy.is_storable();
    // It tells what is left; a moment before any age shows the whole.
    let lifetime = policy.time_to_live(arrived).as_secs() + policy.age(arrived).as_secs();
    let lifetime = if storable && !policy.time_to_live(arrived).is_zero() { lifetime } else { 0 };
    let second = request(case.method, &case.second);
    let reused = matches!(policy.before_request(&second, at(case.later).wall), BeforeRequest::Fresh(_));
    Opinion { storable, lifetime, reused: storable && reused }
}

/// Sets of up to two directives, in both orders.
fn directives() -> Vec<Vec<&'static str>> {
    let one = RESPONSE.iter().map(|one| vec![*one]);
    let two =
        RESPONSE.iter().flat_map(|one| RESPONSE.iter().filter(move |two| one != *two).map(move |two| vec![*one, *two]));
    std::iter::once(Vec::new()).chain(one).chain(two).collect()
}

/// Every case: the directives in full against each other dimension, and those against each other where they meet.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for directives in directives() {
        let plain = Case::plain(directives);
        for method in METHODS {
            cases.extend(FIRST.iter().map(|first| Case { method, first: first.to_vec(), ..plain.clone() }));
        }
        for status in STATUSES.iter().copied() {
            cases.extend(FIELDS.iter().map(|fields| Case { status, fields: fields.to_vec(), ..plain.clone() }));
        }
        for second in SECOND {
            cases.extend(LATER.iter().map(|later| Case { second: second.to_vec(), later: *later, ..plain.clone() }));
            if plain.directives.len() < 2 {
                for fields in FIELDS {
                    let case = Case { fields: fields.to_vec(), second: second.to_vec(), ..plain.clone() };
                    cases.extend(LATER.iter().map(|later| Case { later: *later, ..case.clone() }));
                }
            }
        }
    }
    cases
}

#[test]
fn every_difference_to_another_implementation_has_a_name() {
    let policy = policy();
    let (mut seen, mut unexplained, mut count) = (BTreeSet::new(), Vec::new(), 0);
    for case in cases() {
        count += 1;
        let (ours, theirs) = (ours(&case, &policy), theirs(&case));
        if ours == theirs {
            continue;
        }
        match explain(&case, ours, None) {
            // A name is needed by a case that nothing explains without it.
            Some(names) => seen.extend(
                names
                    .into_iter()
                    .filter(|name| !seen.contains(name) && explain(&case, ours, Some(*name)).is_none())
                    .collect::<Vec<_>>(),
            ),
            None => unexplained.push(format!(
                "{} {:?} -> {} {:?} {:?}; then {:?} after {} s\n    truehit: {ours:?}\n    oracle:  {theirs:?}",
                case.method, case.first, case.status, case.directives, case.fields, case.second, case.later
            )),
        }
    }
    let shown: Vec<_> = unexplained.iter().take(20).cloned().collect();
    assert!(
        unexplained.is_empty(),
        "{} of {count} differ and nobody says why:\n{}",
        unexplained.len(),
        shown.join("\n")
    );
    let unneeded: Vec<_> = ALL.iter().filter(|name| !seen.contains(name)).collect();
    assert!(unneeded.is_empty(), "no case shows {unneeded:?}");
}
