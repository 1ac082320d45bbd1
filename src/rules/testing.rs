//! Phrases for the tables and laws of this folder's tests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, StatusCode, response};
use proptest::prelude::*;

use super::ask::{self, Ask};
use super::judge::Exchange;
use super::lookup::{Lookup, Resource};
use super::moment::{Moment, Now};
use super::outcome::PassReason;
use super::partial::{self, Kept, PartialResponse, Place, RecordedPart};
use super::policy::{Audit, CheckHow, Collapse, Credentials, OnCheckError, Policy, Trust, Verify};
use super::query::{Carried, Query};
use super::range::{ContentRange, Span};
use super::request_fields::RequestFields;
use super::stored::{Recorded, Standing, StoredHead, StoredResponse};
use super::validator::EntityTag;

/// Field lines in a row of a table.
pub(crate) type Lines = &'static [(&'static str, &'static str)];

/// Names of fields that the rules on fields treat each in its own way, and one that they do not know.
pub(crate) const FIELD_NAMES: &[&str] = &[
    "connection",
    "te",
    "age",
    "etag",
    "vary",
    "content-type",
    "content-length",
    "content-encoding",
    "content-range",
    "repr-digest",
    "set-cookie",
    "x-a",
    "date",
    "accept",
    "upgrade",
];

/// A head of these field lines, in this order.
pub(crate) fn head(lines: &[(&str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        })
        .fold(HeaderMap::new(), |mut head, (name, value)| {
            head.append(name, value);
            head
        })
}

/// Any bytes that a field value may be made of.
pub(crate) fn any_value() -> impl Strategy<Value = HeaderValue> {
    let byte = prop_oneof![
        4 => proptest::sample::select(b"\"\\,;=:-*W/ \t019afA".to_vec()),
        1 => any::<u8>().prop_filter("allowed", |byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..=0xff)),
    ];
    proptest::collection::vec(byte, 0..80).prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap())
}

/// A head of up to twelve lines of any value, over `names`.
pub(crate) fn any_head(names: &'static [&'static str]) -> impl Strategy<Value = HeaderMap> {
    let line = (proptest::sample::select(names), any_value());
    proptest::collection::vec(line, 0..12).prop_map(|lines| {
        lines.into_iter().fold(HeaderMap::new(), |mut head, (name, value)| {
            head.append(HeaderName::from_static(name), value);
            head
        })
    })
}

/// Any entity tag.
pub(crate) fn any_tag() -> impl Strategy<Value = EntityTag> {
    (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40)).prop_filter_map("allowed", |(weak, bytes)| {
        let opaque: Vec<u8> = bytes.into_iter().filter(|byte| !matches!(byte, 0..=0x20 | b'"' | 0x7f)).collect();
        EntityTag::new(weak, &opaque)
    })
}

/// `n` seconds.
pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The time `n` seconds before every table's present.
pub(crate) fn ago(n: u64) -> Now {
    const PRESENT: Duration = secs(10_000);
    const NEW_YEAR: Duration = secs(1_767_225_600);
    Now {
        at: Moment::default().after(PRESENT).before(secs(n)),
        wall: SystemTime::UNIX_EPOCH + NEW_YEAR + PRESENT - secs(n),
    }
}

/// The default route's rules.
pub(crate) fn policy() -> Policy {
    Policy {
        name: "default".into(),
        index: 0,
        verify: Verify::EveryHit,
        check: CheckHow::Auto,
        on_check_error: OnCheckError::Fail,
        audit: Audit { share: 0.0, turns_to_body: true },
        trust: Trust::default(),
        key: Arc::default(),
        no_vary_search: false,
        authorization: Credentials::Key,
        cookies: Credentials::Key,
        set_cookie: false,
        close_delimited: false,
        heuristic_max: None,
        select_language: false,
        lenient_parts: false,
        targeted: Arc::from([HeaderName::from_static("truehit-cache-control")]),
        targeted_forwarded: true,
        digest_endpoint: None,
        object_max: 1000,
        content_max: 1000,
        graphql: false,
        collapse: Collapse { enabled: true, overlap: 1, gather: 0.0, gather_max: Duration::ZERO },
    }
}

/// The default rules, but for this.
pub(crate) fn policy_with(adjust: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = policy();
    adjust(&mut policy);
    policy
}

/// The default rules, but for when a stored response is checked.
pub(crate) fn verify(verify: Verify) -> Policy {
    policy_with(|policy| policy.verify = verify)
}

/// A stored 200 of "abc", fetched just now.
#[derive(Clone)]
pub(crate) struct Stored {
    status: u16,
    lines: Vec<(String, String)>,
    request: RequestFields,
    body: &'static [u8],
    age: u64,
    epoch: u64,
}

/// A stored 200 of "abc", fetched just now.
pub(crate) fn stored() -> Stored {
    Stored { status: 200, lines: Vec::new(), request: sent(&[]), body: b"abc", age: 0, epoch: 1 }
}

impl Stored {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.lines.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn etag(self, tag: &str) -> Self {
        self.with("etag", tag)
    }

    pub(crate) const fn body(mut self, body: &'static str) -> Self {
        self.body = body.as_bytes();
        self
    }

    pub(crate) const fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Fetched, and so confirmed, this many seconds ago.
    pub(crate) const fn aged(mut self, secs: u64) -> Self {
        self.age = secs;
        self
    }

