//! `Policy`: one route's rules as plain data, after configuration has been validated.
//!
//! It holds no `Option` where a default exists; what the operator wrote is `config::settings`.

use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;

use super::key_rule::KeyRule;

/// When a stored response must be checked before it may be served (`verify`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// An exchange that began after the request arrived must have confirmed it.
    EveryHit,
    /// An exchange that began at most this long before the request arrived must have confirmed it.
    Lease(Duration),
    /// RFC 9111: a fresh response is served unasked, a stale one is validated.
    WhenStale,
    /// Nothing is stored or served from the store: every request passes.
    Off,
}

impl Verify {
    /// How long before a request's arrival an exchange may have begun and still answer it.
    ///
    /// Under `when-stale` any exchange that is still running may (collapsed forwarding, RFC 9111 §4).
    #[must_use]
    pub const fn lease(self) -> Duration {
        match self {
            Self::EveryHit | Self::Off => Duration::ZERO,
            Self::Lease(lease) => lease,
            Self::WhenStale => Duration::MAX,
        }
    }
}

/// How a stored response is checked (`check`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckHow {
    /// The cheapest strategy that the origin has shown it supports.
    Auto,
    /// Always this one.
    Only(Strategy),
}

/// A way to ask the origin whether a stored response is still current, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// GET of a configured URL that answers the SHA-256 of the current representation.
    DigestEndpoint,
    /// GET with `If-None-Match` / `If-Modified-Since`: 304, or already the new body.
    Conditional,
    /// HEAD, comparing `Repr-Digest` or strong entity tag, length and date.
    Head,
    /// A full GET, comparing the bytes as they arrive.
    Body,
}

impl Strategy {
    /// Every strategy, cheapest first.
    pub const ALL: [Self; 4] = [Self::DigestEndpoint, Self::Conditional, Self::Head, Self::Body];

    /// The word used in configuration, logs, metrics and `probe`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DigestEndpoint => "digest-endpoint",
            Self::Conditional => "conditional",
            Self::Head => "head",
            Self::Body => "body",
        }
    }
}

/// What a check that could not be made means (`on_check_error`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCheckError {
    /// The client gets 502 or 504.
    Fail,
    /// The stored response is served, marked, if an exchange confirmed it at most this long ago (`stale_max`).
    ServeStale(Duration),
}

/// What a request's `Authorization` or `Cookie` means for sharing (`authorization`, `cookies`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// The field's value is part of the cache key: nothing is shared between values.
    Key,
    /// One stored body for all, each hit checked with the requester's own field.
    Checked,
    /// RFC 9111: for `Authorization` §3.5; a cookie is ignored.
    Rfc,
    /// A request that carries the field passes.
    Pass,
}

/// What a route accepts as proof of sameness beyond strong tags and digests (`trust`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// An equal weak entity tag proves sameness, although it is not recognised as a digest (`weak-etag`).
    pub weak_etag: bool,
    /// An equal `Last-Modified` proves sameness (`last-modified`).
    pub last_modified: bool,
}

/// Which checks are held against the whole representation (`audit`), and what follows (`on_audit_mismatch`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Audit {
    /// The share of the checks that found sameness, from 0 to 1.
    pub share: f64,
    /// Whether a route is checked by `body` from then on if a check is found to have vouched for other bytes.
    pub turns_to_body: bool,
}

/// How requests for one variant share exchanges (`collapse`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Collapse {
    /// Off: every request makes its own exchange.
    pub enabled: bool,
    /// How many exchanges may overlap per variant, at least 1.
    pub overlap: usize,
    /// The longest share of the recent round trip that a batch may wait for company, from 0 to 1.
    pub gather: f64,
    /// The longest such wait.
    pub gather_max: Duration,
}

/// Where the digest of the current representation can be asked for (`digest_endpoint`).
///
/// `{path}` stands for the request's path and `{query}` for its query with its `?`, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DigestEndpoint {
    /// A target template on the origin itself: it begins with `/`.
    OnOrigin(Arc<str>),
    /// A URL template on another host: it begins with `http://` or `https://`.
    Elsewhere(Arc<str>),
}

/// One route's rules.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The route's configured name: the label of its metrics, the `route` of its log lines.
    pub name: Arc<str>,
    /// The route's place in the configuration, and its place in per-route tables.
    pub index: usize,
    /// When a stored response is checked.
    pub verify: Verify,
    /// How it is checked.
    pub check: CheckHow,
    /// What a check that could not be made means.
    pub on_check_error: OnCheckError,
    /// Which checks are audited.
    pub audit: Audit,
    /// What else counts as proof.
    pub trust: Trust,
    /// What of a request is in its key.
    pub key: Arc<KeyRule>,
    /// Whether responses say by `No-Vary-Search` for which other queries they answer (`no_vary_search`).
    pub no_vary_search: bool,
    /// What `Authorization` means for sharing.
    pub authorization: Credentials,
    /// What `Cookie` means for sharing.
    pub cookies: Credentials,
    /// Whether a response with `Set-Cookie` may be stored (`set_cookie = "store"`; never by default).
    pub set_cookie: bool,
    /// Whether a response that only the end of the connection ends may be stored (`close_delimited = "store"`).
    pub close_delimited: bool,
    /// The longest heuristic freshness lifetime (RFC 9111 §4.2.2), or `None` where none is guessed (`heuristic`).
    pub heuristic_max: Option<Duration>,
    /// Whether a response is found by the language that a request prefers (`select_language`, under `when-stale`).
    pub select_language: bool,
    /// Whether a suffix is placed by its first position where its `Content-Range` contradicts its length, and the rest of
    /// a part is asked for without a validator (`parts = "lenient"`, under `when-stale`).
    pub lenient_parts: bool,
    /// Response fields that speak to this cache in place of `Cache-Control`, the first that is present and valid
    /// (RFC 9213 §2.2, `targeted`).
    pub targeted: Arc<[HeaderName]>,
    /// Whether clients get these fields too (`targeted_fields`).
    pub targeted_forwarded: bool,
    /// Where a digest can be asked for, if anywhere.
    pub digest_endpoint: Option<DigestEndpoint>,
    /// The largest body that is stored, in bytes.
    pub object_max: u64,
    /// The longest content of a request that a stored response may answer, in bytes.
    pub content_max: u64,
    /// Whether a POST that carries a GraphQL query is one of those (`graphql`).
    pub graphql: bool,
    /// How requests share exchanges.
    pub collapse: Collapse,
}

impl Policy {
    /// Whether a response is found by its language alone: only where a fresh response is served unasked.
    #[must_use]
    pub fn selects_by_language(&self) -> bool {
        self.select_language && self.verify == Verify::WhenStale
    }

    /// Whether parts are taken for what they probably are: only where nothing is promised to be checked.
    #[must_use]
    pub fn is_lenient_with_parts(&self) -> bool {
        self.lenient_parts && self.verify == Verify::WhenStale
    }
}
