//! A fresh hit as the rules see it: a request, what is stored for it, and the policy under which it is served unasked.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, request};
use truehit::config::{self, Overrides};
use truehit::rules::ask::{self, Ask};
use truehit::rules::decide::{Decision, decide};
use truehit::rules::lookup::{Lookup, Resource};
use truehit::rules::moment::{Moment, Now};
use truehit::rules::policy::Policy;
use truehit::rules::query::Carried;
use truehit::rules::request_fields::RequestFields;
use truehit::rules::stored::{Recorded, Standing, StoredHead, StoredResponse};

/// A fresh hit.
pub struct Hit {
    request: request::Parts,
    resource: Resource,
    policy: Policy,
}

/// What a browser sends.
const REQUEST: &[(&str, &str)] = &[
    ("host", "api.test"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("if-none-match", "\"1\""),
];

/// What an API answers.
const RESPONSE: &[(&str, &str)] = &[
    ("cache-control", "public, max-age=3600"),
    ("content-type", "application/json"),
    ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("etag", "\"1\""),
];

impl Hit {
    /// A hit of a response with this `Vary`.
    pub fn new(vary: Option<&str>) -> Self {
        let mut request = Request::new(());
        *request.uri_mut() = http::Uri::from_static("/products/17?view=full");
        *request.headers_mut() = head(REQUEST);
        let (request, ()) = request.into_parts();
        let mut fields = head(RESPONSE);
        fields.extend(vary.map(|vary| (http::header::VARY, HeaderValue::from_str(vary).unwrap())));
        let policy = policy();
        let stored = StoredHead::read(StatusCode::OK, &fields, &policy, at(0).wall, at(0));
        let recorded = Recorded::complete(&[Bytes::from_static(b"{}")], None, &fields, None).unwrap();
        let standing = Standing { confirmed: at(0).at, epoch: 0 };
        let stored = Arc::new(StoredResponse::new(
            stored,
            recorded,
            &RequestFields::new(request.headers.clone(), false),
            standing,
        ));
        Self { request, resource: Resource::default().with(stored, true, 16), policy }
    }

    /// The request, which reading takes the fields of.
    pub fn request(&self) -> request::Parts {
        self.request.clone()
    }

    /// Reads the request.
    pub fn read(&self, mut request: request::Parts) -> Ask {
        ask::read(&mut request, Carried::Nothing, "http", b"api.test", &self.policy, at(10).at).unwrap()
    }

    /// The request, read.
    pub fn ask(&self) -> Ask {
        self.read(self.request())
    }

    /// Finds what is stored.
    pub fn lookup(&self, ask: &Ask) -> Lookup {
        Lookup::select(Some(self.resource.clone()), &ask.fields)
    }

    /// Decides.
    pub fn decide(&self, ask: &Ask, lookup: &Lookup) -> Decision {
        decide(ask, lookup, &self.policy, 0, at(10).at)
    }
}

fn policy() -> Policy {
    let verify = ("TRUEHIT_DEFAULTS__VERIFY".to_owned(), "when-stale".to_owned());
    let overrides = Overrides { origin: Some("http://origin.test".to_owned()), ..Overrides::default() };
    let config = config::load(&overrides, std::iter::once(verify)).unwrap().config;
    config.routes.into_iter().next_back().unwrap().policy
}

fn at(seconds: u64) -> Now {
    let since = Duration::from_secs(seconds);
    Now {
        at: Moment::default().after(since),
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600) + since,
    }
}

fn head(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}