    /// Fetched before the last invalidation that touches it.
    pub(crate) const fn invalidated(mut self) -> Self {
        self.epoch = 0;
        self
    }

    /// Stored with `Vary: name`, for a request that had this value.
    pub(crate) fn varying(mut self, name: &str, value: &str) -> Self {
        self.request = sent(&[(name, value)]);
        self.with("vary", name)
    }

    pub(crate) fn build(&self) -> Arc<StoredResponse> {
        let lines: Vec<_> = self.lines.iter().map(|(name, value)| (&**name, &**value)).collect();
        let fields = head(&lines);
        let then = ago(self.age);
        let read = StoredHead::read(StatusCode::from_u16(self.status).unwrap(), &fields, &policy(), then.wall, then);
        let recorded = Recorded::complete(&[Bytes::from_static(self.body)], None, &HeaderMap::new(), None).unwrap();
        let standing = Standing { confirmed: then.at, epoch: self.epoch };
        Arc::new(StoredResponse::new(read, recorded, &self.request, standing))
    }
}

/// A stored part, fetched just now: `bytes`, which begin at `start`, of a response of `complete` bytes with these fields.
pub(crate) fn stored_part(start: u64, bytes: &str, complete: u64, lines: &[(&str, &str)]) -> Arc<PartialResponse> {
    let range = ContentRange::new(Span::new(start, start + bytes.len() as u64).unwrap(), complete).unwrap();
    let content = Bytes::copy_from_slice(bytes.as_bytes());
    let recorded = RecordedPart::received(&[content], Place::stated(range)).unwrap();
    let answer = lines.iter().fold(answer(206), |answer, (name, value)| answer.with(name, value));
    let whole = partial::as_whole(answer.parts(), range);
    let read = StoredHead::read(whole.status, &whole.headers, &policy(), ago(0).wall, ago(0));
    match Kept::of(read, recorded, &sent(&[]), exchange().standing).unwrap() {
        Kept::Part(part) => Arc::new(part),
        Kept::Whole(_) => panic!("a part of {complete} bytes is not all of them"),
    }
}

/// A resource of these variants, stored in this order.
pub(crate) fn resource(variants: &[Stored]) -> Resource {
    variants.iter().fold(Resource::default(), |all, one| all.with(one.build(), true, 64))
}

/// What a request finds among these variants; nothing is stored if there are none.
pub(crate) fn lookup(variants: &[Stored], ask: &Ask) -> Lookup {
    Lookup::select((!variants.is_empty()).then(|| resource(variants)), &ask.fields)
}

/// The fields of a request.
pub(crate) fn sent(lines: &[(&str, &str)]) -> RequestFields {
    RequestFields::new(head(lines), false)
}

/// A request, by method, target and fields.
#[derive(Clone)]
pub(crate) struct Req(http::Request<()>, Carried);

/// A GET of `target`, arriving now.
pub(crate) fn get(target: &str) -> Req {
    method("GET", target)
}

/// A request of this method.
pub(crate) fn method(method: &str, target: &str) -> Req {
    Req(http::Request::builder().method(method).uri(target).body(()).unwrap(), Carried::Nothing)
}

impl Req {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.headers_mut().extend(head(&[(name, value)]));
        self
    }

    /// With content.
    pub(crate) fn with_content(mut self) -> Self {
        self.1 = Carried::Content;
        self
    }

    /// With content that says what is asked.
    pub(crate) fn with_query(mut self, content: &str) -> Self {
        let content = Bytes::copy_from_slice(content.as_bytes());
        self.1 = Carried::Query(Query::read(self.0.method().clone(), content).unwrap());
        self
    }

    /// The head alone.
    pub(crate) fn head(&self) -> http::request::Parts {
        self.0.clone().into_parts().0
    }

    /// As a cache reads it.
    pub(crate) fn read(&self, policy: &Policy) -> Result<Ask, PassReason> {
        let (mut head, ()) = self.0.clone().into_parts();
        ask::read(&mut head, self.1.clone(), "http", b"api.test", policy, ago(0).at)
    }

    /// As a cache reads it, where it is one that a cache may answer.
    pub(crate) fn ask(&self, policy: &Policy) -> Ask {
        self.read(policy).unwrap()
    }
}

/// An origin's answer.
#[derive(Clone)]
pub(crate) struct OriginAnswer(response::Parts);

/// An answer with this status.
pub(crate) fn answer(status: u16) -> OriginAnswer {
    OriginAnswer(http::Response::builder().status(status).body(()).unwrap().into_parts().0)
}

impl OriginAnswer {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.headers.extend(head(&[(name, value)]));
        self
    }

    pub(crate) fn etag(self, tag: &str) -> Self {
        self.with("etag", tag)
    }

    pub(crate) const fn parts(&self) -> &response::Parts {
        &self.0
    }

    /// Its head, as it would be stored.
    pub(crate) fn head(&self, policy: &Policy) -> StoredHead {
        StoredHead::read(self.0.status, &self.0.headers, policy, ago(0).wall, ago(0))
    }
}

/// An exchange that takes no time, now.
pub(crate) fn exchange() -> Exchange {
    let now = ago(0);
    Exchange { standing: Standing { confirmed: now.at, epoch: 0 }, asked: now.wall, answered: now }
}
