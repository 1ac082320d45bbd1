//! Words: the settings that are one of a few. Each variant's comment is what the documents say of its word.

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Protocol {
    /// As TLS negotiates it (ALPN); HTTP/1.1 without TLS.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; without TLS with prior knowledge.
    H2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Check {
    /// The cheapest way that the origin has shown it supports.
    Auto,
    /// GET of `digest_endpoint`, which answers the SHA-256 of the current representation.
    DigestEndpoint,
    /// GET with `If-None-Match` or `If-Modified-Since`.
    Conditional,
    /// HEAD, comparing the digest, or the strong entity tag, length and date.
    Head,
    /// A full GET, comparing the bytes as they arrive.
    Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CheckError {
    /// The client gets 502 or 504.
    Fail,
    /// The stored response is served, marked, if it was confirmed at most `stale_max` ago.
    ServeStale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AuditMismatch {
    /// Nothing but bytes is believed on the route from then on, until the configuration is loaded again.
    Body,
    /// It is counted and logged, and the route goes on as it was.
    Report,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Proof {
    /// An equal weak entity tag, although it is not recognised as a digest.
    WeakEtag,
    /// An equal `Last-Modified`.
    LastModified,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Credential {
    /// The value is part of the cache key: nothing is shared between values.
    Key,
    /// One stored body for all, every hit checked with the requester's own value; only with `verify = "every-hit"`.
    Checked,
    /// RFC 9111: section 3.5 for `Authorization`; a cookie is ignored.
    Rfc,
    /// A request that carries the field passes.
    Pass,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Keep {
    /// It is not stored.
    Pass,
    /// It may be stored.
    Store,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Forward {
    /// They are passed on.
    Pass,
    /// They are removed.
    Remove,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Parts {
    /// What contradicts itself is not stored; only what has a strong validator is completed.
    Exact,
    /// A suffix is placed by its first position, and the rest of a fresh part is asked for without a validator.
    Lenient,
}
